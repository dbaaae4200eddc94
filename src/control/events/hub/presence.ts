/**
 * Who is on which topic, over all gateways on the SQL store: a row for each user, topic and process, prolonged while
 * the process lives. A topic hears of the first connection of a user and of the end of the last one, as messages of
 * its own; users of a process that died are said to have left when their rows are too old.
 */
import { randomUUID } from 'node:crypto';
import { messageOf } from '../../../base/errors.ts';
import type { Logger } from '../../../base/log.ts';
import type { Store } from '../../store/store.ts';
import type { EventTables } from '../tables.ts';

export type PresenceChange = 'joined' | 'left';

const PROLONG_EVERY_MS = 20_000;
const LEASE_MS = 60_000;

export class Presence {
  readonly #store: Store<EventTables>;
  readonly #log: Logger;
  readonly #tell: (topic: string, user: string, change: PresenceChange) => Promise<unknown>;
  readonly #wallMs: () => number;
  readonly #node = randomUUID();
  /** Connections of this process by topic and user. */
  readonly #here = new Map<string, Map<string, number>>();
  readonly #timer: NodeJS.Timeout;
  /** Changes happen in the order in which they came. */
  #turn: Promise<void> = Promise.resolve();

  constructor(
    store: Store<EventTables>,
    log: Logger,
    tell: (topic: string, user: string, change: PresenceChange) => Promise<unknown>,
    wallMs: () => number = Date.now,
  ) {
    this.#store = store;
    this.#log = log;
    this.#tell = tell;
    this.#wallMs = wallMs;
    this.#timer = setInterval(() => this.#inTurn(() => this.prolong()), PROLONG_EVERY_MS);
    this.#timer.unref();
  }

  join(topic: string, user: string): void {
    const users = this.#here.get(topic) ?? new Map<string, number>();
    this.#here.set(topic, users);
    const count = (users.get(user) ?? 0) + 1;
    users.set(user, count);
    if (count === 1) this.#inTurn(() => this.#joined(topic, user));
  }

  leave(topic: string, user: string): void {
    const users = this.#here.get(topic);
    const count = (users?.get(user) ?? 0) - 1;
    if (users === undefined || count < 0) return;
    if (count > 0) {
      users.set(user, count);
      return;
    }
    users.delete(user);
    if (users.size === 0) this.#here.delete(topic);
    this.#inTurn(() => this.#left(topic, user));
  }

  async users(topic: string): Promise<string[]> {
    await this.#turn;
    const rows = await this.#store.db
      .selectFrom('event_presence')
      .select('user_name')
      .distinct()
      .where('topic', '=', topic)
      .where('until_ms', '>', this.#wallMs())
      .orderBy('user_name')
      .limit(1_000)
      .execute();
    return rows.map(({ user_name }) => user_name);
  }

  async #joined(topic: string, user: string): Promise<void> {
    const isElsewhere = await this.#isThere(topic, user);
    const until_ms = this.#wallMs() + LEASE_MS;
    await this.#store.db
      .insertInto('event_presence')
      .values({ topic, user_name: user, node: this.#node, until_ms })
      .onConflict((conflict) => conflict.columns(['topic', 'user_name', 'node']).doUpdateSet({ until_ms }))
      .execute();
    if (!isElsewhere) await this.#tell(topic, user, 'joined');
  }

  async #left(topic: string, user: string): Promise<void> {
    // Came again before its turn.
    if (this.#here.get(topic)?.has(user) === true) return;
    await this.#store.db
      .deleteFrom('event_presence')
      .where('topic', '=', topic)
      .where('user_name', '=', user)
      .where('node', '=', this.#node)
      .execute();
    if (!(await this.#isThere(topic, user))) await this.#tell(topic, user, 'left');
  }

  async #isThere(topic: string, user: string): Promise<boolean> {
    const row = await this.#store.db
      .selectFrom('event_presence')
      .select('node')
      .where('topic', '=', topic)
      .where('user_name', '=', user)
      .where('until_ms', '>', this.#wallMs())
      .executeTakeFirst();
    return row !== undefined;
  }

  /** Says that this process lives, and clears up behind those that do not. */
  async prolong(): Promise<void> {
    const nowMs = this.#wallMs();
    if (this.#here.size > 0) {
      await this.#store.db
        .updateTable('event_presence')
        .set({ until_ms: nowMs + LEASE_MS })
        .where('node', '=', this.#node)
        .execute();
    }
    const gone = await this.#store.db
      .deleteFrom('event_presence')
      .where('until_ms', '<=', nowMs)
      .returning(['topic', 'user_name'])
      .execute();
    for (const { topic, user_name } of gone) {
      if (!(await this.#isThere(topic, user_name))) await this.#tell(topic, user_name, 'left');
    }
  }

  #inTurn(work: () => Promise<void>): void {
    this.#turn = this.#turn.then(work).catch((error: unknown) => {
      this.#log.warn('presence could not be written down', { problem: messageOf(error) });
    });
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#turn;
  }
}
