/** What to write in place of what people write first: from other gateways, or because it is the next best guess. */
import type { KeyPath } from '../../data/contract/options.ts';

interface Hint {
  readonly expected: string;
  /** In place of another suggestion. */
  readonly suggestion?: string;
}

interface Found {
  /** Of the mapping that holds the key, or of the value. */
  readonly path: KeyPath;
  /** An unknown key; null: the value is wrong. */
  readonly key: string | null;
  readonly value: unknown;
}

/** What `upgrades` is called elsewhere; on a route to a service it is on without a word. */
const WEBSOCKETS = ['websocket', 'websockets', 'ws', 'webSocket', 'webSockets', 'upgrade'];
const NOBODY = ['none', 'off', 'no', 'false', 'anonymous', 'open', 'disabled', 'null'];
const OF_MATCH = ['path', 'paths', 'method', 'methods', 'host', 'hosts', 'headers', 'query'];

export function hintFor({ path, key, value }: Found): Hint | undefined {
  const last = path.at(-1);
  const isRoute = path.length === 2 && path[0] === 'routes';
  if (key === null && last === 'auth' && !isObject(value) && NOBODY.includes(String(value)))
    return { expected: 'public where anybody may call' };
  if (key === null && path.length === 1 && last === 'issuers' && Array.isArray(value))
    return { expected: 'names with what they mean: issuers: { corp: { issuer: https://id.example.com } }' };
  if (key === null && path.length === 3 && path[0] === 'routes' && last === 'match' && typeof value === 'string')
    return { expected: `match: { path: ${value} }` };
  if (isRoute && key !== null && OF_MATCH.includes(key)) {
    const name = key === 'paths' ? 'path' : key === 'method' ? 'methods' : key === 'host' ? 'hosts' : key;
    return { expected: `match: { ${name}: ... }`, suggestion: 'match' };
  }
  const isService = path.length === 2 && path[0] === 'services';
  if ((isRoute || isService) && key !== null && WEBSOCKETS.includes(key)) {
    const expected =
      value === false ? 'upgrades: off, on the route' : 'upgrades: websocket, which routes to services have';
    return { expected, ...(isRoute ? { suggestion: 'upgrades' } : {}) };
  }
  if (isService && key === 'grpc') return { expected: 'protocol: grpc', suggestion: 'protocol' };
  if (isRoute && key === 'slo') return { expected: 'objectives at the top of the document, which name routes' };
  if (path.length === 0 && key === 'telemetry')
    return { expected: 'gateway: { tracing: ... } for traces; metrics need no key' };
  if (last === 'loadBalancing' && (key === 'path' || key === 'module' || key === 'use'))
    return { expected: 'file: ./my-balancer.ts, beside algorithm: custom', suggestion: 'file' };
  if (key === null && path.at(-2) === 'rewrite' && last === 'path' && typeof value === 'string' && value.includes('?'))
    return { expected: 'the path alone; transform: { request: { query: { set: ... } } } makes the query' };
  return undefined;
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}
