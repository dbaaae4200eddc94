/**
 * Recent latencies of a service in one worker, for "hedge after the 95th percentile": four buckets per doubling from 1
 * microsecond to half an hour, so a quantile is at most 19 % too high and never too low. Every 2,048 responses all
 * counts are halved, so the last few thousand decide. Constant memory, one array write per response.
 */
const BUCKETS = 128;
const HALVE_AFTER = 2_048;
/** A quantile is worked out anew after this many responses. */
const REFRESH_AFTER = 64;
/** Fewer responses say nothing about a high percentile. */
export const MIN_ANSWERS = 50;

export class LatencyHistogram {
  readonly #counts = new Float64Array(BUCKETS);
  #total = 0;
  #sinceHalving = 0;
  #sinceQuantile = REFRESH_AFTER;
  #share = -1;
  #quantileMs = -1;

  record(ms: number): void {
    const bucket = bucketOf(ms);
    this.#counts[bucket] = this.#counts[bucket]! + 1;
    this.#total++;
    this.#sinceQuantile++;
    if (++this.#sinceHalving < HALVE_AFTER) return;
    this.#sinceHalving = 0;
    this.#total = 0;
    for (let i = 0; i < BUCKETS; i++) {
      const half = this.#counts[i]! / 2;
      this.#counts[i] = half;
      this.#total += half;
    }
  }

  /** Milliseconds that the given share of recent responses did not exceed; -1 before there are enough of them. */
  quantileMs(share: number): number {
    if (this.#total < MIN_ANSWERS) return -1;
    if (share === this.#share && this.#sinceQuantile < REFRESH_AFTER) return this.#quantileMs;
    this.#share = share;
    this.#sinceQuantile = 0;
    let left = share * this.#total - this.#counts[0]!;
    let bucket = 0;
    while (left > 0 && bucket < BUCKETS - 1) left -= this.#counts[++bucket]!;
    this.#quantileMs = upperMs(bucket);
    return this.#quantileMs;
  }
}

function bucketOf(ms: number): number {
  const us = Math.min(0x7fff_ffff, Math.max(1, Math.round(ms * 1_000)));
  const octave = 31 - Math.clz32(us);
  const quarter = octave < 2 ? (us << (2 - octave)) & 3 : (us >>> (octave - 2)) & 3;
  return octave * 4 + quarter;
}

/** End of a bucket. */
function upperMs(bucket: number): number {
  return (2 ** (bucket >>> 2) * (1 + ((bucket & 3) + 1) / 4)) / 1_000;
}
