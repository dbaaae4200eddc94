/**
 * Keys that the grammar of Gatehouse has and this version does not act on. They are rejected with a message that says
 * so: a setting that is accepted and ignored is worse than one that does not exist. A feature that arrives takes its
 * key out of this list by registering it (sections.ts, data/catalog.ts), since only unknown keys are looked up here.
 */
import type { KeyPath } from '../../data/contract/options.ts';

const TOP = ['identity', 'plans', 'stores', 'registry', 'cluster', 'telemetry', 'admin', 'abuse', 'quotas', 'openapi'];
const GATEWAY = ['rateLimit', 'cors', 'compression', 'securityHeaders', 'tracing', 'acme'];
const SERVICE = ['healthCheck', 'discovery', 'grpc'];
const ROUTE = ['authorize', 'rateLimit', 'quota', 'cache', 'cors', 'headers', 'compression', 'transform', 'slo'];

/** True when the key is a known one of a later version, at the place where it will stand. */
export function isReserved(path: KeyPath): boolean {
  const key = path.at(-1);
  if (typeof key !== 'string') return false;
  if (path.length === 1) return TOP.includes(key);
  if (path.length === 2 && path[0] === 'gateway') return GATEWAY.includes(key);
  if (path.length === 3 && path[0] === 'services') return SERVICE.includes(key);
  return path.length === 3 && path[0] === 'routes' && ROUTE.includes(key);
}
