/**
 * Which gateway fetches what Redis does not have: the first to ask takes a lock there, and the others wait for what it
 * writes. It is a lease that its holder renews while it fetches, so one that dies holds up nobody for longer than
 * `LEASE_MS`; where the response turns out not to be one that can be shared, a mark in its place says for a while that
 * nobody should wait. Used by one fetch (tier-fill.ts).
 */

import { randomBytes } from 'node:crypto';
import { type Cancel, every } from '../../../base/system-timers.ts';

export const LEASE_MS = 2_000;
const RENEW_EVERY_MS = 600;
/** In place of the name of a holder. */
const PASS = 'pass';

/** KEYS: the lock; ARGV: the name of who wants it, milliseconds. */
export const TAKE_SCRIPT = `
local held = redis.call('GET', KEYS[1])
if held == '${PASS}' then return 2 end
if held then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`;
/**
 * KEYS: the lock; ARGV: the name of its holder, milliseconds: above 0 to keep it, below to leave the mark, 0 to end it.
 */
export const KEEP_SCRIPT = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local ms = tonumber(ARGV[2])
if ms > 0 then redis.call('PEXPIRE', KEYS[1], ms)
elseif ms < 0 then redis.call('SET', KEYS[1], '${PASS}', 'PX', -ms)
else redis.call('DEL', KEYS[1]) end
return 1`;

export interface LockCommands {
  gatehouseFillTake(key: string, name: string, ms: number): Promise<number>;
  gatehouseFillKeep(key: string, name: string, ms: number): Promise<number>;
}

/** `passes`: nobody should wait for this response. */
export type LockAnswer = 'taken' | 'held' | 'passes';

const ANSWERS: readonly LockAnswer[] = ['held', 'taken', 'passes'];

export class FillLock {
  readonly key: string;
  readonly #connection: () => LockCommands | null;
  readonly #name = randomBytes(12).toString('base64');
  #timer: Cancel | null = null;

  /** `connection`: null while nothing can be written. */
  constructor(key: string, connection: () => LockCommands | null) {
    this.key = key;
    this.#connection = connection;
  }

  /** Rejects when Redis does. */
  async take(connection: LockCommands): Promise<LockAnswer> {
    return ANSWERS[await connection.gatehouseFillTake(this.key, this.#name, LEASE_MS)]!;
  }

  /** It is held from now on, until `end`. */
  hold(): void {
    this.#timer ??= every(RENEW_EVERY_MS, () => this.#keep(LEASE_MS));
  }

  /** `passMs` above 0: nobody should wait for this response for so long. */
  end(passMs: number): void {
    this.#timer?.();
    this.#timer = null;
    this.#keep(-passMs);
  }

  #keep(ms: number): void {
    // Where Redis does not hear it the lease ends by itself.
    this.#connection()
      ?.gatehouseFillKeep(this.key, this.#name, ms)
      .catch(() => {});
  }
}
