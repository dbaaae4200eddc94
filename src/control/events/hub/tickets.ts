/**
 * Single-use tickets: who a caller is, for a moment and once, so that a browser, which can set no field on a WebSocket,
 * can open one without a token in its URL. Kept in the SQL store by their hash: any gateway on it takes any ticket.
 */
import { hash, randomBytes } from 'node:crypto';
import type { Store } from '../../store/store.ts';
import type { EventTables } from '../tables.ts';
import type { KnownCaller } from './known-caller.ts';

export class Tickets {
  readonly #store: Store<EventTables>;
  readonly #wallMs: () => number;

  constructor(store: Store<EventTables>, wallMs: () => number = Date.now) {
    this.#store = store;
    this.#wallMs = wallMs;
  }

  async issue(caller: KnownCaller, ttlMs: number): Promise<string> {
    const ticket = randomBytes(32).toString('base64url');
    const row = { hash: hashOf(ticket), caller: JSON.stringify(caller), expires_ms: this.#wallMs() + ttlMs };
    await this.#store.db.insertInto('event_tickets').values(row).execute();
    return ticket;
  }

  /** Null for one that was used, is too old or never was. */
  async take(ticket: string): Promise<KnownCaller | null> {
    const row = await this.#store.db
      .deleteFrom('event_tickets')
      .where('hash', '=', hashOf(ticket))
      .returning(['caller', 'expires_ms'])
      .executeTakeFirst();
    if (row === undefined || Number(row.expires_ms) <= this.#wallMs()) return null;
    return JSON.parse(row.caller) as KnownCaller;
  }

  async clean(): Promise<void> {
    await this.#store.db.deleteFrom('event_tickets').where('expires_ms', '<=', this.#wallMs()).execute();
  }
}

function hashOf(ticket: string): string {
  return hash('sha256', ticket, 'base64url');
}
