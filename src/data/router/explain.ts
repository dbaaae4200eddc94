/**
 * Says of every route why it takes a request or not, in the order in which routes are considered; for `gatehouse
 * routes` and the console, where time does not matter. The verdict on the whole comes from the router itself, so it
 * cannot differ from what traffic sees.
 */
import { atOnce } from '../../base/slices.ts';
import { orderRoutes, type RouteEntry } from '../contract/route-order.ts';
import type { RouteSettings } from '../contract/snapshot.ts';
import { bucketSteps } from './bucket.ts';
import { Candidate, matchesRegex, Pool, takesMethod } from './candidate.ts';
import { type FieldTest, headerPasses, parameterPasses } from './field-tests.ts';
import { HostTable } from './host-table.ts';
import { RouteMatchResult, type RouterRequest } from './match-result.ts';
import { NO_RANK } from './path-table.ts';
import { capitalEscapes } from './readings.ts';
import { VersionReader } from './requested-version.ts';
import { buildRouter } from './router.ts';

/** What a request is compared with, in this order. */
export type Check = 'host' | 'path' | 'method' | 'header' | 'query' | 'version';

export interface ExplainedRoute {
  readonly route: RouteSettings;
  readonly index: number;
  /** The route's host pattern in question; empty is any. A route with several hosts is there once for each. */
  readonly host: string;
  /** Everything fits; another route may still go before it. */
  readonly fits: boolean;
  readonly chosen: boolean;
  /** The first check that failed, or null. */
  readonly failed: Check | null;
  /** In words: `the method is DELETE, the route takes GET, HEAD`. */
  readonly reason: string;
}

export interface Explanation {
  /** First to last in the order of precedence. */
  readonly routes: readonly ExplainedRoute[];
  /** What the router says. */
  readonly result: RouteMatchResult;
}

export function explainMatch(routes: readonly RouteSettings[], request: RouterRequest): Explanation {
  const result = new RouteMatchResult();
  buildRouter(routes).match(request, result);
  const pool = new Pool();
  const versions = new VersionReader();
  const explained: ExplainedRoute[] = [];
  let isDecided = false;
  for (const entry of orderRoutes(routes)) {
    const candidate = new Candidate(entry, pool);
    const failure = failureOf(entry, candidate, request, versions, result.plainPath);
    const chosen: boolean = failure === null && !isDecided && result.index === candidate.index;
    explained.push({
      route: entry.route,
      index: candidate.index,
      host: candidate.host,
      fits: failure === null,
      chosen,
      failed: failure?.check ?? null,
      reason: failure?.reason ?? fittingReason(chosen, result),
    });
    isDecided ||= chosen;
  }
  return { routes: explained, result };
}

interface Failure {
  readonly check: Check;
  readonly reason: string;
}

function fittingReason(chosen: boolean, result: RouteMatchResult): string {
  if (chosen) return 'is taken';
  if (result.unsafe !== null) return `fits, but ${result.unsafe}`;
  return 'fits, but another route goes before it';
}

function failureOf(
  entry: RouteEntry,
  candidate: Candidate,
  request: RouterRequest,
  versions: VersionReader,
  plainPath: string | null,
): Failure | null {
  const { host } = candidate;
  const { route } = entry;
  if (!hostFits(host, request.host)) {
    return { check: 'host', reason: `the host is ${quoted(request.host)}, the route's is ${quoted(host)}` };
  }
  if (!pathFits(entry, candidate, request, plainPath)) {
    const { path } = route.match;
    const wanted = path.kind === 'pattern' ? path.pattern : `the expression ${path.source}`;
    return { check: 'path', reason: `the path does not match ${wanted}` };
  }
  if (!takesMethod(candidate, request.method)) {
    return {
      check: 'method',
      reason: `the method is ${request.method}, the route takes ${(candidate.methods ?? []).join(', ')}`,
    };
  }
  const header = candidate.headers.find((test) => !headerPasses(test, request));
  if (header?.name.startsWith(':') === true) {
    const what = header.name.slice(1);
    return { check: 'header', reason: `the ${what} ${wantedText(header)}, ${given(request.header(header.name))}` };
  }
  if (header !== undefined) {
    return {
      check: 'header',
      reason: `the field ${header.name} ${wantedText(header)}, ${given(request.header(header.name))}`,
    };
  }
  const parameter = candidate.query.find((test) => !parameterPasses(test, request.query));
  if (parameter !== undefined) {
    return { check: 'query', reason: `the query parameter ${parameter.name} ${wantedText(parameter)}` };
  }
  const { version } = candidate;
  if (version !== null && versions.quality(version, request) === 0) {
    const place = version.header ?? 'accept';
    const name = route.version?.name ?? '';
    return {
      check: 'version',
      reason: `the route has version ${name}, named by ${place}; ${given(request.header(place))}`,
    };
  }
  return null;
}

/** Through the very table and tree that the router uses, with this one route in them. */
function hostFits(pattern: string, host: string): boolean {
  return atOnce(HostTable.steps(new Map([[pattern, true]]))).find(host).length > 0;
}

function pathFits(entry: RouteEntry, candidate: Candidate, request: RouterRequest, plainPath: string | null): boolean {
  const path = capitalEscapes(plainPath ?? request.path);
  if (!path.startsWith('/')) return false;
  if (entry.pattern === null) return matchesRegex(candidate, path);
  let fits = false;
  const [bucket] = atOnce(bucketSteps([entry])).values();
  bucket?.search(path, {
    best: NO_RANK,
    consider: () => {
      fits = true;
    },
  });
  return fits;
}

function wantedText(test: FieldTest): string {
  switch (test.kind) {
    case 'equals':
      return `must be "${test.text}"`;
    case 'regex':
      return `must match ${test.text}`;
    case 'present':
      return 'must be there';
    case 'absent':
      return 'must not be there';
  }
}

function given(value: string | null): string {
  return value === null ? 'there is none' : `it is "${value}"`;
}

function quoted(host: string): string {
  return host === '' ? 'none' : `"${host}"`;
}
