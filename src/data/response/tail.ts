/**
 * The worker's end of the live tail: present only while requests are watched. Picks the requests that a watcher wants,
 * has their records written as the access log has them, and sends a bounded number a second; what is beyond is counted
 * and not written, so that a watcher costs the same on an idle gateway and on a busy one. Called by exchange/report.ts.
 */

import { Buffer } from 'node:buffer';
import type { MetricsBank } from '../../base/metrics.ts';
import { type Cancel, systemTimers } from '../../base/system-timers.ts';
import { isWanted, type TailFilter, type TailLines, type TailOrder } from '../contract/tail.ts';
import { AccessLog } from './access-log.ts';
import type { RecordedExchange } from './access-record.ts';
import { hintOf, mayHold } from './tail-hint.ts';

/** Omitted records are reported this long after the first of them. */
const TELL_DROPPED_MS = 500;
/** The most records that are written a second to look for a text in them, three milliseconds or so of a worker. */
export const MOST_EXAMINED = 1_000;

interface Filter extends TailFilter {
  readonly needle: Buffer | null;
  /** Of the text; null where it has none. */
  readonly hint: string | null;
}

export class Tail {
  /** Where the record of a request that `begin` took is written. */
  readonly log: AccessLog;
  readonly #send: (lines: TailLines) => void;
  readonly #perSecond: number;
  readonly #filters: readonly Filter[];
  #timer: Cancel | null = null;
  /** When the second began that the two counts are about. */
  #windowMs = Number.NEGATIVE_INFINITY;
  #sent = 0;
  #examined = 0;
  #dropped = 0;
  /** Of the record that is being written. */
  #route = '';
  #status = 0;

  constructor({ filters, perSecond }: TailOrder, send: (lines: TailLines) => void, metrics: MetricsBank) {
    this.#filters = filters.map((each) => ({
      ...each,
      needle: each.text === null ? null : Buffer.from(each.text),
      hint: each.text === null ? null : hintOf(each.text),
    }));
    this.#perSecond = perSecond;
    this.#send = send;
    this.log = new AccessLog((lines) => {
      // Copied by the message: the block is free again at once.
      this.#tell(lines);
      this.log.written(lines.length, 0, lines);
    }, metrics);
  }

  /**
   * False: no watcher wants it, or there were too many already; write nothing. True: write the record to `log`,
   * then `end`. `nowMs` is the worker's clock, `parts` what policies add to the record.
   */
  wants(exchange: RecordedExchange, status: number, nowMs: number, parts: string): boolean {
    const { routeId } = exchange;
    let isSure = false;
    let isPossible = false;
    for (const filter of this.#filters) {
      if (!isWanted(filter, routeId, status)) continue;
      isSure ||= filter.needle === null;
      isPossible ||= filter.hint === null || mayHold(exchange, parts, filter.hint);
    }
    return (isPossible || isSure) && this.#hasRoom(routeId, status, nowMs, isSure);
  }

  /** The same of a head that was no request. */
  wantsRefused(status: number, nowMs: number): boolean {
    const wanting = this.#filters.filter((filter) => isWanted(filter, '', status));
    const isSure = wanting.some(({ needle }) => needle === null);
    return wanting.length > 0 && this.#hasRoom('', status, nowMs, isSure);
  }

  #hasRoom(route: string, status: number, nowMs: number, isSure: boolean): boolean {
    if (nowMs - this.#windowMs >= 1_000) {
      this.#windowMs = nowMs;
      this.#sent = 0;
      this.#examined = 0;
    }
    if (this.#sent >= this.#perSecond || (!isSure && ++this.#examined > MOST_EXAMINED)) {
      this.#drop();
      return false;
    }
    this.#route = route;
    this.#status = status;
    return true;
  }

  /** The record is complete: keeps it if a watcher wants its text, too. */
  end(): void {
    if (this.#filters.some((filter) => this.#matches(filter))) {
      this.#sent++;
      this.log.end();
    } else this.log.forget();
  }

  /** The watcher is gone or another came: sends what was kept. */
  close(): void {
    this.log.flush();
    if (this.#dropped > 0) this.#tell(NOTHING);
  }

  #matches(filter: Filter): boolean {
    return (
      isWanted(filter, this.#route, this.#status) && (filter.needle === null || this.log.lineIncludes(filter.needle))
    );
  }

  #drop(): void {
    this.#dropped++;
    this.#timer ??= systemTimers.after(TELL_DROPPED_MS, () => this.#tell(NOTHING));
  }

  #tell(lines: Uint8Array): void {
    this.#timer?.();
    this.#timer = null;
    const dropped = this.#dropped;
    this.#dropped = 0;
    this.#send({ lines, dropped });
  }
}

const NOTHING = new Uint8Array(0);
