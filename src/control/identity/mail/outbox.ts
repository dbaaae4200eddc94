/**
 * Mails on their way: written to the database with the change that causes them, sent by a loop afterwards, tried again
 * with growing pauses. So an answer never waits for a mail server (its time would tell whether an account exists),
 * and nothing is lost by a restart. Bodies carry one-time links, so they are sealed until they are sent.
 */
import { randomUUID } from 'node:crypto';
import type { Kysely } from 'kysely';
import type { Clock } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';
import type { Logger } from '../../../base/log.ts';
import { Encryption } from '../../secrets/encryption.ts';
import type { MasterKey } from '../../secrets/master-key.ts';
import type { Store } from '../../store/store.ts';
import type { IdentityTables } from '../tables.ts';
import type { Mail, Mailer } from './mailer.ts';

const MAX_ATTEMPTS = 10;
const BATCH = 20;
/** A send that takes longer than this counts as lost and is tried again, by this or another process. */
const CLAIM_MS = 60_000;

export class Outbox {
  readonly #store: Store<IdentityTables>;
  readonly #encryption: Encryption;
  readonly #mailer: Mailer;
  readonly #clock: Clock;
  readonly #log: Logger;
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> | undefined;
  #again = false;

  constructor(store: Store<IdentityTables>, master: MasterKey, mailer: Mailer, clock: Clock, log: Logger) {
    this.#store = store;
    this.#encryption = new Encryption(master.derive('mail-outbox'));
    this.#mailer = mailer;
    this.#clock = clock;
    this.#log = log;
  }

  async add(db: Kysely<IdentityTables>, mail: Mail): Promise<void> {
    const id = randomUUID();
    const now = this.#clock.wallMs();
    const sealed = this.#encryption.encrypt(JSON.stringify(mail), id);
    await db.insertInto('mail_outbox').values({ id, sealed, created_at: now, attempts: 0, next_at: now }).execute();
  }

  /** Sends what is due, soon and in the background. */
  nudge(): void {
    if (this.#sending !== undefined) {
      this.#again = true;
      return;
    }
    this.#sending = this.#send().finally(() => {
      this.#sending = undefined;
      if (!this.#again) return;
      this.#again = false;
      this.nudge();
    });
  }

  start(everyMs = 5_000): void {
    this.#timer ??= setInterval(() => this.nudge(), everyMs).unref();
    this.nudge();
  }

  /** Resolves when nothing is being sent; what failed waits for its time. */
  async settled(): Promise<void> {
    while (this.#sending !== undefined) await this.#sending;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.settled();
    this.#mailer.close();
  }

  async #send(): Promise<void> {
    try {
      for (;;) {
        const now = this.#clock.wallMs();
        const due = await this.#store.db
          .selectFrom('mail_outbox')
          .select('id')
          .where('next_at', '<=', now)
          .orderBy('next_at')
          .limit(BATCH)
          .execute();
        if (due.length === 0) return;
        for (const { id } of due) await this.#sendOne(id, now);
      }
    } catch (error) {
      this.#log.warn('mails cannot be read from the database', { problem: messageOf(error) });
    }
  }

  async #sendOne(id: string, now: number): Promise<void> {
    // Claiming is one statement, so that two processes do not send the same mail.
    const row = await this.#store.db
      .updateTable('mail_outbox')
      .set((eb) => ({ attempts: eb('attempts', '+', 1), next_at: now + CLAIM_MS }))
      .where('id', '=', id)
      .where('next_at', '<=', now)
      .returning(['sealed', 'attempts'])
      .executeTakeFirst();
    if (row === undefined) return;
    try {
      await this.#mailer.send(JSON.parse(this.#encryption.decrypt(row.sealed, id)) as Mail);
    } catch (error) {
      const last = row.attempts >= MAX_ATTEMPTS;
      this.#log.warn(last ? 'a mail was given up' : 'a mail could not be sent yet', {
        mail: id,
        attempts: row.attempts,
        problem: messageOf(error),
      });
      if (!last) {
        const wait = Math.min(30_000 * 2 ** (row.attempts - 1), 3_600_000);
        await this.#store.db
          .updateTable('mail_outbox')
          .set({ next_at: now + wait })
          .where('id', '=', id)
          .execute();
        return;
      }
    }
    await this.#store.db.deleteFrom('mail_outbox').where('id', '=', id).execute();
  }
}
