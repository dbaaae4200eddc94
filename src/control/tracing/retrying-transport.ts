/**
 * An export that is sent again, as the OTLP specification says ("Failures"), until its time is up. What one try is,
 * and which failures may pass, is said by who sends it: http-transport.ts, grpc-transport.ts.
 */
import type { ExportResponse, IExporterTransport } from '@opentelemetry/otlp-exporter-base';
import { backoffMs, type Timers } from '../../base/system-timers.ts';

const BACKOFF_BASE_MS = 1_000;
const BACKOFF_MAX_MS = 5_000;
/** Whatever a collector asks for: one that wants each export again at once gets no flood. */
const LEAST_WAIT_MS = 100;

/** One try; it is over at `deadlineMs` (time of day), whatever the collector does. */
export type SendOnce = (data: Uint8Array, deadlineMs: number) => Promise<ExportResponse>;

export class RetryingTransport implements IExporterTransport {
  readonly #once: SendOnce;
  readonly #close: () => void;
  readonly #timers: Timers;
  readonly #giveUps = new Set<() => void>();
  #isClosed = false;

  /** `close` ends connections, and with them the tries that are under way. */
  constructor(once: SendOnce, close: () => void, timers: Timers) {
    this.#once = once;
    this.#close = close;
    this.#timers = timers;
  }

  async send(data: Uint8Array, timeoutMillis: number): Promise<ExportResponse> {
    const deadlineMs = Date.now() + timeoutMillis;
    for (let attempt = 0; ; attempt++) {
      const result = await this.#once(data, deadlineMs);
      if (result.status !== 'retryable') return result;
      const { retryInMillis: askedMs } = result;
      const waitMs =
        askedMs === undefined
          ? backoffMs(attempt, BACKOFF_BASE_MS, BACKOFF_MAX_MS, Math.random)
          : Math.max(LEAST_WAIT_MS, askedMs);
      if (this.#isClosed || Date.now() + waitMs >= deadlineMs || !(await this.#pause(waitMs))) return result;
    }
  }

  /** False when the exporter is closed meanwhile. */
  #pause(ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        this.#giveUps.delete(end);
        resolve(!this.#isClosed);
      };
      const cancel = this.#timers.after(ms, end);
      this.#giveUps.add(end);
    });
  }

  shutdown(): void {
    this.#isClosed = true;
    for (const giveUp of this.#giveUps) giveUp();
    this.#close();
  }
}
