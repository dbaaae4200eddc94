/**
 * Spans that wait for the collector: bounded, sent in batches, at most two at a time. A collector that is slow, away or
 * full costs spans, which are counted, and nothing else.
 */
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { LogThrottle } from '../../base/log-throttle.ts';

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
  readonly #exporter: SpanExporter;
  readonly #max: number;
  readonly #log: Logger;
  readonly #complaints: LogThrottle;
  readonly #observe: (seconds: number) => void;
  #spans: ReadableSpan[] = [];
  #underWay = 0;
  #timer: NodeJS.Timeout | undefined;
  #idle: (() => void)[] = [];

  /** `counts` outlive this queue; `observe` gets the duration of each export. */
  constructor(parts: {
    exporter: SpanExporter;
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

  get length(): number {
    return this.#spans.length;
  }

  get isFull(): boolean {
    return this.#spans.length >= this.#max;
  }

  add(spans: readonly ReadableSpan[]): void {
    if (this.#spans.length + spans.length > this.#max) {
      this.counts.dropped += spans.length;
      return;
    }
    this.#spans.push(...spans);
    this.#pump();
  }

  #pump(all = false): void {
    while (this.#underWay < MOST_UNDER_WAY && (this.#spans.length >= BATCH || (all && this.#spans.length > 0)))
      this.#send(this.#spans.splice(0, BATCH));
    if (this.#spans.length > 0 && !all)
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.#pump(true);
      }, EVERY_MS).unref();
  }

  #send(batch: ReadableSpan[]): void {
    this.#underWay++;
    const begunMs = performance.now();
    let isOver = false;
    // An exporter may call back twice, or throw: neither may end the process or stop the queue.
    const over = (problem: string | null): void => {
      if (isOver) return;
      isOver = true;
      this.#underWay--;
      this.#observe((performance.now() - begunMs) / 1_000);
      if (problem === null) this.counts.exported += batch.length;
      else {
        this.counts.failed += batch.length;
        this.#complaints.write((leftOut) =>
          this.#log.warn('spans could not be exported', { problem, spans: batch.length, leftOut }),
        );
      }
      if (this.#underWay === 0 && this.#spans.length === 0) for (const done of this.#idle.splice(0)) done();
      this.#pump(this.#idle.length > 0 || this.#spans.length > 0);
    };
    try {
      this.#exporter.export(batch, (result) => over(result.code === 0 ? null : (result.error?.message ?? 'it failed')));
    } catch (error) {
      over(error instanceof Error ? error.message : String(error));
    }
  }

  /** Sends what there is, as long as that takes no longer than `ms`. */
  async close(ms: number): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#spans.length > 0 || this.#underWay > 0) {
      const idle = new Promise<void>((resolve) => void this.#idle.push(resolve));
      this.#pump(true);
      await Promise.race([idle, new Promise((resolve) => setTimeout(resolve, ms).unref())]);
    }
    this.counts.dropped += this.#spans.length;
    this.#spans = [];
    await Promise.race([
      this.#exporter.shutdown().catch(() => {}),
      new Promise((resolve) => setTimeout(resolve, 1_000).unref()),
    ]);
  }
}
