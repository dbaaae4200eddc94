/**
 * Prometheus' protobuf format: `io.prometheus.client.MetricFamily` messages, each with its length in front. The only
 * one that has native histograms. Numbers of fields are those of `metrics.proto` in prometheus/client_model.
 */
import { NATIVE_SCHEMA, nativeBuckets, ZERO_THRESHOLD } from '../../base/duration-cells.ts';
import { WireWriter } from '../../base/protobuf/wire.ts';
import type { Exemplar, Exposition, HistogramSample } from './exposition.ts';
import type { LabelSet } from './label-set.ts';

const TYPES = { counter: 0, gauge: 1, histogram: 4 } as const;

/** Field numbers with their wire types: 0 varint, 1 eight bytes, 2 with a length. */
const tag = (field: number, wireType: 0 | 1 | 2): number => field * 8 + wireType;
const FAMILY_NAME = tag(1, 2);
const FAMILY_HELP = tag(2, 2);
const FAMILY_TYPE = tag(3, 0);
const FAMILY_METRIC = tag(4, 2);
const METRIC_LABEL = tag(1, 2);
const METRIC_OF = { gauge: tag(2, 2), counter: tag(3, 2), histogram: tag(7, 2) } as const;
const LABEL_NAME = tag(1, 2);
const LABEL_VALUE = tag(2, 2);
const VALUE = tag(1, 1);
const COUNT = tag(1, 0);
const SUM = tag(2, 1);
const BUCKET = tag(3, 2);
const SCHEMA = tag(5, 0);
const ZERO_BOUND = tag(6, 1);
const ZERO_COUNT = tag(7, 0);
const POSITIVE_SPAN = tag(12, 2);
const POSITIVE_DELTA = tag(13, 2);
const BUCKET_COUNT = tag(1, 0);
const BUCKET_BOUND = tag(2, 1);
const BUCKET_EXEMPLAR = tag(3, 2);
const SPAN_OFFSET = tag(1, 0);
const SPAN_LENGTH = tag(2, 0);
const EXEMPLAR_LABEL = tag(1, 2);
const EXEMPLAR_VALUE = tag(2, 1);
const EXEMPLAR_TIME = tag(3, 2);
const TIME_SECONDS = tag(1, 0);
const TIME_NANOS = tag(2, 0);

/** Bytes after which whole families are put aside. */
const BLOCK = 64 * 1_024;
/** So many buckets without counts are written as zeros rather than as a gap, which takes more bytes. */
const SHORT_GAP = 2;

export class ProtobufExposition implements Exposition {
  readonly #out = new WireWriter(BLOCK);
  readonly #blocks: Buffer[] = [];
  #type: keyof typeof TYPES = 'gauge';
  #family = -1;

  family(name: string, type: keyof typeof TYPES, help: string): void {
    this.#endFamily();
    const out = this.#out;
    this.#type = type;
    this.#family = out.begin();
    out.varint(FAMILY_NAME);
    out.text(name);
    out.varint(FAMILY_HELP);
    out.text(help);
    out.varint(FAMILY_TYPE);
    out.varint(TYPES[type]);
  }

  sample({ labels }: LabelSet, value: number): void {
    const out = this.#out;
    const metric = this.#beginMetric(labels);
    const inner = out.begin();
    out.varint(VALUE);
    out.double(value);
    out.end(inner);
    out.end(metric);
  }

  histogram({ labels }: LabelSet, sample: HistogramSample): void {
    const out = this.#out;
    const metric = this.#beginMetric(labels);
    const inner = out.begin();
    this.#classic(sample);
    if (sample.cells !== undefined) this.#native(sample.cells);
    out.end(inner);
    out.end(metric);
  }

  end(): readonly Buffer[] {
    this.#endFamily();
    this.#cut();
    return this.#blocks;
  }

  #endFamily(): void {
    if (this.#family >= 0) this.#out.end(this.#family);
    this.#family = -1;
    if (this.#out.length > BLOCK) this.#cut();
  }

  #cut(): void {
    this.#blocks.push(this.#out.done());
    this.#out.reset();
  }

  /** Up to the tag of what it is. */
  #beginMetric(labels: LabelSet['labels']): number {
    const out = this.#out;
    out.varint(FAMILY_METRIC);
    const metric = out.begin();
    for (const name in labels) this.#label(METRIC_LABEL, name, labels[name]!);
    out.varint(METRIC_OF[this.#type]);
    return metric;
  }

  #label(field: number, name: string, value: string): void {
    const out = this.#out;
    out.varint(field);
    const label = out.begin();
    out.varint(LABEL_NAME);
    out.text(name);
    out.varint(LABEL_VALUE);
    out.text(value);
    out.end(label);
  }

  #classic({ bounds, counts, sum, exemplars }: HistogramSample): void {
    const out = this.#out;
    let total = 0;
    for (const count of counts) total += count;
    out.varint(COUNT);
    out.varint(total);
    out.varint(SUM);
    out.double(sum);
    let below = 0;
    for (let i = 0; i <= bounds.length; i++) {
      below += counts[i] ?? 0;
      out.varint(BUCKET);
      const bucket = out.begin();
      out.varint(BUCKET_COUNT);
      out.varint(below);
      out.varint(BUCKET_BOUND);
      out.double(bounds[i] ?? Number.POSITIVE_INFINITY);
      const exemplar = exemplars?.[i];
      if (exemplar !== undefined) this.#exemplar(exemplar);
      out.end(bucket);
    }
  }

  #exemplar({ traceId, value, wallMs }: Exemplar): void {
    const out = this.#out;
    out.varint(BUCKET_EXEMPLAR);
    const exemplar = out.begin();
    this.#label(EXEMPLAR_LABEL, 'trace_id', traceId);
    out.varint(EXEMPLAR_VALUE);
    out.double(value);
    out.varint(EXEMPLAR_TIME);
    const time = out.begin();
    const seconds = Math.floor(wallMs / 1_000);
    out.varint(TIME_SECONDS);
    out.varint(seconds);
    out.varint(TIME_NANOS);
    out.varint(Math.round((wallMs - seconds * 1_000) * 1e6));
    out.end(time);
    out.end(exemplar);
  }

  #native(cells: ArrayLike<number>): void {
    const out = this.#out;
    const { zero, indexes, counts } = nativeBuckets(cells);
    out.varint(SCHEMA);
    out.varint(zigzag(NATIVE_SCHEMA));
    out.varint(ZERO_BOUND);
    out.double(ZERO_THRESHOLD);
    out.varint(ZERO_COUNT);
    out.varint(zero);
    const { spans, filled } = spansOf(indexes, counts);
    for (const [offset, length] of spans) {
      out.varint(POSITIVE_SPAN);
      const span = out.begin();
      out.varint(SPAN_OFFSET);
      out.varint(zigzag(offset));
      out.varint(SPAN_LENGTH);
      out.varint(length);
      out.end(span);
    }
    if (filled.length === 0) return;
    out.varint(POSITIVE_DELTA);
    const deltas = out.begin();
    let before = 0;
    for (const count of filled) {
      out.varint(zigzag(count - before));
      before = count;
    }
    out.end(deltas);
  }
}

/** Runs of buckets (gap to the run before or first index, and length), and the counts in all of them. */
function spansOf(
  indexes: readonly number[],
  counts: readonly number[],
): { readonly spans: readonly (readonly [offset: number, length: number])[]; readonly filled: readonly number[] } {
  const spans: [number, number][] = [];
  const filled: number[] = [];
  let next = 0;
  for (const [i, index] of indexes.entries()) {
    const last = spans.at(-1);
    const gap = index - next;
    if (last === undefined || gap > SHORT_GAP) spans.push([gap, 1]);
    else {
      last[1] += gap + 1;
      for (let empty = 0; empty < gap; empty++) filled.push(0);
    }
    filled.push(counts[i]!);
    next = index + 1;
  }
  return { spans, filled };
}

/** Signed numbers so that small ones are short. Exact to 2^52, which no count reaches. */
function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}
