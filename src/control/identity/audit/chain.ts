/**
 * The audit log: entries that only grow, each with a keyed MAC (HMAC-SHA-256) over itself and the MAC before it, so
 * that changing, removing, inserting or swapping entries shows. The last number and MAC are in `audit_head`, which
 * every writer locks first: two processes on one database make one chain. Cutting off the end together with a
 * restored head cannot be seen from inside; keep `gatehouse audit head` elsewhere to see that too.
 *
 * Inside a larger transaction `append` comes last, so that all writers take their locks in the same order.
 */
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { Transaction } from 'kysely';
import type { Clock } from '../../../base/clock.ts';
import type { Store } from '../../store/store.ts';
import type { AuditTable, IdentityTables } from '../tables.ts';

export interface AuditEntry {
  /** Account id, `system`, `anonymous`, or `admin as user` when impersonating. */
  readonly actor: string;
  /** `session.created`, `user.disabled`: thing and what happened. */
  readonly action: string;
  readonly target?: string;
  readonly address?: string;
  readonly requestId?: string;
  /** Never a secret, never a password, at most a few short values. */
  readonly detail?: Readonly<Record<string, string | number | boolean | null | readonly string[]>>;
}

/** Hears of each entry, also of those that the bound for strangers leaves out. */
export type AuditListener = (entry: AuditEntry) => void;

export interface AuditVerdict {
  readonly entries: number;
  /** First entry that does not fit, and why; null when the chain is whole. */
  readonly broken: { readonly seq: number; readonly why: string } | null;
  readonly head: { readonly seq: number; readonly mac: string };
}

const PAGE = 500;
/** Entries with the actor `anonymous`: so many at once, then one in this time. */
const STRANGER_BURST = 200;
const STRANGER_STEP_MS = 5_000;

export class AuditLog {
  readonly #store: Store<IdentityTables>;
  readonly #key: KeyObject;
  readonly #clock: Clock;
  readonly #heard: AuditListener | undefined;
  /** Entries by action since the start of this process, for metrics: the names are fixed, so they are few. */
  readonly counts = new Map<string, number>();
  #strangersDue = 0;
  #leftOut = 0;

  constructor(store: Store<IdentityTables>, key: KeyObject, clock: Clock, heard?: AuditListener) {
    this.#store = store;
    this.#key = key;
    this.#clock = clock;
    this.#heard = heard;
  }

  /** An entry of its own. */
  async write(entry: AuditEntry): Promise<void> {
    await this.#store.transaction((trx) => this.append(trx, entry));
  }

  /**
   * An entry that stands or falls with the caller's transaction. What strangers cause is bounded: beyond a few a minute
   * it is only counted, and the next such entry says how many are missing before it.
   */
  async append(trx: Transaction<IdentityTables>, entry: AuditEntry): Promise<void> {
    this.counts.set(entry.action, (this.counts.get(entry.action) ?? 0) + 1);
    this.#heard?.(entry);
    if (entry.actor === 'anonymous') {
      if (!this.#mayWriteForStranger()) return;
      const left = this.#leftOut;
      this.#leftOut = 0;
      if (left > 0) entry = { ...entry, detail: { ...entry.detail, leftOutBefore: left } };
    }
    // Takes the row's lock in PostgreSQL; in SQLite the transaction holds the only one already.
    const head = await trx
      .updateTable('audit_head')
      .set((eb) => ({ seq: eb('seq', '+', 1) }))
      .where('id', '=', 1)
      .returning(['seq', 'mac'])
      .executeTakeFirstOrThrow();
    const row = {
      seq: head.seq,
      at: this.#clock.wallMs(),
      actor: entry.actor,
      action: entry.action,
      target: entry.target ?? '',
      address: entry.address ?? '',
      request_id: entry.requestId ?? '',
      detail: JSON.stringify(entry.detail ?? {}),
    };
    const mac = this.#mac(head.mac, row);
    await trx
      .insertInto('audit_log')
      .values({ ...row, mac })
      .execute();
    await trx.updateTable('audit_head').set({ mac }).where('id', '=', 1).execute();
  }

  #mayWriteForStranger(): boolean {
    const now = this.#clock.monotonicMs();
    const due = Math.max(this.#strangersDue, now) + STRANGER_STEP_MS;
    if (due - now > STRANGER_STEP_MS * STRANGER_BURST) {
      this.#leftOut++;
      return false;
    }
    this.#strangersDue = due;
    return true;
  }

  /** Walks the whole chain in pages. `expected` is a head noted earlier: the chain must still contain it. */
  async verify(expected?: { seq: number; mac: string }): Promise<AuditVerdict> {
    const head = await this.head();
    let previous = '';
    let seq = 0;
    const broken = (at: number, why: string): AuditVerdict => ({ entries: seq, broken: { seq: at, why }, head });
    while (seq < head.seq) {
      const rows = await this.#store.db
        .selectFrom('audit_log')
        .selectAll()
        .where('seq', '>', seq)
        .where('seq', '<=', head.seq)
        .orderBy('seq')
        .limit(PAGE)
        .execute();
      if (rows.length === 0) return broken(seq + 1, 'entries are missing at the end');
      for (const row of rows) {
        if (row.seq !== seq + 1) return broken(seq + 1, 'an entry is missing');
        const mac = this.#mac(previous, row);
        if (!sameText(mac, row.mac))
          return broken(row.seq, 'the entry was changed, or does not follow the one before it');
        if (expected?.seq === row.seq && !sameText(expected.mac, row.mac)) {
          return broken(row.seq, 'the entry is not the one noted earlier');
        }
        previous = row.mac;
        seq = row.seq;
      }
    }
    if (previous !== head.mac) return broken(seq, 'the head does not match the last entry');
    if (expected !== undefined && expected.seq > seq) return broken(seq + 1, 'entries noted earlier are gone');
    const beyond = await this.#store.db.selectFrom('audit_log').select('seq').where('seq', '<', 1).executeTakeFirst();
    if (beyond !== undefined) return broken(beyond.seq, 'an entry stands before the first');
    return { entries: seq, broken: null, head };
  }

  async head(): Promise<{ seq: number; mac: string }> {
    return await this.#store.db
      .selectFrom('audit_head')
      .select(['seq', 'mac'])
      .where('id', '=', 1)
      .executeTakeFirstOrThrow();
  }

  #mac(previous: string, row: Omit<AuditTable, 'mac'>): string {
    // A JSON list keeps the fields apart: no two different entries give the same text.
    const { seq, at, actor, action, target, address, request_id, detail } = row;
    const text = JSON.stringify([previous, seq, at, actor, action, target, address, request_id, detail]);
    return createHmac('sha256', this.#key).update(text).digest('base64url');
  }
}

function sameText(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}
