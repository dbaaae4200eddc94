/**
 * The worker's end of the live tail: there only while somebody watches. Picks the requests that a watcher wants, has
 * their records written as the access log has them, and sends a bounded number a second. Called by exchange/report.ts.
 */
import { Buffer } from 'node:buffer';
import type { MetricsBank } from '../../base/metrics.ts';
import { isWanted, type TailFilter, type TailLines, type TailOrder } from '../contract/tail.ts';
import { AccessLog } from './access-log.ts';

/** Records that were left out are told this long after the first of them. */
const TELL_DROPPED_MS = 500;

interface Filter extends TailFilter {
  readonly needle: Buffer | null;
}

export class Tail {
  /** Where the record of a request that `begin` took is written. */
  readonly log: AccessLog;
  readonly #send: (lines: TailLines) => void;
  readonly #perSecond: number;
  readonly #filters: readonly Filter[];
  readonly #now: () => number;
  #timer: NodeJS.Timeout | null = null;
  /** When the second began that `#sent` is about. */
  #windowMs = 0;
  #sent = 0;
  #dropped = 0;
  /** Of the record that is being written. */
  #route = '';
  #status = 0;

  /** `now`: milliseconds of a clock that is never set back. */
  constructor(
    { filters, perSecond }: TailOrder,
    send: (lines: TailLines) => void,
    metrics: MetricsBank,
    now: () => number = () => performance.now(),
  ) {
    this.#now = now;
    this.#filters = filters.map((each) => ({ ...each, needle: each.text === null ? null : Buffer.from(each.text) }));
    this.#perSecond = perSecond;
    this.#send = send;
    this.log = new AccessLog((lines) => {
      // Copied by the message: the block is free again at once.
      this.#tell(lines);
      this.log.written(lines.length, lines);
    }, metrics);
  }

  /** False: nobody wants to see it, write nothing. True: write the record to `log`, then `end`. */
  begin(route: string, status: number, wallMs: number): boolean {
    if (!this.#filters.some((filter) => isWanted(filter, route, status))) return false;
    this.#route = route;
    this.#status = status;
    return this.log.begin(wallMs);
  }

  /** The record is complete: keeps it if a watcher wants its text, too. */
  end(): void {
    const nowMs = this.#now();
    if (nowMs - this.#windowMs >= 1_000) {
      this.#windowMs = nowMs;
      this.#sent = 0;
    }
    if (!this.#filters.some((filter) => this.#matches(filter))) {
      this.log.forget();
    } else if (this.#sent >= this.#perSecond) {
      this.log.forget();
      this.#dropped++;
      this.#timer ??= setTimeout(() => this.#tell(NOTHING), TELL_DROPPED_MS).unref();
    } else {
      this.#sent++;
      this.log.end();
    }
  }

  /** Nobody watches any more, or somebody else does: what was kept is sent. */
  close(): void {
    this.log.flush();
    if (this.#dropped > 0) this.#tell(NOTHING);
  }

  #matches(filter: Filter): boolean {
    return (
      isWanted(filter, this.#route, this.#status) && (filter.needle === null || this.log.lineIncludes(filter.needle))
    );
  }

  #tell(lines: Uint8Array): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const dropped = this.#dropped;
    this.#dropped = 0;
    this.#send({ lines, dropped });
  }
}

const NOTHING = new Uint8Array(0);
