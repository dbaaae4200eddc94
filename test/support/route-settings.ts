/** Routes for tests in one line: `METHODS host/path`, and what else matters. */
import type { FieldMatch, PathSafety, RouteSettings, RouteVersion } from '../../src/data/contract/snapshot.ts';
import type { RouterRequest } from '../../src/data/router/match-result.ts';

export const USUAL_PATHS: PathSafety = {
  strict: false,
  allowDotSegments: false,
  allowEncodedSlash: false,
  allowEncodedBackslash: false,
  allowEncodedDot: false,
  allowDoubleSlash: false,
};

export interface RouteExtras extends Partial<Omit<RouteSettings, 'match'>> {
  readonly headers?: readonly FieldMatch[];
  readonly query?: readonly FieldMatch[];
  readonly hosts?: readonly string[];
}

/** `path` is a pattern, or a regular expression behind `~`: `GET,POST a.test/x`, `/x/:id`, `DELETE ~/x/\d+`. */
export function route(spec: string, extras: RouteExtras = {}): RouteSettings {
  const { headers = [], query = [], hosts, ...rest } = extras;
  const parts = /^(?:([A-Z,]+) )?([^/~]*)(~?)(.*)$/s.exec(spec);
  if (parts === null) throw new TypeError(`not a route: ${spec}`);
  const [, methods = '', host = '', tilde, path = ''] = parts;
  return {
    id: spec,
    slot: 1,
    priority: 0,
    version: null,
    action: { kind: 'respond', response: { status: 200, headers: {}, body: spec } },
    policies: [],
    maxRequestBytes: 0,
    requestBufferBytes: null,
    pathSafety: USUAL_PATHS,
    rewrite: null,
    upgrades: [],
    mirror: null,
    ...rest,
    match: {
      hosts: hosts ?? (host === '' ? [] : [host]),
      path: tilde === '~' ? { kind: 'regex', source: path } : { kind: 'pattern', pattern: path },
      methods: methods === '' ? [] : methods.split(','),
      headers,
      query,
    },
  };
}

export function version(name: string, by: RouteVersion['by'], more: Partial<RouteVersion> = {}): RouteVersion {
  return { name, by, isDefault: false, deprecatedAtSeconds: null, sunset: null, link: null, ...more };
}

/** `GET a.test/path?query`, and header fields. */
export function request(line: string, fields: Readonly<Record<string, string>> = {}): RouterRequest {
  const parts = /^([A-Z]+) ([^/*]*)([^?]*)\??(.*)$/s.exec(line);
  if (parts === null) throw new TypeError(`not a request: ${line}`);
  const [, method = '', host = '', path = '', query = ''] = parts;
  return { method, host, path, query, header: (name) => fields[name] ?? null };
}
