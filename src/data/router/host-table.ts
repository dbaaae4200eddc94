/**
 * Which routes a host can have: those of its exact name, of every `*.suffix` above it, and those of any host, in
 * this order. The chain of each name and suffix is laid out when the table is built, so a look-up is one Map read
 * for a known name and one per label otherwise.
 */
import type { Steps } from '../../base/slices.ts';

/** RFC 1035 §2.3.4. What is longer is no name and only finds the routes of any host. */
const MAX_HOST_LENGTH = 253;

export class HostTable<Bucket> {
  readonly #exact = new Map<string, readonly Bucket[]>();
  readonly #suffixes = new Map<string, readonly Bucket[]>();
  readonly #any: readonly Bucket[];
  #longestSuffix = 0;

  /** Keys are host patterns: a name, `*.` and a name, or empty for any. */
  static *steps<Bucket>(buckets: ReadonlyMap<string, Bucket>): Steps<HostTable<Bucket>> {
    const table = new HostTable(buckets.get(''));
    yield* table.#fill(buckets);
    return table;
  }

  private constructor(any: Bucket | undefined) {
    this.#any = any === undefined ? [] : [any];
  }

  *#fill(buckets: ReadonlyMap<string, Bucket>): Steps<void> {
    const wildcards = [...buckets.keys()].filter((host) => host.startsWith('*.'));
    // Short ones first: the chain of a longer suffix goes on with the chain of the next shorter one.
    for (const host of wildcards.sort((a, b) => a.length - b.length)) {
      const suffix = host.slice(2);
      this.#suffixes.set(suffix, [buckets.get(host)!, ...this.#above(suffix)]);
      this.#longestSuffix = Math.max(this.#longestSuffix, suffix.length);
      yield;
    }
    for (const [host, bucket] of buckets) {
      if (host !== '' && !host.startsWith('*.')) this.#exact.set(host, [bucket, ...this.#above(host)]);
      yield;
    }
  }

  /** `host` must be in lower case. */
  find(host: string): readonly Bucket[] {
    return this.#exact.size === 0 && this.#longestSuffix === 0
      ? this.#any
      : (this.#exact.get(host) ?? this.#above(host));
  }

  /** The chain of the longest suffix that `host` ends in, not counting `host` itself. */
  #above(host: string): readonly Bucket[] {
    if (this.#longestSuffix === 0 || host.length > MAX_HOST_LENGTH) return this.#any;
    for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) {
      if (host.length - dot - 1 > this.#longestSuffix) continue;
      const chain = this.#suffixes.get(host.slice(dot + 1));
      if (chain !== undefined) return chain;
    }
    return this.#any;
  }
}
