/**
 * How metrics are written down for who scrapes: the two text formats and the protobuf that Prometheus reads. One family
 * after the other, each with all its samples.
 */
import type { LabelSet } from './label-set.ts';

/** `prometheus` is its text format 0.0.4, `openmetrics` version 1.0, `protobuf` delimited `MetricFamily` messages. */
export type Format = 'prometheus' | 'openmetrics' | 'protobuf';

export const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
  protobuf: 'application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited',
};

/** A sampled trace that fell into a bucket. */
export interface Exemplar {
  readonly traceId: string;
  readonly value: number;
  readonly wallMs: number;
}

/** By bucket; there may be fewer than buckets. */
export type Exemplars = readonly (Exemplar | undefined)[];

export interface HistogramSample {
  /** Upper bounds. */
  readonly bounds: readonly number[];
  /** One for each of `bounds` and one above them all, not cumulative. */
  readonly counts: readonly number[];
  readonly sum: number;
  readonly exemplars?: Exemplars | undefined;
  /** Counts by cell (base/duration-cells.ts) where there is a native histogram too. */
  readonly cells?: ArrayLike<number> | undefined;
}

export interface Exposition {
  family(name: string, type: 'counter' | 'gauge' | 'histogram', help: string): void;
  /** Of the family that was begun last. */
  sample(labels: LabelSet, value: number): void;
  histogram(labels: LabelSet, sample: HistogramSample): void;
  /** Everything, in blocks: to join many megabytes would take long. The exposition is of no use afterwards. */
  end(): readonly Buffer[];
}
