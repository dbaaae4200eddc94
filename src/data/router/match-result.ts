/**
 * What the router is asked and what it answers. Both are handed in: the request is the exchange itself, the result is
 * an object that is used again, so that a match of a static route allocates nothing.
 */
import type { RouteSettings } from '../contract/snapshot.ts';
import { type Candidate, type Params, readParams, wildcardStart } from './candidate.ts';

export interface RouterRequest {
  /** Case matters (RFC 9110 §9.1). */
  readonly method: string;
  /** Lower case, without port and final dot, as `readAuthority` gives it; empty when there is none. */
  readonly host: string;
  /** Percent-encoded, as `readTarget` gives it. */
  readonly path: string;
  /** Without `?`. */
  readonly query: string;
  /** Value of a field, name in lower case; several are joined with `, `; null if absent. */
  header(name: string): string | null;
}

export class RouteMatchResult {
  /** Null when none matches; then one of `allow`, `versionProblem` and `unsafe` may say more. */
  route: RouteSettings | null = null;
  /** Of `route` in the snapshot; -1 when none matches. */
  index = -1;
  /** Value of `Allow` when the path exists for other methods: 405. */
  allow: string | null = null;
  /** The path and method exist, but not in the version that the request names: 406. */
  versionProblem = false;
  /**
   * Another reading of the path leads to another route, or climbs: 400 `unsafe_path` with this detail (readings.ts).
   */
  unsafe: string | null = null;
  /** The spelling that matched when the one that came did not: to be forwarded instead of it. Null otherwise. */
  plainPath: string | null = null;

  #path = '';
  #candidate: Candidate | null = null;
  #params: Params | null = null;

  /**
   * Parameters of the path, percent-decoded once (UTF-8); so `%2520` is `%20`. What is not UTF-8 stays encoded. One
   * shared frozen object when there are none.
   * Made when first asked for.
   */
  get params(): Params {
    this.#params ??= readParams(this.#candidate, this.#path);
    return this.#params;
  }

  /**
   * What a final `/*` took, percent-encoded, with its slash: for `/a/*` it is `/b/c` of `/a/b/c`, `/` of `/a/` and
   * empty of `/a`. Empty as well when the route has no `/*`. Cut when asked for.
   */
  get wildcard(): string {
    const start = wildcardStart(this.#candidate, this.#path);
    return start < 0 ? '' : this.#path.slice(start);
  }

  /** For the router: nothing is found. */
  reset(): void {
    this.route = null;
    this.index = -1;
    this.allow = null;
    this.versionProblem = false;
    this.unsafe = null;
    this.plainPath = null;
    this.#path = '';
    this.#candidate = null;
    this.#params = null;
  }

  /** For the router. */
  found(candidate: Candidate, route: RouteSettings, path: string): void {
    this.route = route;
    this.index = candidate.index;
    this.#candidate = candidate;
    this.#path = path;
  }
}
