/**
 * Codes that work once: links in mails, tickets between two steps of a sign-in, challenges. Only their keyed hash is
 * stored; what belongs to them is sealed. One statement decides the single use (docs/identity-rules.md, 1).
 */
import { type KeyObject, randomFillSync, timingSafeEqual } from 'node:crypto';
import type { Kysely } from 'kysely';
import type { Clock } from '../../../base/clock.ts';
import { Encryption } from '../../secrets/encryption.ts';
import { keyedHash, type MasterKey } from '../../secrets/master-key.ts';
import { randomSecret } from '../../secrets/random-token.ts';
import type { IdentityTables } from '../tables.ts';

export type CodePurpose =
  | 'register'
  | 'verify-email'
  | 'reset-password'
  | 'mfa-ticket'
  | 'passkey-register'
  | 'passkey-login'
  | 'first-admin'
  | 'outside-state'
  | 'outside-result';

export interface SeenCode {
  /** It can still be used: it was not used, did not expire, and was not tried too often. */
  readonly isGood: boolean;
  readonly userId: string | null;
  /** Undefined also when it is no longer good. */
  readonly payload: unknown;
}

export interface UsedCode {
  readonly userId: string | null;
  readonly payload: unknown;
}

/** Of a carried code before its keyed hash: 16 random ones and six for its end. */
const CARRIED_BYTES = 22;

type Handle = Kysely<IdentityTables>;

export class OneTimeCodes {
  readonly #key: KeyObject;
  readonly #encryption: Encryption;
  readonly #clock: Clock;

  constructor(master: MasterKey, clock: Clock) {
    this.#key = master.derive('one-time-codes');
    this.#encryption = new Encryption(master.derive('one-time-payloads'));
    this.#clock = clock;
  }

  /** A new code. Earlier ones of the same purpose and account stop working unless `keepEarlier`. */
  async issue(
    db: Handle,
    purpose: CodePurpose,
    about: { userId?: string | null; payload?: unknown; ttlMs: number; keepEarlier?: boolean; text?: string },
  ): Promise<string> {
    const code = about.text ?? randomSecret();
    const hash = this.#hash(purpose, code);
    const now = this.#clock.wallMs();
    if (about.userId != null && about.keepEarlier !== true) {
      await db
        .updateTable('one_time_codes')
        .set({ used_at: now })
        .where('user_id', '=', about.userId)
        .where('purpose', '=', purpose)
        .where('used_at', 'is', null)
        .execute();
    }
    await db
      .insertInto('one_time_codes')
      .values({
        hash,
        purpose,
        user_id: about.userId ?? null,
        sealed: about.payload === undefined ? null : this.#encryption.encrypt(JSON.stringify(about.payload), hash),
        attempts: 0,
        created_at: now,
        expires_at: now + about.ttlMs,
        used_at: null,
      })
      .execute();
    return code;
  }

  /** Uses the code up. Undefined when it is wrong, expired, of another purpose or was used: the caller cannot tell. */
  async use(db: Handle, purpose: CodePurpose, code: string): Promise<UsedCode | undefined> {
    const hash = this.#hash(purpose, code);
    const now = this.#clock.wallMs();
    const row = await db
      .updateTable('one_time_codes')
      .set({ used_at: now })
      .where('hash', '=', hash)
      .where('purpose', '=', purpose)
      .where('used_at', 'is', null)
      .where('expires_at', '>', now)
      .returning(['user_id', 'sealed'])
      .executeTakeFirst();
    return row === undefined ? undefined : this.#read(row, hash);
  }

  /**
   * Counts a try without using the code up; undefined once `maxAttempts` were made. For tickets that allow a typing
   * error.
   */
  async attempt(db: Handle, purpose: CodePurpose, code: string, maxAttempts: number): Promise<UsedCode | undefined> {
    const hash = this.#hash(purpose, code);
    const row = await db
      .updateTable('one_time_codes')
      .set((eb) => ({ attempts: eb('attempts', '+', 1) }))
      .where('hash', '=', hash)
      .where('purpose', '=', purpose)
      .where('used_at', 'is', null)
      .where('attempts', '<', maxAttempts)
      .where('expires_at', '>', this.#clock.wallMs())
      .returning(['user_id', 'sealed'])
      .executeTakeFirst();
    return row === undefined ? undefined : this.#read(row, hash);
  }

  /**
   * A code that nothing is written for: it carries its end and a keyed hash. What strangers may ask for without end
   * is made so. It is good once all the same: `spend` writes it down when it is used.
   */
  carry(purpose: CodePurpose, ttlMs: number): string {
    const body = Buffer.alloc(CARRIED_BYTES);
    randomFillSync(body, 0, CARRIED_BYTES - 6);
    body.writeUIntBE(this.#clock.wallMs() + ttlMs, CARRIED_BYTES - 6, 6);
    const mac = Buffer.from(this.#hash(purpose, `carried:${body.toString('base64url')}`), 'base64url');
    return Buffer.concat([body, mac]).toString('base64url');
  }

  /** Was it made by `carry` for this purpose, and is it not over? It may have been spent. */
  isCarried(purpose: CodePurpose, code: string): boolean {
    const bytes = Buffer.from(code, 'base64url');
    if (bytes.length <= CARRIED_BYTES || bytes.toString('base64url') !== code) return false;
    const body = bytes.subarray(0, CARRIED_BYTES);
    const mac = Buffer.from(this.#hash(purpose, `carried:${body.toString('base64url')}`), 'base64url');
    const given = bytes.subarray(CARRIED_BYTES);
    if (given.length !== mac.length || !timingSafeEqual(given, mac)) return false;
    return body.readUIntBE(CARRIED_BYTES - 6, 6) > this.#clock.wallMs();
  }

  /** Uses a carried code up; false when it was used before. One insert decides. */
  async spend(db: Handle, purpose: CodePurpose, code: string, ttlMs: number): Promise<boolean> {
    const now = this.#clock.wallMs();
    const fresh = { user_id: null, sealed: null, attempts: 0, created_at: now, expires_at: now + ttlMs, used_at: now };
    const written = await db
      .insertInto('one_time_codes')
      .values({ hash: this.#hash(purpose, code), purpose, ...fresh })
      .onConflict((conflict) => conflict.column('hash').doNothing())
      .returning('hash')
      .executeTakeFirst();
    return written !== undefined;
  }

  /** Looks at a code without using it up or counting a try; undefined when there is none such. */
  async look(db: Handle, purpose: CodePurpose, code: string, maxAttempts: number): Promise<SeenCode | undefined> {
    const hash = this.#hash(purpose, code);
    const row = await db
      .selectFrom('one_time_codes')
      .select(['user_id', 'sealed', 'attempts', 'used_at', 'expires_at'])
      .where('hash', '=', hash)
      .where('purpose', '=', purpose)
      .executeTakeFirst();
    if (row === undefined) return undefined;
    const isGood = row.used_at === null && row.attempts < maxAttempts && row.expires_at > this.#clock.wallMs();
    return isGood ? { isGood, ...this.#read(row, hash) } : { isGood, userId: row.user_id, payload: undefined };
  }

  #hash(purpose: CodePurpose, code: string): string {
    return keyedHash(this.#key, `${purpose}:${code}`);
  }

  #read(row: { user_id: string | null; sealed: string | null }, hash: string): UsedCode {
    return {
      userId: row.user_id,
      payload: row.sealed === null ? undefined : JSON.parse(this.#encryption.decrypt(row.sealed, hash)),
    };
  }
}
