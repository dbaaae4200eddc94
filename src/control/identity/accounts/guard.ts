/**
 * What guessing costs. Wrong passwords are counted per account id, never per typed name (docs/identity-rules.md, 6),
 * and for each account by address: after some free tries each further one doubles a delay there. So a stranger's
 * guesses delay the stranger and not the owner. A count over all addresses stands behind it, far higher, for guessing
 * from many; it delays only who comes from a device and an address that the account never signed in from. Names that do
 * not exist are counted with the same statements, so that neither the response nor the time tells whether an account
 * exists, in a fixed number of rows. Another count goes by address alone. IPv6 counts by its /64.
 */
import { isIPv6 } from 'node:net';
import type { Kysely } from 'kysely';
import type { Clock } from '../../../base/clock.ts';
import type { Caller } from '../caller.ts';
import type { IdentityOptions } from '../options.ts';
import type { TaskOwner } from '../password-hashing/semaphore.ts';
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

  /**
   * Throws 429 when the address made too many wrong attempts. Tells nothing about any account. Cheap: what comes before
   * a place in the queue; `attempt` is what counts.
   */
  async checkAddress(db: Handle, address: string): Promise<void> {
    const row = await this.#read(db, addressKey(address));
    const now = this.#clock.wallMs();
    if (row === undefined || now - row.first_at >= this.#options.addressWindow) return;
    if (row.failures >= this.#options.addressAttempts) throw this.#tooMany(row.first_at, now);
  }

  /**
   * Counts an attempt of the address before `work` makes it, and takes it back when it was right: of a burst no more
   * than the limit are made. `work` gives undefined for a wrong one; what it throws counts as wrong unless it is our
   * own failure (5xx).
   */
  async attempt<T>(db: Handle, address: string, work: () => Promise<T>): Promise<T> {
    const key = addressKey(address);
    const now = this.#clock.wallMs();
    const { failures, first_at } = await this.#count(db, key, now, this.#options.addressWindow, true);
    if (failures > this.#options.addressAttempts) throw this.#tooMany(first_at, now);
    let isWrong = false;
    try {
      const result = await work();
      isWrong = result === undefined;
      return result;
    } catch (error) {
      isWrong = error instanceof Problem && error.status < 500;
      throw error;
    } finally {
      if (!isWrong) await this.#takeBack(db, key);
    }
  }

  #tooMany(firstAt: number, now: number): Problem {
    const seconds = Math.max(1, Math.ceil((firstAt + this.#options.addressWindow - now) / 1_000));
    return new Problem(429, 'RATE_LIMIT_EXCEEDED', 'too_many_attempts', 'too many failed attempts from this address', {
      retryAfterSeconds: seconds,
    });
  }

  async #takeBack(db: Handle, key: string): Promise<void> {
    await db
      .updateTable('guards')
      .set((eb) => ({ failures: eb('failures', '-', 1) }))
      .where('key', '=', key)
      .where('failures', '>', 0)
      .execute();
  }

  /** Is the account, by its key, in a delay now for who asks? */
  async isLocked(db: Handle, key: string, who: Guesser): Promise<boolean> {
    const now = this.#clock.wallMs();
    const own = await this.#read(db, ownKey(key, who));
    const all = await this.#read(db, key);
    return (own?.locked_until ?? 0) > now || (!who.isKnown && (all?.locked_until ?? 0) > now);
  }

  /**
   * Counts one wrong attempt at an account; returns true when a delay begins with it. While somebody is locked out,
   * further guesses lengthen nothing. The address has its count by `attempt`.
   */
  async fail(db: Handle, key: string, who: Guesser, isLocked = false): Promise<boolean> {
    const { freeAttempts, accountAttempts } = this.#options;
    const suffix = isLocked ? ':locked' : '';
    const own = await this.#delay(db, `${ownKey(key, who)}${suffix}`, freeAttempts);
    // Who is known cannot bring the delay upon strangers, nor strangers upon who is known.
    const all = await this.#delay(db, who.isKnown ? `${key}:known` : `${key}${suffix}`, accountAttempts);
    return !isLocked && (own === 0 || (!who.isKnown && all === 0));
  }

  /** Counts, sets the delay that follows; returns how many attempts are beyond the free ones. */
  async #delay(db: Handle, key: string, free: number): Promise<number> {
    const now = this.#clock.wallMs();
    const { failures } = await this.#count(db, key, now, this.#options.forgetAfter, false);
    const beyond = failures - free;
    // The same statement whether or not a delay begins: no difference in time.
    const delay =
      beyond < 0 ? 0 : Math.min(this.#options.firstDelay * 2 ** Math.min(beyond, 40), this.#options.maxDelay);
    await db
      .updateTable('guards')
      .set({ locked_until: delay === 0 ? 0 : now + delay })
      .where('key', '=', key)
      .execute();
    return beyond;
  }

  /**
   * May one more mail that a stranger can cause go to this address? Five an hour; beyond it none is sent and the answer
   * stays the same, so that nobody's mailbox can be filled through us.
   */
  async mayMail(db: Handle, hashedAddress: string): Promise<boolean> {
    const key = `mail:${hashedAddress}`;
    const { failures: sent } = await this.#count(db, key, this.#clock.wallMs(), MAIL_WINDOW_MS, true);
    return sent <= MAILS_PER_WINDOW;
  }

  /** A right sign-in forgets the wrong ones of the same device or address; those of others keep their count. */
  async clear(db: Handle, key: string, who: Guesser): Promise<void> {
    await db.deleteFrom('guards').where('key', '=', ownKey(key, who)).execute();
  }

  /** A new password forgets them all. */
  async clearAll(db: Handle, key: string): Promise<void> {
    await db
      .deleteFrom('guards')
      .where((eb) => eb.or([eb('key', '=', key), eb('key', 'like', `${key}@%`), eb('key', 'like', `${key}:%`)]))
      .execute();
  }

  async #read(db: Handle, key: string): Promise<GuardTable | undefined> {
    return await db.selectFrom('guards').selectAll().where('key', '=', key).executeTakeFirst();
  }

  /** One statement counts, so that parallel attempts are all counted; a count that is over begins again. */
  async #count(
    db: Handle,
    key: string,
    now: number,
    windowMs: number,
    fixedWindow: boolean,
  ): Promise<Pick<GuardTable, 'failures' | 'first_at'>> {
    const over = fixedWindow ? 'guards.first_at' : 'guards.last_at';
    return await db
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
      .returning(['failures', 'first_at'])
      .executeTakeFirstOrThrow();
  }
}

export function addressKey(address: string): string {
  return `address:${network(address)}`;
}

/** Who tries a password: from where, and whether this account knows the device or the address. */
export interface Guesser {
  readonly address: string;
  readonly isKnown: boolean;
  /** Id of a device that the account knows. */
  readonly device?: string | undefined;
}

/** Whose place in the queue of hashes it is. */
export const ownerOf = ({ address, signal }: Caller): TaskOwner => ({ key: addressKey(address), signal });

/** A device counts for itself wherever it is; names that nobody has share one row an address. */
function ownKey(key: string, { address, device }: Guesser): string {
  if (device !== undefined) return `${key}@device ${device}`;
  return `${key.startsWith('name:') ? 'name' : key}@${network(address)}`;
}

const network = (address: string): string => (isIPv6(address) ? prefix64(address) : address);

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
