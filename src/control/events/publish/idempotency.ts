/**
 * The field Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a request with a key that was seen before gets
 * the first one's response; one with the same key and another body is a mistake; one that comes while the first is in
 * progress waits for nobody. Keys are kept in the SQL store, as hashes, so they hold across restarts and processes. An
 * event's own id for the engine is made of the key, so that a request repeated after a lost acknowledgement has no
 * second effect there either.
 */
import { createHash, hash } from 'node:crypto';
import { isUniqueViolation } from '../../store/faults.ts';
import type { Store } from '../../store/store.ts';
import type { EventTables } from '../tables.ts';

export interface KeptResponse {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly location: string | null;
}

export type KeyState =
  | { readonly kind: 'first' }
  | { readonly kind: 'again'; readonly response: KeptResponse }
  | { readonly kind: 'in-progress' }
  | { readonly kind: 'other-request' };

/** A request that has not ended by then has died with its process. */
const ABANDONED_AFTER_MS = 60_000;

/** The key of the field: a structured string (`"abc"`) or the bare text. Null for what is no key. */
export function parseKey(field: string): string | null {
  const text = /^"(.*)"$/.exec(field.trim())?.[1] ?? field.trim();
  return /^[\x21-\x7e]{1,255}$/.test(text) ? text : null;
}

/** Keys belong to the route and the caller: nobody meets another's. */
export function hashKey(route: string, caller: string, key: string): string {
  return hash('sha256', JSON.stringify([route, caller, key]), 'base64url');
}

export function fingerprint(parts: readonly (string | Uint8Array)[]): string {
  const sum = createHash('sha256');
  for (const part of parts) sum.update(part).update('\0');
  return sum.digest('base64url');
}

export class IdempotencyKeys {
  readonly #store: Store<EventTables>;
  readonly #wallMs: () => number;

  constructor(store: Store<EventTables>, wallMs: () => number = Date.now) {
    this.#store = store;
    this.#wallMs = wallMs;
  }

  async begin(keyHash: string, print: string, keptForMs: number): Promise<KeyState> {
    const nowMs = this.#wallMs();
    const row = {
      key_hash: keyHash,
      fingerprint: print,
      response: null,
      begun_ms: nowMs,
      expires_ms: nowMs + keptForMs,
    };
    try {
      await this.#store.db.insertInto('event_keys').values(row).execute();
      return { kind: 'first' };
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
    }
    const found = await this.#store.db
      .selectFrom('event_keys')
      .selectAll()
      .where('key_hash', '=', keyHash)
      .executeTakeFirst();
    // It was removed in between.
    if (found === undefined) return { kind: 'in-progress' };
    const isOver = Number(found.expires_ms) <= nowMs;
    if (!isOver && found.fingerprint !== print) return { kind: 'other-request' };
    if (!isOver && found.response !== null) {
      return { kind: 'again', response: JSON.parse(found.response) as KeptResponse };
    }
    if (!isOver && Number(found.begun_ms) > nowMs - ABANDONED_AFTER_MS) return { kind: 'in-progress' };
    // Taken over by one request only: the others find that the beginning has moved.
    const { numUpdatedRows } = await this.#store.db
      .updateTable('event_keys')
      .set(row)
      .where('key_hash', '=', keyHash)
      .where('begun_ms', '=', found.begun_ms)
      .executeTakeFirst();
    return numUpdatedRows === 1n ? { kind: 'first' } : { kind: 'in-progress' };
  }

  async finish(keyHash: string, response: KeptResponse): Promise<void> {
    await this.#store.db
      .updateTable('event_keys')
      .set({ response: JSON.stringify(response) })
      .where('key_hash', '=', keyHash)
      .execute();
  }

  /** The request failed: the same key may be used again at once. */
  async release(keyHash: string): Promise<void> {
    await this.#store.db
      .deleteFrom('event_keys')
      .where('key_hash', '=', keyHash)
      .where('response', 'is', null)
      .execute();
  }

  async clean(): Promise<void> {
    await this.#store.db.deleteFrom('event_keys').where('expires_ms', '<=', this.#wallMs()).execute();
  }
}
