/**
 * Finds the route of a request: host, path, method, conditions, version, in the total order of
 * contract/route-order.ts. Built once per snapshot, off the hot path; `match` is called once per request by the
 * exchange. It decides nothing else: whether the path is safe for the route is `pathProblem`'s to say, and 404, 405
 * and 406 are made by the exchange from the result.
 *
 *   host -> chain of buckets (host-table.ts), in each:
 *           (bucket.ts) literal paths: a Map -> the rest: a tree (path-table.ts) -> regular expressions
 *   every candidate found is compared with the request (search.ts); the one of the lowest rank wins
 *
 * A rank says where a route stands among all, so each part is skipped when it cannot hold a better one. A static
 * route costs one Map read and no allocation.
 */
import { atOnce, type Steps } from '../../base/slices.ts';
import { orderSteps } from '../contract/route-order.ts';
import type { RouteSettings } from '../contract/snapshot.ts';
import { type Bucket, bucketSteps } from './bucket.ts';
import { type Candidate, isFoundAlike } from './candidate.ts';
import { HostTable } from './host-table.ts';
import type { RouteMatchResult, RouterRequest } from './match-result.ts';
import { capitalEscapes, hasDotSegment, needsReadings, plainSpelling, readAsData, readingsOf } from './readings.ts';
import { allowText, Search } from './search.ts';

export { RouteMatchResult, type RouterRequest } from './match-result.ts';

export interface Router {
  /** Writes the result into `out`, replacing its content. Keeps nothing of the request. */
  match(request: RouterRequest, out: RouteMatchResult): void;
}

/**
 * Throws a TypeError on routes that the check of the configuration should have refused (`routeProblems`): a path that
 * is no pattern, a regular expression that could be made slow.
 */
export function buildRouter(routes: readonly RouteSettings[]): Router {
  return atOnce(routerSteps(routes));
}

/**
 * The same, beside the traffic of `former`, which it will replace. What a reload changes is mostly policies and
 * actions: where all routes are found as before, so is the table in which they are.
 */
export function* routerSteps(routes: readonly RouteSettings[], former: Router | null = null): Steps<Router> {
  if (former instanceof HostRouter && (yield* former.findsAlike(routes))) return former.with(routes);
  return new HostRouter(yield* HostTable.steps(yield* bucketSteps(yield* orderSteps(routes))), routes);
}

class HostRouter implements Router {
  readonly #hosts: HostTable<Bucket>;
  readonly #routes: readonly RouteSettings[];
  readonly #search = new Search();

  constructor(hosts: HostTable<Bucket>, routes: readonly RouteSettings[]) {
    this.#hosts = hosts;
    this.#routes = routes;
  }

  *findsAlike(routes: readonly RouteSettings[]): Steps<boolean> {
    if (routes.length !== this.#routes.length) return false;
    for (let i = 0; i < routes.length; i++) {
      if (!isFoundAlike(this.#routes[i]!, routes[i]!)) return false;
      if (i % 64 === 0) yield;
    }
    return true;
  }

  /** For routes that are found as those of before. */
  with(routes: readonly RouteSettings[]): HostRouter {
    return new HostRouter(this.#hosts, routes);
  }

  match(request: RouterRequest, out: RouteMatchResult): void {
    const { path } = request;
    out.reset();
    if (path.charCodeAt(0) !== 0x2f) return; // `*` and the authority-form name no resource of ours
    const buckets = this.#hosts.find(request.host);
    if (!needsReadings(path)) {
      const found = this.#find(buckets, request, path);
      if (found === null) this.#explainMiss(buckets, path, out);
      else out.found(found, this.#routes[found.index]!, path);
    } else {
      this.#matchEveryReading(buckets, request, out);
    }
    this.#search.end();
  }

  #find(buckets: readonly Bucket[], request: RouterRequest, path: string): Candidate | null {
    this.#search.begin(request, path);
    for (let i = 0; i < buckets.length; i++) buckets[i]!.search(path, this.#search);
    return this.#search.found;
  }

  /** See readings.ts. A reading that finds no route is none that an upstream behind this gateway is known to have. */
  #matchEveryReading(buckets: readonly Bucket[], request: RouterRequest, out: RouteMatchResult): void {
    const asWritten = capitalEscapes(request.path);
    let path = asWritten;
    let found = this.#find(buckets, request, path);
    if (found === null) {
      path = plainSpelling(asWritten);
      found = path === asWritten ? null : this.#find(buckets, request, path);
    }
    if (found === null) {
      this.#explainMiss(buckets, asWritten, out);
      return;
    }
    const unsafe = this.#otherReading(buckets, request, path, found);
    if (unsafe !== null) {
      out.unsafe = unsafe;
      return;
    }
    if (path !== asWritten) out.plainPath = path;
    // The caller's own bytes, unless a regular expression has to read them again.
    const taken = found.regex === null && path === asWritten ? request.path : path;
    out.found(found, this.#routes[found.index]!, taken);
  }

  /** Says why another reading forbids the route, or nothing. */
  #otherReading(buckets: readonly Bucket[], request: RouterRequest, path: string, found: Candidate): string | null {
    const { pathSafety } = found;
    const all = readingsOf(path);
    if (all === null) return 'the path can be read in too many ways';
    if (!pathSafety.allowDotSegments && all.some(hasDotSegment)) return 'the path has a dot segment';
    const data = readAsData(pathSafety, found.hasSemicolon);
    for (const reading of readingsOf(path, data) ?? all) {
      if (reading !== path && !this.#isOf(found, buckets, request, reading))
        return 'written otherwise, the path belongs to another route';
    }
    // What is left behind a prefix is a path of its own to the service: `//host/x` has an authority there.
    const prefix = found.strippedPrefix;
    if (prefix === '' || !path.startsWith(prefix)) return null;
    for (const reading of readingsOf(path.slice(prefix.length), data) ?? []) {
      if (!this.#isOf(found, buckets, request, prefix + reading))
        return 'behind the prefix, the path could be read as that of another route';
    }
    return null;
  }

  #isOf(found: Candidate, buckets: readonly Bucket[], request: RouterRequest, reading: string): boolean {
    const other = this.#find(buckets, request, reading);
    return other === null || other.index === found.index;
  }

  /** A path that exists for other methods, or in other versions only, differs from one that does not exist. */
  #explainMiss(buckets: readonly Bucket[], path: string, out: RouteMatchResult): void {
    const survey = this.#search.beginSurvey();
    for (const bucket of buckets) bucket.search(path, this.#search);
    if (survey.versionMissed && !survey.versionExists) out.versionProblem = true;
    else if (survey.allowed.size > 0) out.allow = allowText(survey.allowed);
    else if (survey.allowedInOtherVersions.size > 0) out.allow = allowText(survey.allowedInOtherVersions);
  }
}
