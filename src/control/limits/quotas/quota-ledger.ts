/**
 * The durable count of quotas: what was used, and what is held by workers, per quota, account and period. All
 * questions and reports that come while one transaction runs are done together in the next, so that a burst costs one
 * commit. A period that was exported is frozen: what is reported on it later counts for the present one, so that an
 * export never changes. Several processes may write at a time (ledger-order.ts); each numbers its batches of reports,
 * so that one is booked once even if the connection drops during commit.
 */
import { randomUUID } from 'node:crypto';
import type { Transaction } from 'kysely';
import { type Clock, systemClock } from '../../../base/clock.ts';
import {
  type QuotaAnswer,
  type QuotaQuestion,
  type QuotaReport,
  UNLIMITED_QUOTA,
} from '../../../data/contract/limits.ts';
import type { Store } from '../../store/store.ts';
import { boostedAmount, type Plan } from '../plans/plans.ts';
import type { LimitTables } from '../tables.ts';
import { Holds } from './holds.ts';
import { holdRows, type UsageKey, unusedRow, withFreezesApart } from './ledger-order.ts';
import { type Period, periodAt, periodOf } from './periods.ts';
import type { QuotaDefinition, QuotaDefinitions } from './quota-options.ts';

/** Most questions and reports that may wait; more are refused rather than kept in memory. */
const MOST_WAITING = 10_000;

export interface QuotaBasis {
  readonly quotas: QuotaDefinitions;
  readonly plans: Readonly<Record<string, Plan>>;
  readonly defaultPlan: string;
}

interface Asked {
  readonly question: QuotaQuestion;
  resolve(answer: QuotaAnswer): void;
  reject(error: unknown): void;
}

type Trx = Transaction<LimitTables>;

export class QuotaLedger {
  readonly #store: Store<LimitTables>;
  readonly #clock: Clock;
  #basis: QuotaBasis;
  #asked: Asked[] = [];
  #reported: QuotaReport[] = [];
  /** Reports that are being written, or have to be written again. */
  #batch: readonly QuotaReport[] = [];
  readonly #writer = randomUUID();
  readonly #holds: Holds;
  #batches = 0;
  #running: Promise<void> | null = null;
  #isClosed = false;
  #onProblem: (error: unknown) => void;
  // For the metrics.
  granted = 0;
  refused = 0;
  used = 0;
  failed = 0;

  constructor(
    store: Store<LimitTables>,
    basis: QuotaBasis,
    onProblem: (error: unknown) => void,
    clock: Clock = systemClock,
  ) {
    this.#store = store;
    this.#holds = new Holds(store, this.#writer);
    this.#basis = basis;
    this.#onProblem = onProblem;
    this.#clock = clock;
  }

  /** Gives signs of life from now on, and back to callers what processes held that were killed. */
  begin(): void {
    this.#holds.begin(this.#onProblem);
  }

  /** One round of that. */
  giveBack(): Promise<void> {
    return this.#holds.sign();
  }

  configure(basis: QuotaBasis): void {
    this.#basis = basis;
  }

  /** Rejects when the quota is not defined, the database fails, or too many wait. */
  ask(question: QuotaQuestion): Promise<QuotaAnswer> {
    if (!Object.hasOwn(this.#basis.quotas, question.quota)) {
      return Promise.reject(new Error(`there is no quota ${question.quota}`));
    }
    if (this.#asked.length >= MOST_WAITING) return Promise.reject(new Error('too many questions about quotas'));
    return new Promise((resolve, reject) => {
      this.#asked.push({ question, resolve, reject });
      this.#begin();
    });
  }

  report(reports: readonly QuotaReport[]): void {
    const known = reports.filter(({ quota }) => Object.hasOwn(this.#basis.quotas, quota));
    if (this.#reported.length + this.#batch.length + known.length > MOST_WAITING) {
      this.failed += known.length;
      this.#onProblem(new Error('reports of usage were dropped: the database does not keep up'));
      return;
    }
    this.#reported.push(...known);
    this.#begin();
  }

  /** Resolves when all that was asked and reported until now is in the database. */
  async settled(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  /** The same at the end of the process, but for so long at most. Gives the number of reports that were not written. */
  async close(timeoutMs: number): Promise<number> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    const isSettled = await Promise.race([this.settled().then(() => true), late.then(() => false)]);
    this.#isClosed = true;
    const unwritten = this.#batch.length + this.#reported.length;
    if (isSettled && unwritten === 0) await Promise.race([this.#holds.close().catch(this.#onProblem), late]);
    clearTimeout(timer);
    return unwritten;
  }

  /** How much a plan has of a quota at a moment, occasions included; null is unlimited. */
  amountOf(quota: string, plan: string | null, wallMs: number): number | null {
    const { quotas, plans, defaultPlan } = this.#basis;
    const held = plans[plan ?? ''] ?? plans[defaultPlan];
    const amount = held?.quotas[quota] ?? quotas[quota]?.limit ?? null;
    if (amount === null || amount >= UNLIMITED_QUOTA) return null;
    return Math.min(UNLIMITED_QUOTA, boostedAmount(amount, held?.occasions ?? [], wallMs));
  }

  #begin(): void {
    this.#running ??= Promise.resolve().then(async () => {
      const waits = (): boolean => this.#asked.length + this.#reported.length + this.#batch.length > 0;
      while (waits() && !this.#isClosed) await this.#work();
      this.#running = null;
    });
  }

  async #work(): Promise<void> {
    const asked = this.#asked;
    this.#asked = [];
    if (this.#batch.length === 0) {
      this.#batch = merged(this.#reported);
      this.#reported = [];
      this.#batches++;
    }
    const reported = this.#batch;
    try {
      const answers = await this.#store.transaction(async (trx) => {
        await withFreezesApart(this.#store, trx);
        const frozen = await this.#frozenOf(trx, reported);
        await holdRows(this.#store, trx, this.#rowsOf(asked, reported, frozen), this.#clock.wallMs());
        if (await this.#isNew(trx, reported)) for (const report of reported) await this.#book(trx, report, frozen);
        if (asked.length > 0) await this.#holds.isAlive(trx);
        const done: { readonly at: number; readonly answer: QuotaAnswer }[] = [];
        for (const at of inOrder(asked))
          done.push({ at, answer: await this.#grant(trx, (asked[at] as Asked).question) });
        return done;
      });
      for (const { used } of reported) this.used += used;
      this.#batch = [];
      for (const { at, answer } of answers) {
        if (answer.granted > 0) this.granted++;
        else this.refused++;
        asked[at]?.resolve(answer);
      }
    } catch (error) {
      this.failed += asked.length + reported.length;
      this.#onProblem(error);
      for (const one of asked) one.reject(error);
      // Usage must not be lost to a database that is away for a moment: the batch stays, under its number.
      if (this.#asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }

  async #grant(trx: Trx, question: QuotaQuestion): Promise<QuotaAnswer> {
    const definition = this.#basis.quotas[question.quota] as QuotaDefinition;
    const nowMs = this.#clock.wallMs();
    const period = periodAt(definition.per, definition.timeZone, nowMs);
    const amount = this.amountOf(question.quota, question.plan, nowMs) ?? UNLIMITED_QUOTA;
    const accounts = payers(definition, question).map(([account, cap]) => [account, Math.min(amount, cap)] as const);
    accounts.sort(([one], [other]) => (one < other ? -1 : 1));
    let room = UNLIMITED_QUOTA;
    let limit = UNLIMITED_QUOTA;
    for (const [account, most] of accounts) {
      const { used, held } = await this.#row(trx, question, account, period, most, nowMs);
      if (most - used - held < room) {
        room = Math.max(0, most - used - held);
        limit = most;
      }
    }
    const granted = room < question.least ? 0 : Math.min(room, question.want);
    if (granted > 0) {
      for (const [account] of accounts) {
        await trx
          .updateTable('limits_usage')
          .set((row) => ({ held: row('held', '+', granted), updated_at: nowMs }))
          .where('quota', '=', question.quota)
          .where('account', '=', account)
          .where('period', '=', period.id)
          .execute();
        await this.#holds.granted(trx, { quota: question.quota, account, period: period.id }, granted);
      }
    }
    const periodSeconds = Math.round((period.endMs - period.startMs) / 1_000);
    return { granted, remaining: room - granted, limit, period: period.id, periodSeconds, endMs: period.endMs };
  }

  async #row(trx: Trx, question: QuotaQuestion, account: string, period: Period, most: number, nowMs: number) {
    const { quota, plan } = question;
    await trx
      .insertInto('limits_usage')
      .values(unusedRow({ quota, account, period }, plan, most, nowMs))
      .onConflict((conflict) =>
        conflict.columns(['quota', 'account', 'period']).doUpdateSet({ plan, amount: most, updated_at: nowMs }),
      )
      .execute();
    // The update above holds the row until the end of the transaction.
    const row = await trx
      .selectFrom('limits_usage')
      .select(['used', 'held'])
      .where('quota', '=', quota)
      .where('account', '=', account)
      .where('period', '=', period.id)
      .executeTakeFirstOrThrow();
    return { used: Number(row.used), held: Number(row.held) };
  }

  /** False when this batch was committed before and only the answer was lost. */
  async #isNew(trx: Trx, reported: readonly QuotaReport[]): Promise<boolean> {
    if (reported.length === 0) return false;
    const row = { id: this.#writer, batch: this.#batches, written_at: this.#clock.wallMs() };
    const written = await trx
      .insertInto('limits_writers')
      .values(row)
      .onConflict((conflict) =>
        conflict
          .column('id')
          .doUpdateSet({ batch: row.batch, written_at: row.written_at })
          .where('limits_writers.batch', '<', row.batch),
      )
      .executeTakeFirst();
    return (written.numInsertedOrUpdatedRows ?? 0n) > 0n;
  }

  /** Which of the periods that are reported on were exported, as `QUOTA\nPERIOD`. */
  async #frozenOf(trx: Trx, reported: readonly QuotaReport[]): Promise<ReadonlySet<string>> {
    const periods = [...new Set(reported.map(({ period }) => period))];
    if (periods.length === 0) return new Set();
    const rows = await trx
      .selectFrom('limits_frozen')
      .select(['quota', 'period'])
      .where('period', 'in', periods)
      .execute();
    return new Set(rows.map(({ quota, period }) => `${quota}\n${period}`));
  }

  /** Where a report is booked: its own period, or the present one when that was exported. */
  #periodFor(report: QuotaReport, frozen: ReadonlySet<string>): Period {
    const { per, timeZone } = this.#basis.quotas[report.quota] as QuotaDefinition;
    const named = frozen.has(`${report.quota}\n${report.period}`) ? undefined : periodOf(per, timeZone, report.period);
    return named ?? periodAt(per, timeZone, this.#clock.wallMs());
  }

  #rowsOf(asked: readonly Asked[], reported: readonly QuotaReport[], frozen: ReadonlySet<string>): UsageKey[] {
    const rows = (basis: QuotaQuestion | QuotaReport, period: Period): UsageKey[] =>
      payers(this.#basis.quotas[basis.quota] as QuotaDefinition, basis).map(([account]) => ({
        quota: basis.quota,
        account,
        period,
      }));
    const nowMs = this.#clock.wallMs();
    const present = ({ per, timeZone }: QuotaDefinition): Period => periodAt(per, timeZone, nowMs);
    return [
      ...reported.flatMap((report) => rows(report, this.#periodFor(report, frozen))),
      ...asked.flatMap(({ question }) =>
        rows(question, present(this.#basis.quotas[question.quota] as QuotaDefinition)),
      ),
    ];
  }

  async #book(trx: Trx, report: QuotaReport, frozen: ReadonlySet<string>): Promise<void> {
    const nowMs = this.#clock.wallMs();
    const period = this.#periodFor(report, frozen);
    const isLate = frozen.has(`${report.quota}\n${report.period}`);
    for (const [account] of payers(this.#basis.quotas[report.quota] as QuotaDefinition, report)) {
      await this.#add(
        trx,
        report,
        account,
        period,
        report.used,
        isLate ? 0 : report.settled,
        isLate ? report.used : 0,
        nowMs,
      );
    }
  }

  async #add(
    trx: Trx,
    { quota }: QuotaReport,
    account: string,
    period: Period,
    used: number,
    settled: number,
    late: number,
    nowMs: number,
  ): Promise<void> {
    await trx
      .insertInto('limits_usage')
      .values({
        quota,
        account,
        period: period.id,
        start_at: period.startMs,
        end_at: period.endMs,
        used,
        held: 0,
        late,
        plan: null,
        amount: 0,
        updated_at: nowMs,
      })
      .onConflict((conflict) =>
        conflict.columns(['quota', 'account', 'period']).doUpdateSet((row) => ({
          used: row('limits_usage.used', '+', used),
          late: row('limits_usage.late', '+', late),
          updated_at: nowMs,
        })),
      )
      .execute();
    const back = await this.#holds.settled(trx, { quota, account, period: period.id }, settled);
    if (back === 0) return;
    await trx
      .updateTable('limits_usage')
      .set((row) => ({ held: row('held', '-', back) }))
      .where('quota', '=', quota)
      .where('account', '=', account)
      .where('period', '=', period.id)
      .execute();
  }
}

/** Whose rows a caller uses up, with what a parent allows its child. */
function payers(
  { share }: QuotaDefinition,
  { account, parent, cap }: { readonly account: string; readonly parent: string | null; readonly cap: number | null },
): [account: string, cap: number][] {
  if (parent === null || parent === account) return [[account, cap ?? UNLIMITED_QUOTA]];
  const own: [string, number] = [account, cap ?? UNLIMITED_QUOTA];
  const parents: [string, number] = [parent, UNLIMITED_QUOTA];
  if (share === 'own') return [own];
  // A cap is the parent's word and holds wherever the use is counted, so the child's own row is kept too.
  return share === 'parent' && cap === null ? [parents] : [own, parents];
}

/** Reports on the same thing as one, in a fixed order. */
function merged(reports: readonly QuotaReport[]): QuotaReport[] {
  const sums = new Map<string, QuotaReport>();
  for (const report of reports) {
    const key = [report.quota, report.period, report.account, report.parent ?? '', report.cap ?? ''].join('\n');
    const sum = sums.get(key);
    const { used = 0, settled = 0 } = sum ?? {};
    sums.set(key, { ...report, used: used + report.used, settled: settled + report.settled });
  }
  return [...sums].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, report]) => report);
}

function inOrder(asked: readonly Asked[]): number[] {
  const key = ({ question }: Asked): string =>
    `${question.quota}\n${question.parent ?? question.account}\n${question.account}`;
  const keys = asked.map(key);
  return keys.map((_key, i) => i).sort((x, y) => ((keys[x] ?? '') < (keys[y] ?? '') ? -1 : x - y));
}
