/**
 * Usage as it is read: what a caller has used and has left, its history, and whole periods for billing. A period can
 * be exported when it has been over for `GRACE_MS`; the first export freezes it, so that every later one is byte for
 * byte the same.
 */
import { type Clock, systemClock } from '../../../base/clock.ts';
import { UNLIMITED_QUOTA } from '../../../data/contract/limits.ts';
import type { Store } from '../../store/store.ts';
import type { LimitTables } from '../tables.ts';
import { freezeAlone } from './ledger-order.ts';
import { type PeriodKind, periodAt, periodOf } from './periods.ts';
import type { QuotaLedger } from './quota-ledger.ts';
import type { QuotaDefinitions } from './quota-options.ts';

/** Long-running requests of a period may end this much later and still be billed to it. */
export const GRACE_MS = 15 * 60_000;

export interface Usage {
  readonly quota: string;
  readonly per: PeriodKind;
  readonly time_zone: string;
  readonly period: string;
  readonly start: string;
  readonly end: string;
  readonly used: number;
  /** Granted to workers and not reported yet: may come back, or be used. */
  readonly reserved: number;
  /** Null: unlimited. */
  readonly limit: number | null;
  readonly remaining: number | null;
}

export interface PlanUtilisation {
  readonly quota: string;
  readonly plan: string | null;
  readonly used: number;
  readonly amount: number;
}

export interface ExportRow {
  readonly account: string;
  readonly plan: string | null;
  readonly used: number;
  /** Of `used`, what belongs to earlier periods that had been exported already. */
  readonly late: number;
}

export interface UsageExport {
  /** Names the export: an importer that has seen it may leave it out. */
  readonly id: string;
  readonly quota: string;
  readonly period: string;
  readonly start: string;
  readonly end: string;
  /** False: the period is not over, or not long enough; figures may change. */
  readonly final: boolean;
  readonly accounts: readonly ExportRow[];
  readonly total: number;
}

export type ExportProblem = 'unknownQuota' | 'unknownPeriod' | 'notOver';

export class UsageReader {
  readonly #store: Store<LimitTables>;
  readonly #ledger: QuotaLedger;
  readonly #quotas: () => QuotaDefinitions;
  readonly #clock: Clock;

  constructor(
    store: Store<LimitTables>,
    ledger: QuotaLedger,
    quotas: () => QuotaDefinitions,
    clock: Clock = systemClock,
  ) {
    this.#store = store;
    this.#ledger = ledger;
    this.#quotas = quotas;
    this.#clock = clock;
  }

  /** What an account has used in the present period of each quota. `plan` is for quotas that it has not used yet. */
  async present(account: string, plan: string | null): Promise<Usage[]> {
    const nowMs = this.#clock.wallMs();
    const result: Usage[] = [];
    for (const [quota, { per, timeZone }] of Object.entries(this.#quotas())) {
      const period = periodAt(per, timeZone, nowMs);
      const row = await this.#store.db
        .selectFrom('limits_usage')
        .select(['used', 'held', 'amount', 'plan'])
        .where('quota', '=', quota)
        .where('account', '=', account)
        .where('period', '=', period.id)
        .executeTakeFirst();
      const used = Number(row?.used ?? 0);
      const reserved = Number(row?.held ?? 0);
      const granted = row === undefined || Number(row.amount) === 0 ? null : Number(row.amount);
      const amount = granted ?? this.#ledger.amountOf(quota, row?.plan ?? plan, nowMs) ?? UNLIMITED_QUOTA;
      const limit = amount >= UNLIMITED_QUOTA ? null : amount;
      result.push({
        quota,
        per,
        time_zone: timeZone,
        period: period.id,
        start: iso(period.startMs),
        end: iso(period.endMs),
        used,
        reserved,
        limit,
        remaining: limit === null ? null : Math.max(0, limit - used - reserved),
      });
    }
    return result;
  }

  /** Of the present period of each quota, by plan: what its callers have used, and hold, of what they may. */
  async utilisation(): Promise<PlanUtilisation[]> {
    const nowMs = this.#clock.wallMs();
    const result: PlanUtilisation[] = [];
    for (const [quota, { per, timeZone }] of Object.entries(this.#quotas())) {
      const rows = await this.#store.db
        .selectFrom('limits_usage')
        .select((row) => ['plan', row.fn.sum('used').as('used'), row.fn.sum('held').as('held')])
        .select((row) => row.fn.sum('amount').as('amount'))
        .where('quota', '=', quota)
        .where('period', '=', periodAt(per, timeZone, nowMs).id)
        .where('amount', '>', 0)
        .where('amount', '<', UNLIMITED_QUOTA)
        .groupBy('plan')
        .execute();
      for (const { plan, used, held, amount } of rows) {
        result.push({ quota, plan, used: Number(used) + Number(held), amount: Number(amount) });
      }
    }
    return result;
  }

  /** What an account used in past and present periods, newest first, at most 400 rows. */
  async history(account: string, quota: string | null): Promise<{ quota: string; period: string; used: number }[]> {
    let query = this.#store.db
      .selectFrom('limits_usage')
      .select(['quota', 'period', 'used'])
      .where('account', '=', account)
      .where('used', '>', 0);
    if (quota !== null) query = query.where('quota', '=', quota);
    const rows = await query.orderBy('start_at', 'desc').orderBy('quota').limit(400).execute();
    return rows.map((row) => ({ ...row, used: Number(row.used) }));
  }

  /** All accounts of one period, sorted. `partial` also takes one that is not over; that freezes nothing. */
  async export(quota: string, periodId: string, partial: boolean): Promise<UsageExport | ExportProblem> {
    const definition = Object.hasOwn(this.#quotas(), quota) ? this.#quotas()[quota] : undefined;
    if (definition === undefined) return 'unknownQuota';
    const period = periodOf(definition.per, definition.timeZone, periodId);
    const nowMs = this.#clock.wallMs();
    if (period === undefined || period.startMs > nowMs) return 'unknownPeriod';
    const isOver = nowMs >= period.endMs + GRACE_MS;
    if (!isOver && !partial) return 'notOver';
    if (isOver) await this.#freeze(quota, period.id, nowMs);
    const rows = await this.#store.db
      .selectFrom('limits_usage')
      .select(['account', 'plan', 'used', 'late'])
      .where('quota', '=', quota)
      .where('period', '=', period.id)
      .where('used', '>', 0)
      .execute();
    const accounts = rows
      .map(({ account, plan, used, late }) => ({ account, plan, used: Number(used), late: Number(late) }))
      // The database's order depends on its locale; this one does not.
      .sort((one, other) => (one.account < other.account ? -1 : 1));
    return {
      id: `${quota}/${period.id}`,
      quota,
      period: period.id,
      start: iso(period.startMs),
      end: iso(period.endMs),
      final: isOver,
      accounts,
      total: accounts.reduce((sum, { used }) => sum + used, 0),
    };
  }

  /** Waits for what is being written, so that a report that was on its way is either in or counts as late. */
  async #freeze(quota: string, period: string, nowMs: number): Promise<void> {
    await this.#ledger.settled();
    await this.#store.transaction(async (trx) => {
      await freezeAlone(this.#store, trx);
      await trx
        .insertInto('limits_frozen')
        .values({ quota, period, frozen_at: nowMs })
        .onConflict((conflict) => conflict.columns(['quota', 'period']).doNothing())
        .execute();
    });
  }
}

/** RFC 4180: a header line, CRLF, quotes around what needs them. */
export function exportCsv({ quota, period, start, end, accounts }: UsageExport): string {
  const lines = [['quota', 'period', 'start', 'end', 'account', 'plan', 'used', 'late']];
  for (const { account, plan, used, late } of accounts) {
    lines.push([quota, period, start, end, account, plan ?? '', String(used), String(late)]);
  }
  return lines.map((fields) => `${fields.map(csvField).join(',')}\r\n`).join('');
}

function csvField(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
