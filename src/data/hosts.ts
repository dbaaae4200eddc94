/**
 * Host names as routes compare them: lower case, without port and final dot. Callers send the same few names again
 * and again, so the answers are kept; the map is bounded because an attacker can send any.
 */
import { Authority, readAuthority } from './parser/target.ts';

const MAX_KEPT = 1_024;

export class Hosts {
  readonly #known = new Map<string, string | null>();
  readonly #scratch = new Authority();
  #last = '';
  #lastHost: string | null = '';

  /** The host of a Host field or authority; empty for HTTP/1.0 without one; null when it is not valid. */
  normalize(authority: string): string | null {
    // Comparing with the last one is cheaper than hashing, and most gateways have one name.
    if (authority === this.#last) return this.#lastHost;
    this.#last = authority;
    this.#lastHost = this.#find(authority);
    return this.#lastHost;
  }

  #find(authority: string): string | null {
    const known = this.#known.get(authority);
    if (known !== undefined) return known;
    const host = readAuthority(authority, this.#scratch) === undefined ? this.#scratch.host : null;
    if (this.#known.size >= MAX_KEPT) this.#known.clear();
    this.#known.set(authority, host);
    return host;
  }
}
