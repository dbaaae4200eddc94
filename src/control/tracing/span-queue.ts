/**
 * Spans that wait for the collector: bounded, sent in batches, at most two at a time. A collector that is slow, away or
 * full costs spans, which are counted, and nothing else. While it keeps up, a page that is a batch by itself is sent as
 * it is; all others are copied, so that workers have their pages back.
 */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { LogThrottle } from '../../base/log-throttle.ts';
import type { PageAnswer } from '../../data/contract/tracing.ts';
import type { Exporter } from './exporter.ts';
import { type BatchEnvelope, type ExportedSpans, SpanBatch } from './span-batch.ts';

const MOST_UNDER_WAY = 2;
/** Most of a batch, which is about what most collectors take; few large exports cost less than many small ones. */
const BATCH_SPANS = 2_048;
const BATCH_BYTES = 1_024 * 1_024;
/** Memory of batches that were sent, kept for others. */
const MOST_FREE = MOST_UNDER_WAY + 1;
const EVERY_MS = 1_000;
/** A page of fewer spans waits for others. */
const LEAST_ALONE = BATCH_SPANS / 2;

export interface QueueCounts {
  exported: number;
  failed: number;
  dropped: number;
}

export class SpanQueue {
  readonly counts: QueueCounts;
  readonly #exporter: Exporter;
  readonly #max: number;
  readonly #log: Logger;
  readonly #complaints: LogThrottle;
  readonly #observe: (seconds: number) => void;
  readonly #envelope: BatchEnvelope;
  /** Full ones, or as full as they get. */
  #batches: SpanBatch[] = [];
  /** The one that is being filled. */
  #last: SpanBatch | null = null;
  readonly #free: SpanBatch[] = [];
  #waiting = 0;
  #underWay = 0;
  /** The last export failed. */
  #isFailing = false;
  #timer: NodeJS.Timeout | undefined;
  #idle: (() => void)[] = [];

  /** `counts` outlive this queue; `observe` gets the duration of each export. */
  constructor(parts: {
    exporter: Exporter;
    envelope: BatchEnvelope;
    max: number;
    log: Logger;
    clock: Clock;
    counts: QueueCounts;
    observe: (seconds: number) => void;
  }) {
    this.#exporter = parts.exporter;
    this.#envelope = parts.envelope;
    this.#max = parts.max;
    this.#log = parts.log;
    this.#complaints = new LogThrottle(parts.clock);
    this.counts = parts.counts;
    this.#observe = parts.observe;
  }

  /** Spans. */
  get length(): number {
    return this.#waiting;
  }

  /** Whole `ScopeSpans.spans` fields, `memory[at, at + length)`. The answer may take as long as an export. */
  take(memory: Buffer, at: number, length: number, spans: number): PageAnswer | Promise<PageAnswer> {
    const isAlone = spans >= LEAST_ALONE && this.#exporter.takesShared;
    if (isAlone && !this.#isFailing && this.#underWay < MOST_UNDER_WAY && this.#batches.length === 0) {
      const message = this.#envelope.around(memory, at, length);
      if (message !== null)
        return new Promise((resolve) => {
          this.#send({ spans, message }, (isSent) => resolve(isSent ? 'taken' : 'kept'));
        });
    }
    this.add(memory.subarray(at, at + length), spans);
    return 'taken';
  }

  /** Copies whole `ScopeSpans.spans` fields. */
  add(bytes: Uint8Array, spans: number): void {
    if (this.#waiting + spans > this.#max || bytes.length > BATCH_BYTES) {
      this.counts.dropped += spans;
      return;
    }
    if (this.#last !== null && (this.#last.room < bytes.length || this.#last.spans + spans > BATCH_SPANS)) this.#cut();
    this.#last ??= this.#free.pop() ?? new SpanBatch(this.#envelope, BATCH_BYTES);
    this.#last.add(bytes, spans);
    this.#waiting += spans;
    if (this.#last.spans >= BATCH_SPANS) this.#cut();
    this.#pump();
  }

  #cut(): void {
    if (this.#last !== null) this.#batches.push(this.#last);
    this.#last = null;
  }

  /** Whole batches go at once, the rest within a second; `all`: now. */
  #pump(all = false): void {
    while (this.#underWay < MOST_UNDER_WAY && this.#waiting > 0) {
      if (this.#batches.length === 0 && all) this.#cut();
      const batch = this.#batches.shift();
      if (batch === undefined) break;
      this.#waiting -= batch.spans;
      this.#send(batch, (isSent) => {
        // What failed may still be on its way out of this memory.
        if (!isSent || this.#free.length >= MOST_FREE) return;
        batch.clear();
        this.#free.push(batch);
      });
    }
    if (this.#waiting > 0 && !all)
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.#pump(true);
      }, EVERY_MS).unref();
  }

  #send(batch: ExportedSpans, done: (isSent: boolean) => void): void {
    this.#underWay++;
    const begunMs = performance.now();
    const { spans } = batch;
    let isOver = false;
    // An exporter may call back twice, or throw: neither may end the process or stop the queue.
    const over = (problem: string | null, rejected: number): void => {
      if (isOver) return;
      isOver = true;
      this.#underWay--;
      this.#observe((performance.now() - begunMs) / 1_000);
      const lost = problem === null ? Math.min(spans, rejected) : spans;
      this.counts.exported += spans - lost;
      this.#isFailing = problem !== null;
      done(problem === null);
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
    this.#last = null;
    this.#waiting = 0;
    await Promise.race([
      this.#exporter.shutdown().catch(() => {}),
      new Promise((resolve) => setTimeout(resolve, 1_000).unref()),
    ]);
  }
}
