/**
 * Spans that wait for the collector: bounded, sent in batches, at most two at a time. A collector that is slow, away or
 * full costs spans, which are counted, and nothing else.
 */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { LogThrottle } from '../../base/log-throttle.ts';
import type { Exporter } from './exporter.ts';
import type { SpanBatch } from './span-batch.ts';

/** A batch is sent when it has one of these; an export costs about the same however much there is in it. */
const BATCH_SPANS = 2_048;
const BATCH_BYTES = 1_024 * 1_024;
const EVERY_MS = 1_000;
const MOST_UNDER_WAY = 2;

export interface QueueCounts {
  exported: number;
  failed: number;
  dropped: number;
}

interface Page {
  readonly bytes: Buffer;
  readonly spans: number;
}

export class SpanQueue {
  readonly counts: QueueCounts;
  readonly #exporter: Exporter;
  readonly #max: number;
  readonly #log: Logger;
  readonly #complaints: LogThrottle;
  readonly #observe: (seconds: number) => void;
  #pages: Page[] = [];
  #waiting = 0;
  #waitingBytes = 0;
  #underWay = 0;
  #timer: NodeJS.Timeout | undefined;
  #idle: (() => void)[] = [];

  /** `counts` outlive this queue; `observe` gets the duration of each export. */
  constructor(parts: {
    exporter: Exporter;
    max: number;
    log: Logger;
    clock: Clock;
    counts: QueueCounts;
    observe: (seconds: number) => void;
  }) {
    this.#exporter = parts.exporter;
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

  /** Whole `ScopeSpans.spans` fields. */
  add(bytes: Buffer, spans: number): void {
    if (this.#waiting + spans > this.#max) {
      this.counts.dropped += spans;
      return;
    }
    this.#pages.push({ bytes, spans });
    this.#waiting += spans;
    this.#waitingBytes += bytes.length;
    this.#pump();
  }

  /** What is enough for a batch goes at once, the rest within a second; `all`: now. */
  #pump(all = false): void {
    while (this.#underWay < MOST_UNDER_WAY && this.#waiting > 0 && (all || this.#isEnough)) this.#send(this.#cut());
    if (this.#waiting > 0 && !all)
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.#pump(true);
      }, EVERY_MS).unref();
  }

  get #isEnough(): boolean {
    return this.#waiting >= BATCH_SPANS || this.#waitingBytes >= BATCH_BYTES;
  }

  /** The first pages, as many as a batch may have; at least one. */
  #cut(): SpanBatch {
    const pages: Buffer[] = [];
    let [length, spans] = [0, 0];
    for (const page of this.#pages) {
      if (spans > 0 && (spans + page.spans > BATCH_SPANS || length + page.bytes.length > BATCH_BYTES)) break;
      pages.push(page.bytes);
      length += page.bytes.length;
      spans += page.spans;
    }
    this.#pages.splice(0, pages.length);
    this.#waiting -= spans;
    this.#waitingBytes -= length;
    return { pages, length, spans };
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
    this.#pages = [];
    this.#waiting = 0;
    this.#waitingBytes = 0;
    await Promise.race([
      this.#exporter.shutdown().catch(() => {}),
      new Promise((resolve) => setTimeout(resolve, 1_000).unref()),
    ]);
  }
}
