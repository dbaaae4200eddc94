/**
 * How much more than the callers' own requests an upstream may get: retries and hedges of all workers together stay
 * below a share of the requests of the last ten seconds, plus a small rate that lets a quiet service retry at all. This
 * is what keeps a fault from growing: when everything fails, upstream load is at most 1 + budget, not 1 + attempts.
 *
 * Exact over all workers: a retry is counted first and taken back if that was one too many.
 */
import { BUDGET_BUCKET_MS, BUDGET_BUCKETS, SERVICE, serviceAt } from '../contract/instance-layout.ts';
import type { InstanceTable } from '../contract/instance-table.ts';
import { TICK_MS } from '../contract/instance-table.ts';
import { RollingWindow } from './rolling-window.ts';

export class RetryBudget {
  readonly #window: RollingWindow;
  readonly #ratio: number;
  readonly #alwaysAllowed: number;

  constructor(table: InstanceTable, serviceSlot: number, ratio: number, minPerSecond: number) {
    const at = serviceAt(serviceSlot) + SERVICE.budgetWindow;
    this.#window = new RollingWindow(table.words, at, BUDGET_BUCKETS, BUDGET_BUCKET_MS / TICK_MS);
    this.#ratio = ratio;
    this.#alwaysAllowed = (minPerSecond * BUDGET_BUCKETS * BUDGET_BUCKET_MS) / 1_000;
  }

  /** A first attempt was sent. */
  countRequest(tick: number): void {
    this.#window.addTotal(tick);
  }

  /** True, and counted, if one more retry or hedge may be sent. */
  take(tick: number): boolean {
    const window = this.#window;
    window.addMarked(tick);
    if (this.#ratio >= 1) return true;
    window.sum(tick);
    if (window.marked <= this.#ratio * window.total + this.#alwaysAllowed) return true;
    window.removeMarked(tick);
    return false;
  }
}
