/** One entry of `services` to the snapshot's settings. */
import { FAULTS } from '../../../base/errors.ts';
import { BALANCER_OPTIONS } from '../../../data/catalog.ts';
import type { BalancerOptionsDefinition, KeyPath } from '../../../data/contract/options.ts';
import type { RetrySettings, ServiceSettings, UpstreamTimeouts, UpstreamTls } from '../../../data/contract/snapshot.ts';
import { visibilityOf } from '../../../data/contract/transform.ts';
import { sectionsAt } from '../../sections.ts';
import type { ServiceOptions } from '../schema/service.ts';
import { DEFAULT_ALGORITHM, RETRIABLE_FAULTS, retryOptions } from '../schema/service.ts';
import { showValue } from '../secrecy.ts';
import type { Compilation } from './context.ts';
import type { MoreInstances, UnslottedInstance } from './instances.ts';
import { compileInstances, PLAIN_TLS } from './instances.ts';
import { readAuthorities, readPair } from './pem.ts';
import { compileResilience } from './resilience.ts';

/** Unless the service says otherwise. */
const PING_AFTER_MS = 15_000;
/**
 * gRPC servers take one in five minutes from a client that they send nothing (gRFC A8), and the way may shorten that.
 */
const GRPC_PING_AFTER_MS = 360_000;

export type UnslottedService = Omit<ServiceSettings, 'slot' | 'instances'> & {
  readonly instances: readonly UnslottedInstance[];
};

export function compileService(
  compilation: Compilation,
  name: string,
  options: ServiceOptions,
  more: MoreInstances,
  nowMs: number,
): UnslottedService {
  const path: KeyPath = ['services', name];
  // Whether the document is right does not depend on what operators took out.
  const instances = compileInstances(compilation, name, options, more);
  checkInstances(compilation, path, options, instances);
  if (options.lenient !== undefined && options.protocol !== 'h1' && options.protocol !== 'auto') {
    compilation.problem([...path, 'lenient'], 'is about HTTP/1.1, which the service does not speak', {
      got: `protocol: ${options.protocol}`,
    });
  }
  return {
    name,
    instances: instances.filter(({ id }) => !more.removed.has(id)),
    balancer: balancer(compilation, path, options, instances),
    timeouts: timeouts(compilation, path, options),
    protocol: options.protocol === 'h2c' ? 'h2' : options.protocol,
    pool: {
      maxConnections: options.pool.maxConnections,
      maxQueued: options.pool.maxQueued,
      queueTimeoutMs: options.pool.queueTimeout,
      idleTimeoutMs: options.pool.idleTimeout,
      maxAgeMs: options.pool.maxAge,
      pingAfterMs: options.pool.pingAfter ?? (options.protocol === 'grpc' ? GRPC_PING_AFTER_MS : PING_AFTER_MS),
      pingTimeoutMs: options.pool.pingTimeout,
      addressShare: options.pool.perAddress,
    },
    requestBufferBytes: options.protocol === 'grpc' ? 0 : options.requestBuffer,
    ...(options.lenient === undefined ? {} : { lenient: options.lenient }),
    retries: retries(compilation, path, options),
    tls: upstreamTls(compilation, name, options, instances, nowMs),
    host: options.host,
    ...visibilitySettings(options),
    resilience: compileResilience(compilation, name, options),
  };
}

/** The schema of `transform` has checked it. */
function visibilitySettings(options: ServiceOptions): Pick<ServiceSettings, 'visibility'> {
  const { transform } = options as unknown as { transform?: { response?: TransformedResponse } | 'off' };
  const response = transform === undefined || transform === 'off' ? undefined : transform.response;
  const visibility = response === undefined ? null : visibilityOf(response);
  if (response === undefined || visibility === null) return {};
  return { visibility: { visibility, maxBytes: response.maxSize, maxDepth: response.maxDepth } };
}

type TransformedResponse = Parameters<typeof visibilityOf>[0] & { readonly maxSize: number; readonly maxDepth: number };

function checkInstances(
  compilation: Compilation,
  path: KeyPath,
  options: ServiceOptions,
  instances: readonly UnslottedInstance[],
): void {
  const sources = sectionsAt('service').filter(({ givesInstances }) => givesInstances === true);
  const mayCome = sources.some(({ key }) => (options as unknown as Record<string, unknown>)[key] !== undefined);
  if (options.instances.length === 0 && !mayCome) {
    const keys = ['instances', ...sources.map(({ key }) => key)];
    compilation.problem(path, 'the service has no instances', { expected: keys.join(' or ') });
  }
  if (options.protocol === 'h2c' && instances.some(({ protocol }) => protocol === 'https'))
    compilation.problem([...path, 'protocol'], 'h2c is HTTP/2 without TLS, and an instance has an https URL', {
      got: '"h2c"',
      expected: 'h2',
    });
  if (instances.length > 0 && instances.every(({ weight }) => weight === 0)) {
    compilation.warning([...path, 'instances'], 'every weight is 0, so no instance takes traffic');
  }
  const local = options.zone?.local;
  if (local !== undefined && !mayCome && !instances.some(({ zone }) => zone === local)) {
    compilation.warning([...path, 'zone', 'local'], 'no instance is in this zone', { got: showValue(local) });
  }
}

function balancer(
  compilation: Compilation,
  path: KeyPath,
  options: ServiceOptions,
  instances: readonly UnslottedInstance[],
): ServiceSettings['balancer'] {
  const { algorithm = DEFAULT_ALGORITHM, healthCheckInterval: _, ...rest } = options.loadBalancing ?? {};
  const at = [...path, 'loadBalancing'];
  const weights = new Set(instances.map(({ weight }) => weight).filter((weight) => weight > 0));
  if (algorithm === 'round-robin' && weights.size > 1) {
    compilation.warning([...at, 'algorithm'], 'takes turns without regard to weights', {
      suggestion: DEFAULT_ALGORITHM,
    });
  }
  const definition = (BALANCER_OPTIONS as readonly BalancerOptionsDefinition[]).find(
    (one) => one.algorithm === algorithm,
  );
  const context = compilation.options(at, `service/${String(path[1])}/balancer`);
  return { algorithm, options: definition?.compile === undefined ? rest : definition.compile(rest, context) };
}

function timeouts(compilation: Compilation, path: KeyPath, options: ServiceOptions): UpstreamTimeouts {
  const { timeout, timeouts: given } = options;
  if (timeout !== undefined && given.firstByte !== undefined) {
    compilation.problem([...path, 'timeout'], 'says the same as timeouts.firstByte', { expected: 'one of them' });
  }
  return {
    connectMs: given.connect,
    firstByteMs: given.firstByte ?? timeout ?? compilation.config.document.gateway.serviceTimeout,
    idleMs: given.idle,
    totalMs: given.total,
  };
}

function retries(compilation: Compilation, path: KeyPath, options: ServiceOptions): RetrySettings {
  const written = retryOptions(options.retries);
  if (written.backoff.max < written.backoff.base) {
    compilation.problem([...path, 'retries', 'backoff', 'max'], 'is less than base', {
      got: `${written.backoff.max} ms`,
      expected: `at least ${written.backoff.base} ms`,
    });
  }
  return {
    attempts: written.attempts,
    faults:
      written.faults ??
      RETRIABLE_FAULTS.filter((fault) => written.perTry > 0 || fault !== FAULTS.firstByteTimeout.reason),
    statuses: written.statuses,
    methods: written.methods,
    perTryMs: written.perTry,
    backoffBaseMs: written.backoff.base,
    backoffMaxMs: written.backoff.max,
    budgetRatio: written.budget,
    budgetMinPerSecond: written.budgetMinimum,
    maxReplayBytes: written.maxReplaySize,
  };
}

function upstreamTls(
  compilation: Compilation,
  name: string,
  { tls, ...options }: ServiceOptions,
  instances: readonly UnslottedInstance[],
  nowMs: number,
): UpstreamTls | null {
  const at: KeyPath = ['services', name, 'tls'];
  const isSecure = instances.some(({ protocol }) => protocol === 'https');
  if (tls === undefined) return isSecure ? PLAIN_TLS : null;
  if (!isSecure && options.instances.length > 0) {
    compilation.problem(at, 'has no effect: no instance has an https URL');
  }
  if (!tls.verify)
    compilation.warning([...at, 'verify'], 'any certificate is accepted, so the service can be impersonated');
  let ca: string | null = null;
  if (tls.ca !== undefined) {
    const pem = readAuthorities(compilation, [...at, 'ca'], tls.ca, nowMs);
    if (pem !== undefined) ca = compilation.secret(`service/${name}/ca`, pem);
  }
  if ((tls.cert === undefined) !== (tls.key === undefined)) {
    compilation.problem(at, 'cert and key belong together', { expected: 'both' });
  }
  const pair =
    tls.cert === undefined || tls.key === undefined
      ? undefined
      : readPair(compilation, [...at, 'cert'], tls.cert, [...at, 'key'], tls.key, nowMs);
  return {
    serverName: tls.serverName ?? null,
    ca,
    cert: pair === undefined ? null : compilation.secret(`service/${name}/cert`, pair.cert),
    key: pair === undefined ? null : compilation.secret(`service/${name}/key`, pair.key),
    verify: tls.verify,
  };
}

/** Each service that falls back on itself, over however many others. */
export function checkFallbackLoops(compilation: Compilation): void {
  const { services } = compilation.config.document;
  const next = (name: string): string | undefined => {
    const fallback = services[name]?.fallback;
    return fallback !== undefined && 'service' in fallback ? fallback.service : undefined;
  };
  for (const name of Object.keys(services)) {
    const seen = [name];
    for (let at = next(name); at !== undefined; at = next(at)) {
      seen.push(at);
      if (at === name) {
        compilation.problem(['services', name, 'fallback', 'service'], `falls back on itself: ${seen.join(' -> ')}`);
      }
      if (seen.indexOf(at) < seen.length - 1) break;
    }
  }
}
