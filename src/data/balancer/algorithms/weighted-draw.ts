/**
 * Draws a candidate by weight: machinery of random and peak-ewma. Sums of weights are worked out once per list; the
 * service hands in another list whenever members or weights change, so the identity of the array is the cache key.
 */
import type { Candidate } from '../../contract/balancer.ts';

export class WeightedDraw {
  readonly #random: () => number;
  #last: readonly Candidate[] | null = null;
  #upTo = new Float64Array(0);
  #total = 0;
  #equal = true;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** An index into the candidates. */
  draw(candidates: readonly Candidate[]): number {
    if (candidates !== this.#last) this.#prepare(candidates);
    if (this.#equal) return Math.floor(this.#random() * candidates.length);
    const point = this.#random() * this.#total;
    let low = 0;
    let high = this.#upTo.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (point < this.#upTo[middle]!) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Average weight of the list that was last drawn from. */
  get averageWeight(): number {
    return this.#total / this.#upTo.length;
  }

  #prepare(candidates: readonly Candidate[]): void {
    this.#last = candidates;
    this.#total = 0;
    this.#upTo = Float64Array.from(candidates, ({ weight }) => {
      this.#total += weight;
      return this.#total;
    });
    this.#equal = candidates.every(({ weight }) => weight === candidates[0]!.weight);
  }
}
