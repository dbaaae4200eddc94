/**
 * Carries facts (control/facts.ts) through the store of the cluster: one row a topic and key, each change with the next
 * number of one sequence, so that a node reads on from the number that it has seen last. The numbers are given inside
 * the transaction that writes, one writer at a time: they are in the order of commits.
 *
 * A node looks about once a second, less often where many share the store, and gets the newest number with each
 * heartbeat anyway. Facts sent while the store is away are written when it is back. Owner: the process.
 */
import { randomUUID } from 'node:crypto';
import type { Transaction } from 'kysely';
import { sql } from 'kysely';
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Cancel, Timers } from '../../base/system-timers.ts';
import type { FactCarrier, Facts } from '../facts.ts';
import { LEAST_KEPT_MS } from '../facts.ts';
import { databaseNow, readDatabaseTime } from '../store/database-time.ts';
import type { Store } from '../store/store.ts';
import type { Crowd } from './crowd.ts';
import type { ClusterTables, FactRow } from './tables.ts';

export interface FactBoardParts {
  readonly store: Store<ClusterTables>;
  readonly facts: Facts;
  readonly node: string;
  readonly heartbeatMs: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  readonly crowd: Pick<Crowd, 'pacedMs' | 'turnMs'>;
}

interface Waiting {
  readonly topic: string;
  readonly key: string;
  readonly value: string;
  readonly keptMs: number;
  readonly done: (isWritten: boolean) => void;
}

/** Row of the table of leases whose epoch is the newest number. */
export const FACTS_SEQUENCE = 'facts';
const LOOK_MS = 800;
/** By all gateways together. */
const ALL_PER_SECOND = 100;
/** Facts of one moment share a transaction. */
const GATHER_MS = 20;
/** Who tells waits for the store so long at most. */
const LONGEST_WRITE_MS = 2_000;
const PAGE = 1_000;
/** Told and not written: the oldest are given up first. */
const MOST_WAITING = 10_000;
const LONGEST_VALUE = 64 * 1024;
const MOST_KEPT = 100_000;

export class FactBoard implements FactCarrier {
  readonly #parts: FactBoardParts;
  /** Of this process: its own facts are not news to it. */
  readonly #origin: string;
  readonly #waiting = new Map<string, Waiting>();
  #last = 0;
  /** When the store was last read to the end, monotonic; null before the first time. */
  #readMs: number | null = null;
  #isBehind = true;
  #working: Promise<void> = Promise.resolve();
  /** A reading that was asked for and has not begun. */
  #asked: Promise<boolean> | null = null;
  #cancelLook: Cancel = () => {};
  #cancelWrite: Cancel = () => {};
  #isClosed = false;
  told = 0;
  heard = 0;

  constructor(parts: FactBoardParts) {
    this.#parts = parts;
    this.#origin = `${parts.node} ${randomUUID()}`;
  }

  start(): void {
    this.#parts.facts.carryBy(this);
    this.#look();
  }

  /** What waits for the store. */
  get waiting(): number {
    return this.#waiting.size;
  }

  tell(topic: string, key: string, value: unknown, keptMs: number): Promise<boolean> {
    const text = JSON.stringify(value);
    if (text.length > LONGEST_VALUE) throw new RangeError(`a fact has at most ${LONGEST_VALUE} bytes`);
    return new Promise((resolve) => {
      const cancel = this.#parts.timers.after(LONGEST_WRITE_MS, () => resolve(false));
      const id = `${topic} ${key}`;
      const replaced = this.#waiting.get(id);
      const done = (isWritten: boolean): void => {
        cancel();
        replaced?.done(isWritten);
        resolve(isWritten);
      };
      this.#waiting.delete(id);
      this.#waiting.set(id, { topic, key, value: text, keptMs: Math.max(keptMs, LEAST_KEPT_MS), done });
      if (this.#waiting.size > MOST_WAITING) this.#giveUpOldest();
      this.#cancelWrite();
      this.#cancelWrite = this.#parts.timers.after(GATHER_MS, () => void this.#inTurn(() => this.#write()));
    });
  }

  #giveUpOldest(): void {
    const [oldest] = this.#waiting;
    if (oldest === undefined) return;
    this.#waiting.delete(oldest[0]);
    oldest[1].done(false);
    this.#parts.log.warn('too many facts wait for the cluster; the oldest are given up', { waiting: MOST_WAITING });
  }

  replay(topic: string): void {
    void this.#inTurn(async () => {
      const rows = await this.#select().where('topic', '=', topic).where('seq', '<=', this.#last).execute();
      this.#deliver(rows.map(({ now, ...row }) => [row, Number(now)] as const));
    });
  }

  get readMs(): number | null {
    return this.#isBehind ? null : this.#readMs;
  }

  isWaiting(topic: string, key: string): boolean {
    return this.#waiting.has(`${topic} ${key}`);
  }

  /** Who asks while a reading waits for its turn shares it. */
  catchUp(): Promise<boolean> {
    if (this.#isBehind || this.#isClosed) return Promise.resolve(false);
    this.#asked ??= new Promise((resolve) => {
      const cancel = this.#parts.timers.after(LONGEST_WRITE_MS, () => resolve(false));
      const read = async (): Promise<void> => {
        this.#asked = null;
        await this.#read();
      };
      void this.#inTurn(read).then(() => {
        cancel();
        resolve(!this.#isBehind);
      });
    });
    return this.#asked;
  }

  /** The newest number, as a heartbeat saw it that began at `seenMs` (monotonic). */
  newest(seq: number, seenMs: number): void {
    if (this.#isClosed) return;
    const last = this.#last;
    if (seq === last) {
      if (!this.#isBehind) this.#hasReadAllOf(seenMs);
      return;
    }
    // A lower number may be older than what was read meanwhile: only the store itself says that it was made anew.
    const seen = seq > last ? { seq, seenMs } : undefined;
    void this.#inTurn(async () => (this.#last === last ? await this.#read(seen) : undefined));
  }

  async close(): Promise<void> {
    this.#parts.facts.carryBy(null);
    await this.#inTurn(() => this.#write());
    this.#isClosed = true;
    this.#cancelLook();
    this.#cancelWrite();
    await this.#working;
    for (const { done } of this.#waiting.values()) done(false);
    this.#waiting.clear();
  }

  // --- turns ---------------------------------------------------------------------------------------------------------

  #look(): void {
    void this.#inTurn(async () => {
      await this.#write();
      await this.#read();
    }).then(() => {
      if (this.#isClosed) return;
      const { crowd, timers, heartbeatMs } = this.#parts;
      // If looks would be as rare as heartbeats, heartbeats are enough; waiting facts are still written.
      const isCrowded = crowd.pacedMs(LOOK_MS, ALL_PER_SECOND) >= heartbeatMs && this.#waiting.size === 0;
      const nextMs = isCrowded && !this.#isBehind ? 10 * heartbeatMs : crowd.turnMs(LOOK_MS, ALL_PER_SECOND);
      this.#cancelLook = timers.after(nextMs, () => this.#look());
    });
  }

  /** One at a time. Never rejects: the store being away is said once, and costs staleness. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#working = this.#working.then(work).catch((error: unknown) => {
      if (!this.#isBehind)
        this.#parts.log.warn('facts of the cluster wait for the store', { reason: messageOf(error) });
      this.#isBehind = true;
    });
    return this.#working;
  }

  async #write(): Promise<void> {
    if (this.#waiting.size === 0 || this.#isClosed) return;
    const batch = [...this.#waiting].slice(0, PAGE);
    const { store } = this.#parts;
    await store.transaction(async (trx) => {
      const { rows } = await sql<{ epoch: number }>`
        insert into cluster_leases (name, holder, epoch, until) values (${FACTS_SEQUENCE}, '', ${batch.length}, 0)
        on conflict (name) do update set epoch = cluster_leases.epoch + ${batch.length}
        returning epoch`.execute(trx);
      const first = Number(rows[0]?.epoch ?? 0) - batch.length + 1;
      const now = await readDatabaseTime(trx, store.dialect);
      for (let at = 0; at < batch.length; at += 100)
        await trx
          .insertInto('cluster_facts')
          .values(
            batch.slice(at, at + 100).map(([, { topic, key, value, keptMs }], i) => ({
              topic,
              key,
              value,
              seq: first + at + i,
              node: this.#origin,
              told_at: now,
              expires_at: now + keptMs,
            })),
          )
          .onConflict((known) =>
            known.columns(['topic', 'key']).doUpdateSet((set) => ({
              seq: set.ref('excluded.seq'),
              value: set.ref('excluded.value'),
              node: set.ref('excluded.node'),
              told_at: set.ref('excluded.told_at'),
              expires_at: set.ref('excluded.expires_at'),
            })),
          )
          .execute();
    });
    this.told += batch.length;
    for (const [id, waiting] of batch) {
      if (this.#waiting.get(id) === waiting) this.#waiting.delete(id);
      waiting.done(true);
    }
  }

  async #newest(): Promise<number> {
    const row = await this.#parts.store.db
      .selectFrom('cluster_leases')
      .select('epoch')
      .where('name', '=', FACTS_SEQUENCE)
      .executeTakeFirst();
    return Number(row?.epoch ?? 0);
  }

  /** `seen`: the newest number, where it was seen a moment ago; what was sent after that moment may be missing. */
  async #read(seen?: { readonly seq: number; readonly seenMs: number }): Promise<void> {
    const { clock, facts } = this.#parts;
    const startedMs = clock.monotonicMs();
    const newest = seen?.seq ?? (await this.#newest());
    const isAnew = newest < this.#last;
    if (isAnew) this.#last = 0;
    const isLate = this.#readMs !== null && startedMs - this.#readMs > LEAST_KEPT_MS;
    if (isAnew || isLate) facts.missed();
    while (this.#last < newest) {
      const rows = await this.#select().where('seq', '>', this.#last).orderBy('seq').limit(PAGE).execute();
      this.#deliver(rows.map(({ now, ...each }) => [each, Number(now)] as const));
      // What has expired, or was sent anew meanwhile, leaves numbers without rows.
      this.#last = rows.length < PAGE ? Math.max(newest, Number(rows.at(-1)?.seq ?? 0)) : Number(rows.at(-1)?.seq);
    }
    this.#hasReadAllOf(seen?.seenMs ?? startedMs);
    if (!this.#isBehind && !isAnew) return;
    this.#isBehind = false;
    facts.caughtUp();
  }

  /** Up to this moment; another reading may have got further already. */
  #hasReadAllOf(ms: number): void {
    this.#readMs = Math.max(this.#readMs ?? ms, ms);
  }

  #select() {
    const { db, dialect } = this.#parts.store;
    const now = databaseNow(dialect);
    return db.selectFrom('cluster_facts').selectAll().select(now.as('now')).where('expires_at', '>', now);
  }

  #deliver(rows: readonly (readonly [FactRow, number])[]): void {
    for (const [{ topic, key, value, node, told_at }, now] of rows) {
      if (node === this.#origin) continue;
      this.heard++;
      this.#parts.facts.deliver(topic, {
        key,
        value: parsed(value),
        ageMs: Math.max(0, now - Number(told_at)),
        node: node.slice(0, node.indexOf(' ')),
      });
    }
  }
}

/**
 * Forgets what holds no more, and of more than so many the oldest. Numbers do not count them: what is sent again and
 * again, such as a registration, uses many up and is one.
 */
export async function pruneFacts(trx: Transaction<ClusterTables>, now: number, mostKept = MOST_KEPT): Promise<void> {
  await trx
    .deleteFrom('cluster_facts')
    .where((where) =>
      where.or([
        where('expires_at', '<', now),
        where(
          'seq',
          '<=',
          where.selectFrom('cluster_facts').select('seq').orderBy('seq', 'desc').offset(mostKept).limit(1),
        ),
      ]),
    )
    .execute();
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
