/**
 * Join tokens: with one of them a worker becomes a node of the cluster, so many times and until it expires. The store
 * has hashes only. Called by the API; members.ts uses them up.
 */
import { hash, randomBytes, randomUUID } from 'node:crypto';
import type { Transaction } from 'kysely';
import { databaseNow, readDatabaseTime } from '../store/database-time.ts';
import type { Store } from '../store/store.ts';
import { addEvent } from './events.ts';
import { ClusterRefusal, notFound } from './refusal.ts';
import type { ClusterTables } from './tables.ts';

export interface NewJoinToken {
  readonly labels: Readonly<Record<string, string>>;
  readonly zone: string | null;
  readonly ttlMs: number;
  /** Null: until it expires. */
  readonly uses: number | null;
  readonly createdBy: string;
}

/** As the list shows it: without its text, of which the store has a hash only. */
export interface JoinToken {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly zone: string | null;
  /** Null: as often as wanted until it expires. */
  readonly usesLeft: number | null;
  readonly createdBy: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
}

const MOST_LISTED = 1_000;
const TOKEN_BYTES = 32;

export class JoinTokens {
  readonly #store: Store<ClusterTables>;

  constructor(store: Store<ClusterTables>) {
    this.#store = store;
  }

  /** Makes a join token; the text is given here and never again. */
  async create(wanted: NewJoinToken): Promise<{ id: string; token: string; expiresAtMs: number }> {
    const token = newToken('ghj');
    const id = randomUUID();
    const { dialect } = this.#store;
    return await this.#store.transaction(async (trx) => {
      const now = await readDatabaseTime(trx, dialect);
      const expiresAtMs = now + wanted.ttlMs;
      await trx.deleteFrom('cluster_join_tokens').where('expires_at', '<', now).execute();
      await trx
        .insertInto('cluster_join_tokens')
        .values({
          id,
          hash: tokenHash(token),
          labels: JSON.stringify(wanted.labels),
          zone: wanted.zone,
          created_by: wanted.createdBy,
          created_at: now,
          expires_at: expiresAtMs,
          uses_left: wanted.uses,
        })
        .execute();
      await addEvent(trx, dialect, { type: 'token.created', subject: id, data: { by: wanted.createdBy } });
      return { id, token, expiresAtMs };
    });
  }

  /** Those that still let a node join, newest first. */
  async list(): Promise<readonly JoinToken[]> {
    const { db, dialect } = this.#store;
    const rows = await db
      .selectFrom('cluster_join_tokens')
      .select(['id', 'labels', 'zone', 'uses_left', 'created_by', 'created_at', 'expires_at'])
      .where('expires_at', '>=', databaseNow(dialect))
      .where((where) => where.or([where('uses_left', 'is', null), where('uses_left', '>', 0)]))
      .orderBy('created_at', 'desc')
      .limit(MOST_LISTED)
      .execute();
    return rows.map((row) => ({
      id: row.id,
      labels: JSON.parse(row.labels) as Record<string, string>,
      zone: row.zone,
      usesLeft: row.uses_left,
      createdBy: row.created_by,
      createdAtMs: Number(row.created_at),
      expiresAtMs: Number(row.expires_at),
    }));
  }

  async revoke(id: string, by: string): Promise<void> {
    await this.#store.transaction(async (trx) => {
      const { numDeletedRows } = await trx
        .deleteFrom('cluster_join_tokens')
        .where('id', '=', id)
        .executeTakeFirstOrThrow();
      if (numDeletedRows === 0n) throw notFound('join token', id);
      await addEvent(trx, this.#store.dialect, { type: 'token.revoked', subject: id, data: { by } });
    });
  }
}

/** Uses the token up by one, and returns what it says about the node. */
export async function useJoinToken(
  trx: Transaction<ClusterTables>,
  token: string,
  now: number,
): Promise<{ readonly labels: Readonly<Record<string, string>>; readonly zone: string | null }> {
  const row = await trx
    .updateTable('cluster_join_tokens')
    .set((set) => ({ uses_left: set('uses_left', '-', 1) }))
    .where('hash', '=', tokenHash(token))
    .where('expires_at', '>=', now)
    .where((where) => where.or([where('uses_left', 'is', null), where('uses_left', '>', 0)]))
    .returning(['labels', 'zone'])
    .executeTakeFirst();
  if (row === undefined)
    throw new ClusterRefusal(401, 'AUTHENTICATION_REQUIRED', 'the join token is not known, used up or expired');
  return { labels: JSON.parse(row.labels) as Record<string, string>, zone: row.zone };
}

/** A random token: `ghj_...` of those who join, `ghn_...` of nodes. */
export function newToken(kind: 'ghj' | 'ghn'): string {
  return `${kind}_${randomBytes(TOKEN_BYTES).toString('base64url')}`;
}

export function tokenHash(token: string): string {
  return hash('sha256', token, 'hex');
}
