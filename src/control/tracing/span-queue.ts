/**
 * Spans that wait for the collector: bounded, sent in batches, at most two at a time. A collector that is slow, away or
 * full costs spans, which are counted, and nothing else.
 */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { LogThrottle } from '../../base/log-throttle.ts';
import type { TraceRecord } from '../../data/contract/tracing.ts';
import type { Exporter } from './exporter.ts';
import type { SpanBatch } from './span-batch.ts';
import { type SpanWriter, spansIn } from './spans.ts';

const BATCH = 512;
const EVERY_MS = 1_000;
const MOST_UNDER_WAY = 2;

export interface QueueCounts {
  exported: number;
  failed: number;
  dropped: number;
}

export class SpanQueue {
  readonly counts: QueueCounts;
  readonly #exporter: Exporter;
  readonly #writer: SpanWriter;
  readonly #max: number;
  readonly #log: Logger;
  readonly #complaints: LogThrottle;
  readonly #observe: (seconds: number) => void;
  /** Whole ones; the last is still with the writer. */
  #batches: SpanBatch[] = [];
  #waiting = 0;
  #underWay = 0;
  #timer: NodeJS.Timeout | undefined;
  #idle: (() => void)[] = [];

  /** `counts` outlive this queue; `observe` gets the duration of each export. */
  constructor(parts: {
    exporter: Exporter;
    writer: SpanWriter;
    max: number;
    log: Logger;
    clock: Clock;
    counts: QueueCounts;
    observe: (seconds: number) => void;
  }) {
    this.#exporter = parts.exporter;
    this.#writer = parts.writer;
    this.#max = parts.max;
    this.#log = parts.log;
    this.#complaints = new LogThrottle(parts.clock);
    this.counts = parts.counts;
    this.#observe = parts.observe;
  }

  /** Spans. */
  get length(): number {
    return this.#waiting + this.#writer.spans;
  }

  get isFull(): boolean {
    return this.length >= this.#max;
  }

  add(record: TraceRecord): void {
    const spans = spansIn(record);
    if (this.length + spans > this.#max) {
      this.counts.dropped += spans;
      return;
    }
    this.#writer.add(record);
    if (this.#writer.spans >= BATCH) this.#cut();
    this.#pump();
  }

  #cut(): void {
    if (this.#writer.spans === 0) return;
    const batch = this.#writer.take();
    this.#waiting += batch.spans;
    this.#batches.push(batch);
  }

  #pump(all = false): void {
    if (all && this.#batches.length === 0 && this.#underWay < MOST_UNDER_WAY) this.#cut();
    while (this.#underWay < MOST_UNDER_WAY && this.#batches.length > 0) {
      const batch = this.#batches.shift()!;
      this.#waiting -= batch.spans;
      this.#send(batch);
      if (all && this.#batches.length === 0) this.#cut();
    }
    if (this.length > 0 && !all)
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.#pump(true);
      }, EVERY_MS).unref();
  }

  #send(batch: SpanBatch): void {
    this.#underWay++;
    const begunMs = performance.now();
    let isOver = false;
    // An exporter may call back twice, or throw: neither may end the process or stop the queue.
    const over = (problem: string | null, rejected: number): void => {
      if (isOver) return;
      isOver = true;
      this.#underWay--;
      this.#observe((performance.now() - begunMs) / 1_000);
      const lost = problem === null ? Math.min(batch.spans, rejected) : batch.spans;
      this.counts.exported += batch.spans - lost;
      this.counts.failed += lost;
      if (lost > 0)
        this.#complaints.write((leftOut) =>
          this.#log.warn('spans could not be exported', {
            problem: problem ?? 'the collector left them out',
            spans: lost,
            leftOut,
          }),
        );
      if (this.#underWay === 0 && this.length === 0) for (const done of this.#idle.splice(0)) done();
      this.#pump(this.#idle.length > 0);
    };
    try {
      this.#exporter.export(batch, over);
    } catch (error) {
      over(error instanceof Error ? error.message : String(error), 0);
    }
  }

  /** Sends what there is, as long as that takes no longer than `ms`. */
  async close(ms: number): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.length > 0 || this.#underWay > 0) {
      const idle = new Promise<void>((resolve) => void this.#idle.push(resolve));
      this.#pump(true);
      await Promise.race([idle, new Promise((resolve) => setTimeout(resolve, ms).unref())]);
    }
    this.counts.dropped += this.length;
    this.#batches = [];
    this.#waiting = 0;
    this.#writer.take();
    await Promise.race([
      this.#exporter.shutdown().catch(() => {}),
      new Promise((resolve) => setTimeout(resolve, 1_000).unref()),
    ]);
  }
}
