/**
 * The few statistics that the benchmarks quote: median, quantile, and the median of a paired ratio. The paired ratio
 * (each run divided by the reference's run of the same round) is the figure to trust: a slow phase of the machine
 * hits both sides of the division.
 */

/** The middle value, or the mean of the two middle ones. NaN for an empty list. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Linear interpolation between the two nearest ranks. `q` is 0 to 1. NaN for an empty list. */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const below = Math.floor(at);
  const low = sorted[below] as number;
  const high = sorted[Math.min(below + 1, sorted.length - 1)] as number;
  return low + (high - low) * (at - below);
}

/**
 * Ratios of two series by round. Index is the round; a round that either side lacks (undefined) is left out.
 */
export function pairedRatios(
  values: readonly (number | undefined)[],
  reference: readonly (number | undefined)[],
): number[] {
  const ratios: number[] = [];
  for (const [round, value] of values.entries()) {
    const base = reference[round];
    if (value !== undefined && base !== undefined && base > 0) ratios.push(value / base);
  }
  return ratios;
}
