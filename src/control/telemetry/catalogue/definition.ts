/** What the catalogue says of a metric. */
export interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** As in the name; absent for numbers without one. */
  readonly unit?: 'seconds' | 'bytes' | 'ratio';
  readonly labels: readonly string[];
  /** Without a full stop. */
  readonly help: string;
}
