/**
 * Quotas as a worker sees them: small grants that it took from control, so that most requests are decided here. A
 * request reserves from a grant; when it has ended, what it used is reported and what it did not use goes back. Grants
 * start with what one request needs and grow while they are used up. A grant that is idle for `IDLE_MS` is given back.
 * If the process is killed, what it had not reported is not billed, and what it held is given again when its lease is
 * over (control/limits/quotas/holds.ts).
 */

import type { Clock } from '../../base/clock.ts';
import { type Cancel, every } from '../../base/system-timers.ts';
import {
  QUOTA_TOPIC,
  QUOTA_USED_TOPIC,
  type QuotaAnswer,
  type QuotaQuestion,
  type QuotaReport,
} from '../contract/limits.ts';
import type { ControlLink } from '../contract/policy.ts';

/** How often what was used is reported, in milliseconds: this much use may be lost to billing on kill -9. */
export const REPORT_EVERY_MS = 50;
const IDLE_MS = 5_000;
/** Callers with a grant; more are asked for one by one. */
const MOST_GRANTS = 50_000;
/** A grant is at most this share of what is left. */
const SHARE_OF_REST = 0.02;

export interface QuotaCaller {
  readonly account: string;
  readonly parent: string | null;
  readonly plan: string | null;
  readonly cap: number | null;
}

/** What one caller may still use of one quota here, in one period. */
interface Grant {
  readonly caller: QuotaCaller;
  readonly quota: string;
  available: number;
  reserved: number;
  size: number;
  /** Not yet reported. */
  used: number;
  settled: number;
  answer: QuotaAnswer | null;
  touchedMs: number;
  /** Not in the book any more, or never was: what it comes to is reported on its own. */
  isLoose: boolean;
  pending: Promise<QuotaAnswer> | null;
}

export interface Reservation {
  readonly grant: object;
  readonly cost: number;
  readonly period: string;
}

/** What a reservation came to: with `reservation` null it was refused. */
export interface QuotaOutcome {
  readonly reservation: Reservation | null;
  readonly limit: number;
  readonly remaining: number;
  readonly endMs: number;
  readonly periodSeconds: number;
}

export interface QuotaCounts {
  readonly allowed: number;
  readonly refused: number;
  /** Questions to control, and those that it did not answer. */
  readonly asked: number;
  readonly unanswered: number;
  readonly grants: number;
}

export class QuotaBook {
  readonly #control: ControlLink;
  readonly #clock: Clock;
  readonly #grants = new Map<string, Grant>();
  /** Reports on periods that are over, of grants that moved on. */
  #late: QuotaReport[] = [];
  #timer: Cancel | undefined;
  #allowed = 0;
  #refused = 0;
  #asked = 0;
  #unanswered = 0;

  constructor(control: ControlLink, clock: Clock) {
    this.#control = control;
    this.#clock = clock;
  }

  /** Reserves at once if there is a grant, else asks control; rejects if that does not answer in time. */
  reserve(quota: string, caller: QuotaCaller, cost: number, timeoutMs: number): QuotaOutcome | Promise<QuotaOutcome> {
    const grant = this.#grantOf(quota, caller);
    grant.touchedMs = this.#clock.monotonicMs();
    const known = this.#spend(grant, cost);
    return known ?? this.#askAndSpend(grant, cost, timeoutMs);
  }

  /** The request has ended: it used `used` of what it reserved, or more, or nothing. */
  settle({ grant: held, cost, period }: Reservation, used: number): void {
    const grant = held as Grant;
    if (grant.isLoose || grant.answer?.period !== period) {
      this.#late.push(reportOf(grant, period, used, cost));
      this.#timer ??= every(REPORT_EVERY_MS, () => this.report());
      return;
    }
    grant.reserved -= cost;
    grant.used += used;
    const back = cost - Math.min(cost, used);
    grant.settled += cost - back;
    grant.available += back;
  }

  /** Tells control what was used, and gives back what lies idle. Runs by itself while there are grants. */
  report(): void {
    const reports = this.#late;
    this.#late = [];
    const nowMs = this.#clock.monotonicMs();
    for (const [key, grant] of this.#grants) {
      const isIdle = nowMs - grant.touchedMs >= IDLE_MS;
      if (isIdle) this.#release(grant);
      this.#collect(grant, reports);
      if (isIdle && grant.reserved === 0 && grant.pending === null) this.#grants.delete(key);
    }
    if (reports.length > 0) this.#control.tell(QUOTA_USED_TOPIC, reports);
    if (this.#grants.size > 0 || this.#late.length > 0) return;
    this.#timer?.();
    this.#timer = undefined;
  }

  /** Gives everything back that is not in use, as at the end of the worker. */
  close(): void {
    for (const grant of this.#grants.values()) this.#release(grant);
    this.report();
    this.#timer?.();
    this.#timer = undefined;
  }

  counts(): QuotaCounts {
    return {
      allowed: this.#allowed,
      refused: this.#refused,
      asked: this.#asked,
      unanswered: this.#unanswered,
      grants: this.#grants.size,
    };
  }

  #grantOf(quota: string, caller: QuotaCaller): Grant {
    const key = `${quota}\n${caller.account}`;
    const known = this.#grants.get(key);
    // Another plan or cap, as after an upgrade: what was granted under the old one goes back.
    if (known !== undefined && isSame(known.caller, caller)) return known;
    if (known !== undefined) this.#loosen(known);
    const grant: Grant = {
      caller,
      quota,
      available: 0,
      reserved: 0,
      size: 1,
      used: 0,
      settled: 0,
      answer: null,
      touchedMs: 0,
      isLoose: known === undefined && this.#grants.size >= MOST_GRANTS,
      pending: null,
    };
    if (!grant.isLoose) this.#grants.set(key, grant);
    this.#timer ??= every(REPORT_EVERY_MS, () => this.report());
    return grant;
  }

  #spend(grant: Grant, cost: number): QuotaOutcome | null {
    const { answer } = grant;
    if (answer === null || this.#clock.wallMs() >= answer.endMs || grant.available < cost) return null;
    grant.available -= cost;
    grant.reserved += cost;
    this.#allowed++;
    const reservation = { grant, cost, period: answer.period };
    return outcomeOf(answer, reservation, answer.remaining + grant.available);
  }

  async #askAndSpend(grant: Grant, cost: number, timeoutMs: number): Promise<QuotaOutcome> {
    for (;;) {
      const answer = await (grant.pending ?? this.#ask(grant, cost, timeoutMs));
      const known = this.#spend(grant, cost);
      if (known !== null) return known;
      if (answer.granted === 0) {
        this.#refused++;
        return outcomeOf(answer, null, answer.remaining);
      }
      // Others took the grant first; each round one request goes on, and a refusal ends it.
    }
  }

  #ask(grant: Grant, cost: number, timeoutMs: number): Promise<QuotaAnswer> {
    this.#asked++;
    const { quota, caller } = grant;
    const question: QuotaQuestion = { ...caller, quota, least: cost, want: Math.max(cost, grant.size) };
    const asking = this.#control.ask(QUOTA_TOPIC, question, timeoutMs).then(
      (data) => {
        grant.pending = null;
        const answer = data as QuotaAnswer;
        if (grant.answer !== null && grant.answer.period !== answer.period) this.#endPeriod(grant);
        grant.answer = answer;
        grant.available += answer.granted;
        if (grant.isLoose && answer.granted > cost) {
          // No later request finds it: what this request does not need goes back at once.
          grant.settled += answer.granted - cost;
          grant.available -= answer.granted - cost;
          this.#collect(grant, this.#late);
        }
        grant.size = Math.max(1, Math.min(grant.size * 2, Math.floor(answer.remaining * SHARE_OF_REST)));
        return answer;
      },
      (error: unknown) => {
        grant.pending = null;
        this.#unanswered++;
        throw error;
      },
    );
    grant.pending = asking;
    return asking;
  }

  /** What was granted for a period that is over is given back to it; requests that still run are settled as late. */
  #endPeriod(grant: Grant): void {
    grant.settled += grant.available;
    grant.available = 0;
    grant.reserved = 0;
    this.#collect(grant, this.#late);
    grant.size = 1;
  }

  #release(grant: Grant): void {
    grant.settled += grant.available;
    grant.available = 0;
  }

  #loosen(grant: Grant): void {
    this.#release(grant);
    this.#collect(grant, this.#late);
    grant.isLoose = true;
  }

  #collect(grant: Grant, reports: QuotaReport[]): void {
    if (grant.answer === null || (grant.used === 0 && grant.settled === 0)) return;
    reports.push(reportOf(grant, grant.answer.period, grant.used, grant.settled));
    grant.used = 0;
    grant.settled = 0;
  }
}

function reportOf({ quota, caller }: Grant, period: string, used: number, settled: number): QuotaReport {
  const { account, parent, cap } = caller;
  return { quota, account, parent, cap, period, used, settled };
}

function isSame(one: QuotaCaller, other: QuotaCaller): boolean {
  return one.parent === other.parent && one.plan === other.plan && one.cap === other.cap;
}

function outcomeOf(answer: QuotaAnswer, reservation: Reservation | null, remaining: number): QuotaOutcome {
  const { limit, endMs, periodSeconds } = answer;
  return { reservation, limit, remaining, endMs, periodSeconds };
}
