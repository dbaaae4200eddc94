/**
 * What guessing costs. Wrong passwords are counted per account id, never per typed name (docs/identity-rules.md, 6):
 * the address and the user name of one account share one count. After some free tries each further one doubles a
 * delay. Names that do not exist are counted under a hash of the name, with the same statements, so that neither the
 * answer nor the time tells whether an account exists. A second count goes by address, IPv6 by its /64.
 */
import { isIPv6 } from 'node:net';
import type { Kysely } from 'kysely';
import type { Clock } from '../../../base/clock.ts';
import type { IdentityOptions } from '../options.ts';
import { Problem } from '../problem.ts';
import type { GuardTable, IdentityTables } from '../tables.ts';

type Handle = Kysely<IdentityTables>;

const MAIL_WINDOW_MS = 3_600_000;
const MAILS_PER_WINDOW = 5;

export class LoginGuard {
  readonly #options: IdentityOptions['lockout'];
  readonly #clock: Clock;

  constructor(options: IdentityOptions['lockout'], clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  /** Throws 429 when the address made too many wrong attempts. Tells nothing about any account. */
  async checkAddress(db: Handle, address: string): Promise<void> {
    const row = await this.#read(db, addressKey(address));
    const now = this.#clock.wallMs();
    if (row === undefined || now - row.first_at >= this.#options.addressWindow) return;
    if (row.failures < this.#options.addressAttempts) return;
    const seconds = Math.max(1, Math.ceil((row.first_at + this.#options.addressWindow - now) / 1_000));
    throw new Problem(429, 'RATE_LIMIT_EXCEEDED', 'too_many_attempts', 'too many failed attempts from this address', {
      retryAfterSeconds: seconds,
    });
  }

  /** Is the account, by its key, in a delay now? */
  async isLocked(db: Handle, key: string): Promise<boolean> {
    const row = await this.#read(db, key);
    return row !== undefined && row.locked_until > this.#clock.wallMs();
  }

  /** Counts one wrong attempt; returns true when a delay begins with it. */
  async fail(db: Handle, key: string, address: string): Promise<boolean> {
    const now = this.#clock.wallMs();
    await this.#count(db, addressKey(address), now, this.#options.addressWindow, true);
    const failures = await this.#count(db, key, now, this.#options.forgetAfter, false);
    const beyond = failures - this.#options.freeAttempts;
    // The same statement whether or not a delay begins: no difference in time.
    const delay =
      beyond < 0 ? 0 : Math.min(this.#options.firstDelay * 2 ** Math.min(beyond, 40), this.#options.maxDelay);
    await db
      .updateTable('guards')
      .set({ locked_until: delay === 0 ? 0 : now + delay })
      .where('key', '=', key)
      .execute();
    return beyond === 0;
  }

  /**
   * May one more mail that a stranger can cause go to this address? Five an hour; beyond it none is sent and the answer
   * stays the same, so that nobody's mailbox can be filled through us.
   */
  async mayMail(db: Handle, hashedAddress: string): Promise<boolean> {
    const sent = await this.#count(db, `mail:${hashedAddress}`, this.#clock.wallMs(), MAIL_WINDOW_MS, true);
    return sent <= MAILS_PER_WINDOW;
  }

  /** A right sign-in forgets the account's wrong ones; the address keeps its count. */
  async clear(db: Handle, key: string): Promise<void> {
    await db.deleteFrom('guards').where('key', '=', key).execute();
  }

  async #read(db: Handle, key: string): Promise<GuardTable | undefined> {
    return await db.selectFrom('guards').selectAll().where('key', '=', key).executeTakeFirst();
  }

  /** One statement counts, so that parallel attempts are all counted; a count that is over begins again. */
  async #count(db: Handle, key: string, now: number, windowMs: number, fixedWindow: boolean): Promise<number> {
    const over = fixedWindow ? 'guards.first_at' : 'guards.last_at';
    const row = await db
      .insertInto('guards')
      .values({ key, failures: 1, first_at: now, last_at: now, locked_until: 0 })
      .onConflict((conflict) =>
        conflict.column('key').doUpdateSet((eb) => ({
          failures: eb
            .case()
            .when(eb.ref(over), '<', now - windowMs)
            .then(1)
            .else(eb('guards.failures', '+', 1))
            .end(),
          first_at: eb
            .case()
            .when(eb.ref(over), '<', now - windowMs)
            .then(now)
            .else(eb.ref('guards.first_at'))
            .end(),
          last_at: now,
        })),
      )
      .returning('failures')
      .executeTakeFirstOrThrow();
    return row.failures;
  }
}

export function addressKey(address: string): string {
  return `address:${isIPv6(address) ? prefix64(address) : address}`;
}

/** The first four groups of an IPv6 address: what one subscriber usually has. */
function prefix64(address: string): string {
  const [head = '', tail] = address.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const middle = tail === undefined ? [] : new Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0');
  return [...left, ...middle, ...right]
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
