/**
 * Metrics that a part of the control plane keeps itself, beside the counts of the workers in shared memory
 * (metrics.ts). Rendered by control/telemetry/exposition.ts.
 */

export interface ExtraMetric {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly samples: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

/** A distribution of seconds. */
export interface HistogramMetric {
  readonly name: string;
  readonly type: 'histogram';
  readonly help: string;
  readonly samples: readonly {
    readonly labels: Readonly<Record<string, string>>;
    /** Upper bounds, and one count more than these: what is above them all. Not cumulative. */
    readonly bounds: readonly number[];
    readonly counts: readonly number[];
    readonly sum: number;
  }[];
}
