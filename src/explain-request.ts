/**
 * Which route takes a request, and why the others do not, of a request that somebody typed: for `gatehouse routes` and
 * the admin API. Read by the same code as a request from a socket, so the two cannot differ.
 */
import { LISTENER_FIELD, SCHEME_FIELD } from './data/contract/connection-fields.ts';
import type { RouteSettings } from './data/contract/snapshot.ts';
import { Authority, readAuthority, readTarget, Target } from './data/parser/target.ts';
import { type Explanation, explainMatch } from './data/router/explain.ts';
import type { RouterRequest } from './data/router/match-result.ts';
import { compileRewrite } from './data/router/rewrite.ts';
import { BindingTable } from './data/transcode/binding-table.ts';

/**
 * `url` is a URL, or a path with or without a query (which says no scheme). `fields` are `name: value`. Throws a
 * `RangeError`.
 */
export function readRequest(method: string, url: string, fields: readonly string[], listener?: string): RouterRequest {
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(method)) throw new RangeError(`"${method}" is not a method`);
  const headers = new Map<string, string>();
  for (const field of fields) {
    const colon = field.indexOf(':');
    if (colon < 1) throw new RangeError(`"${field}" is not a header field; write "NAME: VALUE"`);
    const name = field.slice(0, colon).trim().toLowerCase();
    const value = field.slice(colon + 1).trim();
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  const target = new Target();
  const problem = readTarget(url.replace(/#.*$/, ''), method.toUpperCase(), target);
  if (problem !== undefined) throw new RangeError(`"${url}": ${problem}`);
  const authority = new Authority();
  const named = target.authority ?? headers.get('host') ?? '';
  const wrong = readAuthority(named, authority);
  if (wrong !== undefined) throw new RangeError(`"${named}": ${wrong}`);
  const { path, query } = target;
  const absolute = /^(https?):\/\//i.exec(url);
  if (absolute !== null) headers.set(SCHEME_FIELD, absolute[1]!.toLowerCase());
  if (listener !== undefined) headers.set(LISTENER_FIELD, listener);
  return {
    method: method.toUpperCase(),
    host: authority.host,
    path,
    query,
    header: (name) => headers.get(name) ?? null,
  };
}

export interface ExplainedCall {
  /** `/package.Service/Method`. */
  readonly rpc: string;
  readonly template: string;
  /** What the path says of the request. */
  readonly fields: Readonly<Record<string, string>>;
  /** The field that the body is, `*` for the rest of the request, or empty. */
  readonly body: string;
}

/**
 * What a request in JSON becomes on a route with `transcode`; null where no method has the path. Undefined for other
 * routes, and where what the service offers is known only while the gateway runs.
 */
export function explainCall(request: RouterRequest, { result }: Explanation): ExplainedCall | null | undefined {
  const { route } = result;
  const api = route?.transcode?.api;
  if (route === null || api == null) return undefined;
  const rewrite = route.rewrite === null ? null : compileRewrite(route.rewrite, route.match.path);
  const path = rewrite === null ? request.path : rewrite(request.path, result);
  const found = path === null ? null : new BindingTable(api.bindings).find(request.method, path === '' ? '/' : path);
  if (found === null || 'allow' in found) return null;
  const { rpc, template, body } = found.binding;
  const fields = Object.fromEntries(found.values.map(({ field, value }) => [field.join('.'), value]));
  return { rpc, template, fields, body };
}

/** As plain data, for programs. Throws a `RangeError` on what is no request. */
export function explainRequest(
  routes: readonly RouteSettings[],
  method: string,
  url: string,
  fields: readonly string[],
): unknown {
  const request = readRequest(method, url, fields);
  return explained(`${request.method} ${url}`, request, explainMatch(routes, request));
}

export function explained(title: string, request: RouterRequest, explanation: Explanation) {
  const { routes, result } = explanation;
  const { route } = result;
  const call = explainCall(request, explanation);
  return {
    request: title,
    route:
      route === null
        ? null
        : {
            id: route.id,
            index: result.index,
            action: route.action,
            params: result.params,
            policies: route.policies.map(({ name }) => name),
            ...(call === undefined ? {} : { call }),
          },
    refusal: route === null ? refusalOf(result) : null,
    considered: routes.map(({ route: { id }, index, host, chosen, fits, failed, reason }) => ({
      id,
      index,
      host,
      chosen,
      fits,
      failed,
      reason,
    })),
  };
}

export function refusalOf(result: Explanation['result']): { readonly status: number; readonly reason: string } {
  if (result.unsafe !== null) return { status: 400, reason: result.unsafe };
  if (result.allow !== null) return { status: 405, reason: `the path takes ${result.allow}` };
  if (result.versionProblem) return { status: 406, reason: 'the path has no such version' };
  return { status: 404, reason: 'no route matches' };
}
