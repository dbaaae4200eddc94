/**
 * Host names as routes compare them: lower case, without port and final dot. Callers send the same few names again
 * and again, so the answers are kept; the map is bounded because an attacker can send any.
 */
import { Authority, readAuthority } from '../parser/target.ts';

const MAX_KEPT = 1_024;

export class HostCache {
  readonly #known = new Map<string, string | null>();
  readonly #scratch = new Authority();
  #last = '';
  #lastBytes = Buffer.alloc(0);
  #lastHost: string | null = '';

  /** The text `bytes[start, end)`, the same string as long as callers send the same. */
  text(bytes: Buffer, start: number, end: number): string {
    const last = this.#lastBytes;
    let i = last.length === end - start ? 0 : -1;
    while (i >= 0 && i < last.length) i = bytes[start + i] === last[i] ? i + 1 : -1;
    if (i >= 0) return this.#last;
    return bytes.latin1Slice(start, end);
  }

  /** The host of a Host field or authority; empty for HTTP/1.0 without one; null when it is not valid. */
  normalize(authority: string): string | null {
    // Comparing with the last one is cheaper than hashing, and most gateways have one name.
    if (authority === this.#last) return this.#lastHost;
    this.#last = authority;
    this.#lastBytes = Buffer.from(authority, 'latin1');
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
