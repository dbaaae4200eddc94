/** Latencies of one burst, counted in a fixed array: 10 microsecond steps up to 2 s, anything longer in the last. */
const stepMs = 0.01;
const steps = 200_000;

export class Latencies {
  #counts = new Uint32Array(steps);
  #total = 0;

  add(ms: number): void {
    const step = Math.min(steps - 1, Math.floor(ms / stepMs));
    this.#counts[step] = (this.#counts[step] as number) + 1;
    this.#total++;
  }

  /** Upper edge of the step that holds the quantile, in milliseconds; 0 when nothing was added. */
  quantileMs(q: number): number {
    let below = Math.ceil(this.#total * q);
    if (below === 0) return 0;
    for (let step = 0; step < steps; step++) {
      below -= this.#counts[step] as number;
      if (below <= 0) return (step + 1) * stepMs;
    }
    return steps * stepMs;
  }
}
