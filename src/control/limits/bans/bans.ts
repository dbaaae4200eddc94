/**
 * Who is banned, why and until when: kept in SQL, held in memory, published to the workers whole whenever it changes.
 * Bans by rule grow: each further one of the same caller is longer, until the earlier ones are forgotten. Bans of
 * other machines come in through Redis (ban-share.ts) or the store of a cluster (fact-share.ts). Owner: the main
 * thread.
 */
import { randomUUID } from 'node:crypto';
import { type Clock, systemClock } from '../../../base/clock.ts';
import type { Logger } from '../../../base/log.ts';
import { type Cancel, systemTimers, type Timers } from '../../../base/system-timers.ts';
import type { AbuseTrip, BanKind, PublishedBans } from '../../../data/contract/limits.ts';
import type { TellSecurity } from '../../security-journal.ts';
import type { Store } from '../../store/store.ts';
import type { BanRow, LimitTables } from '../tables.ts';
import type { BanTimes } from './abuse-options.ts';

export interface Ban {
  readonly id: string;
  readonly kind: BanKind;
  readonly subject: string;
  readonly reason: string;
  readonly madeBy: string;
  readonly madeAtMs: number;
  /** Null: until it is lifted. */
  readonly endsAtMs: number | null;
  readonly liftedAtMs: number | null;
  readonly liftedBy: string | null;
  readonly strikes: number;
}

export interface NewBan {
  readonly kind: BanKind;
  readonly subject: string;
  readonly reason: string;
  readonly madeBy: string;
  /** Null: until it is lifted. */
  readonly forMs: number | null;
}

export interface BanQuery {
  readonly kind?: BanKind | undefined;
  readonly subject?: string | undefined;
  /** Also those that have ended or were lifted. */
  readonly all?: boolean;
  readonly limit?: number;
}

export interface BanBookParts {
  readonly store: Store<LimitTables>;
  readonly log: Logger;
  readonly publish: (bans: PublishedBans) => void;
  readonly times: BanTimes;
  readonly maxBans: number;
  readonly clock?: Clock;
  readonly timers?: Timers;
  /** Tells the stream of security events. */
  readonly tellSecurity?: TellSecurity;
}

/** Tells other machines of bans made and lifted here. */
export interface BanShare {
  made(ban: Ban): void;
  lifted(ban: Ban): void;
}

/** Bans that are over are listed so long, with `all`. */
const KEPT_MS = 90 * 86_400_000;
/** Longer than any process takes to end after another has taken over. */
const REREAD_MS = 3_600_000;

export class BanBook {
  readonly #store: Store<LimitTables>;
  readonly #log: Logger;
  readonly #publish: (bans: PublishedBans) => void;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #tellSecurity: TellSecurity | undefined;
  #times: BanTimes;
  #maxBans: number;
  readonly #active = new Map<string, Ban>();
  #share: BanShare | null = null;
  #cancelEnd: Cancel = () => {};
  #isPublishing = false;
  /** Trips are worked off one after the other: two of one caller must not make two bans. */
  #queue: Promise<unknown> = Promise.resolve();
  readonly #madeByRule = new Map<string, number>();

  constructor(parts: BanBookParts) {
    const { store, log, publish, times, maxBans, clock = systemClock, timers = systemTimers, tellSecurity } = parts;
    this.#tellSecurity = tellSecurity;
    this.#store = store;
    this.#log = log;
    this.#publish = publish;
    this.#times = times;
    this.#maxBans = maxBans;
    this.#clock = clock;
    this.#timers = timers;
  }

  configure(times: BanTimes, maxBans: number): void {
    this.#times = times;
    this.#maxBans = maxBans;
  }

  shareWith(share: BanShare | null): void {
    this.#share = share;
  }

  /** Reads what holds, and publishes it; clears away what has been over for long. */
  async load(): Promise<void> {
    const nowMs = this.#clock.wallMs();
    await this.#store.db
      .deleteFrom('limits_bans')
      .where('made_at', '<', nowMs - KEPT_MS)
      .where((row) => row.or([row('lifted_at', 'is not', null), row('ends_at', '<', nowMs - KEPT_MS)]))
      .execute();
    const rows = await this.#store.db
      .selectFrom('limits_bans')
      .selectAll()
      .where('lifted_at', 'is', null)
      .where((row) => row.or([row('ends_at', 'is', null), row('ends_at', '>', nowMs)]))
      .execute();
    for (const row of rows) this.#active.set(row.id, banOf(row));
    this.#changed();
  }

  /** Reads anew, after another process wrote: bans that it made hold, those that it lifted do not. */
  reread(): Promise<void> {
    return this.#inTurn(async () => {
      const lifted = await this.#store.db
        .selectFrom('limits_bans')
        .select('id')
        .where('lifted_at', '>', this.#clock.wallMs() - REREAD_MS)
        .execute();
      for (const { id } of lifted) this.#active.delete(id);
      await this.load();
    });
  }

  get activeCount(): number {
    return this.#active.size;
  }

  /** Bans made since the start, by rule or `administrator`. */
  get madeByRule(): ReadonlyMap<string, number> {
    return this.#madeByRule;
  }

  active(): readonly Ban[] {
    return [...this.#active.values()];
  }

  /** A worker saw a rule broken. Never rejects. */
  trip({ rule, kind, subject }: AbuseTrip): Promise<void> {
    return this.#inTurn(async () => {
      const nowMs = this.#clock.wallMs();
      if (this.#find(kind, subject, nowMs) !== undefined) return;
      const strikes = await this.#strikes(kind, subject, nowMs);
      const { firstMs, factor, longestMs } = this.#times;
      const forMs = Math.min(longestMs, firstMs * factor ** Math.min(strikes, 64));
      await this.#make({ kind, subject, reason: `rule ${rule} was broken`, madeBy: `rule ${rule}`, forMs }, strikes);
      this.#log.warn('a caller was banned', { kind, subject, rule, seconds: Math.round(forMs / 1_000), strikes });
    }).catch((error: unknown) => {
      this.#log.error('a ban could not be made', {
        kind,
        rule,
        reason: error instanceof Error ? error.message : String(error),
      });
    });
  }

  /** An administrator bans. A ban of the same subject that holds is replaced. */
  ban(wanted: NewBan): Promise<Ban> {
    return this.#inTurn(async () => {
      const known = this.#find(wanted.kind, wanted.subject, this.#clock.wallMs());
      if (known !== undefined) await this.#lift(known, wanted.madeBy);
      return await this.#make(wanted, 0);
    });
  }

  /** False when there is no such ban that holds. */
  lift(id: string, by: string): Promise<boolean> {
    return this.#inTurn(async () => {
      const ban = this.#active.get(id);
      if (ban === undefined) return false;
      await this.#lift(ban, by);
      return true;
    });
  }

  /** Newest first. */
  async list({ kind, subject, all = false, limit = 1_000 }: BanQuery): Promise<Ban[]> {
    let query = this.#store.db.selectFrom('limits_bans').selectAll();
    if (kind !== undefined) query = query.where('kind', '=', kind);
    if (subject !== undefined) query = query.where('subject', '=', subject);
    if (!all) {
      const nowMs = this.#clock.wallMs();
      query = query
        .where('lifted_at', 'is', null)
        .where((row) => row.or([row('ends_at', 'is', null), row('ends_at', '>', nowMs)]));
    }
    const rows = await query.orderBy('made_at', 'desc').orderBy('id').limit(limit).execute();
    return rows.map(banOf);
  }

  /** A ban from another machine, or what became of one. */
  learn(ban: Ban): Promise<void> {
    return this.#inTurn(async () => {
      const isOver = ban.liftedAtMs !== null || (ban.endsAtMs !== null && ban.endsAtMs <= this.#clock.wallMs());
      const known = this.#active.get(ban.id);
      if ((known === undefined) === isOver) return;
      if (!isOver && (await this.#wasLifted(ban.id))) return;
      await this.#store.db
        .insertInto('limits_bans')
        .values(rowOf(ban))
        .onConflict((conflict) =>
          conflict.column('id').doUpdateSet({ lifted_at: ban.liftedAtMs, lifted_by: ban.liftedBy }),
        )
        .execute();
      if (isOver) this.#active.delete(ban.id);
      else this.#active.set(ban.id, ban);
      this.#changed();
    });
  }

  /** True for a ban that was lifted here before the others knew: they are informed now. */
  async #wasLifted(id: string): Promise<boolean> {
    const row = await this.#store.db.selectFrom('limits_bans').selectAll().where('id', '=', id).executeTakeFirst();
    if (row === undefined || row.lifted_at === null) return false;
    this.#share?.lifted(banOf(row));
    return true;
  }

  close(): void {
    this.#cancelEnd();
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(task);
    this.#queue = result.catch(() => {});
    return result;
  }

  #find(kind: BanKind, subject: string, nowMs: number): Ban | undefined {
    for (const ban of this.#active.values()) {
      if (ban.kind === kind && ban.subject === subject && (ban.endsAtMs === null || ban.endsAtMs > nowMs)) return ban;
    }
    return undefined;
  }

  /** Earlier bans by rule that are not forgotten; one that was lifted was a mistake and does not count. */
  async #strikes(kind: BanKind, subject: string, nowMs: number): Promise<number> {
    const row = await this.#store.db
      .selectFrom('limits_bans')
      .select((select) => select.fn.countAll().as('count'))
      .where('kind', '=', kind)
      .where('subject', '=', subject)
      .where('made_by', 'like', 'rule %')
      .where('lifted_at', 'is', null)
      .where('made_at', '>', nowMs - this.#times.forgetMs)
      .executeTakeFirst();
    return Number(row?.count ?? 0);
  }

  async #make({ forMs, ...rest }: NewBan, strikes: number): Promise<Ban> {
    const nowMs = this.#clock.wallMs();
    const ban: Ban = {
      id: randomUUID(),
      ...rest,
      madeAtMs: nowMs,
      endsAtMs: forMs === null ? null : nowMs + Math.round(forMs),
      liftedAtMs: null,
      liftedBy: null,
      strikes,
    };
    await this.#store.db.insertInto('limits_bans').values(rowOf(ban)).execute();
    if (this.#active.size >= this.#maxBans) this.#makeRoom();
    this.#active.set(ban.id, ban);
    const by = ban.madeBy.startsWith('rule ') ? ban.madeBy.slice('rule '.length) : 'administrator';
    this.#madeByRule.set(by, (this.#madeByRule.get(by) ?? 0) + 1);
    this.#share?.made(ban);
    this.#tell('ban.made', ban, ban.madeBy);
    this.#changed();
    return ban;
  }

  async #lift(ban: Ban, by: string): Promise<void> {
    const lifted: Ban = { ...ban, liftedAtMs: this.#clock.wallMs(), liftedBy: by };
    await this.#store.db
      .updateTable('limits_bans')
      .set({ lifted_at: lifted.liftedAtMs, lifted_by: by })
      .where('id', '=', ban.id)
      .execute();
    this.#active.delete(ban.id);
    this.#share?.lifted(lifted);
    this.#tell('ban.lifted', lifted, by);
    this.#changed();
  }

  #tell(event: string, { kind, subject, reason, endsAtMs, strikes }: Ban, by: string): void {
    const until = endsAtMs === null ? undefined : new Date(endsAtMs).toISOString();
    this.#tellSecurity?.(event, { kind, subject, reason, actor: by, until, strikes });
  }

  #makeRoom(): void {
    let soonest: Ban | undefined;
    for (const ban of this.#active.values()) {
      if (ban.endsAtMs === null) continue;
      if (soonest?.endsAtMs === undefined || soonest.endsAtMs === null || ban.endsAtMs < soonest.endsAtMs)
        soonest = ban;
    }
    if (soonest === undefined) throw new Error(`there are ${this.#active.size} bans without end, no more are taken`);
    this.#active.delete(soonest.id);
    this.#log.warn('the limit of bans is reached; one ends early', {
      kind: soonest.kind,
      subject: soonest.subject,
    });
  }

  /** Changes of one turn are published together. */
  #changed(): void {
    this.#watchEnds();
    if (this.#isPublishing) return;
    this.#isPublishing = true;
    setImmediate(() => {
      this.#isPublishing = false;
      const subjects = (kind: BanKind): string[] =>
        this.active()
          .filter((ban) => ban.kind === kind)
          .map((ban) => ban.subject);
      this.#publish({ addresses: subjects('address'), users: subjects('user'), keys: subjects('key') });
    });
  }

  #watchEnds(): void {
    this.#cancelEnd();
    this.#cancelEnd = () => {};
    let next = Number.POSITIVE_INFINITY;
    for (const { endsAtMs } of this.#active.values()) next = Math.min(next, endsAtMs ?? next);
    if (next === Number.POSITIVE_INFINITY) return;
    this.#cancelEnd = this.#timers.after(Math.max(0, next - this.#clock.wallMs()), () => {
      const nowMs = this.#clock.wallMs();
      for (const [id, ban] of this.#active) if (ban.endsAtMs !== null && ban.endsAtMs <= nowMs) this.#active.delete(id);
      this.#changed();
    });
  }
}

function banOf(row: BanRow): Ban {
  return {
    id: row.id,
    kind: row.kind as BanKind,
    subject: row.subject,
    reason: row.reason,
    madeBy: row.made_by,
    madeAtMs: Number(row.made_at),
    endsAtMs: row.ends_at === null ? null : Number(row.ends_at),
    liftedAtMs: row.lifted_at === null ? null : Number(row.lifted_at),
    liftedBy: row.lifted_by,
    strikes: Number(row.strikes),
  };
}

function rowOf(ban: Ban): BanRow {
  return {
    id: ban.id,
    kind: ban.kind,
    subject: ban.subject,
    reason: ban.reason,
    made_by: ban.madeBy,
    made_at: ban.madeAtMs,
    ends_at: ban.endsAtMs,
    lifted_at: ban.liftedAtMs,
    lifted_by: ban.liftedBy,
    strikes: ban.strikes,
  };
}
