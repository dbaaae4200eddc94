/**
 * What a micro benchmark reports. Each file of this folder exports `run(): Promise<Row[]> | Row[]`; `run.ts` prints
 * the rows side by side. A row is one number with its unit, so that time, memory and rates share one table.
 */
export interface Row {
  /** What was measured, specific enough to compare between two commits: `parse 406 B request head`. */
  readonly name: string;
  /** The figure, usually the median over batches. */
  readonly value: number;
  /** Unit of `value` and `quiet`: `ns/op`, `us/op`, `bytes/key`, `MB`, ... */
  readonly unit: string;
  /** The best batch: a lower bound that noise of the machine cannot raise. Absent when only one reading makes sense. */
  readonly quiet?: number;
  /** Highest `value` that counts as good, if there is a target. Printed, never enforced. */
  readonly atMost?: number;
  /** What a reader must know to compare: threads, keys, sizes. */
  readonly note?: string;
}

/** What each file of this folder exports. */
export interface MicroBenchmark {
  run(): Promise<Row[]> | Row[];
}
