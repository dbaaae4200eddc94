/**
 * A counter or gauge that a part of the control plane keeps itself, beside the counts of the workers in shared memory
 * (metrics.ts). Rendered by control/telemetry/prometheus.ts.
 */

export interface ExtraMetric {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly samples: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}
