/**
 * One process at a time does a thing (empties the outbox, runs a consumer), though many have the same configuration: a
 * row of the SQL store names who, and until when. Whoever dies is followed by another when the time is over.
 */
import { randomUUID } from 'node:crypto';
import type { Store } from '../store/store.ts';
import type { EventTables } from './tables.ts';

export const LEASE_MS = 10_000;

export class Lease {
  readonly #store: Store<EventTables>;
  readonly #name: string;
  readonly #wallMs: () => number;
  readonly #owner = randomUUID();
  #untilMs = 0;

  constructor(store: Store<EventTables>, name: string, wallMs: () => number = Date.now) {
    this.#store = store;
    this.#name = name;
    this.#wallMs = wallMs;
  }

  /** Held now, as far as this process knows. */
  get isHeld(): boolean {
    return this.#untilMs > this.#wallMs();
  }

  /** Takes it or prolongs it. Rejects when the store is away. */
  async take(stream: string): Promise<boolean> {
    const nowMs = this.#wallMs();
    const row = { name: this.#name, stream, position: null, owner: null, lease_until_ms: 0 };
    await this.#store.db
      .insertInto('event_consumers')
      .values(row)
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    const { numUpdatedRows } = await this.#store.db
      .updateTable('event_consumers')
      .set({ owner: this.#owner, lease_until_ms: nowMs + LEASE_MS })
      .where('name', '=', this.#name)
      .where((or) => or.or([or('owner', '=', this.#owner), or('owner', 'is', null), or('lease_until_ms', '<', nowMs)]))
      .executeTakeFirst();
    this.#untilMs = numUpdatedRows === 1n ? nowMs + LEASE_MS : 0;
    return this.isHeld;
  }

  /** Another may have it at once. */
  async release(): Promise<void> {
    this.#untilMs = 0;
    await this.#store.db
      .updateTable('event_consumers')
      .set({ owner: null, lease_until_ms: 0 })
      .where('name', '=', this.#name)
      .where('owner', '=', this.#owner)
      .execute();
  }
}
