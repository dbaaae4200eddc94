/**
 * Checks a password against its hash off the event loop, few at a time: each argon2id takes 20 to 40 ms of a core and
 * its own memory, and all of libuv's four threads also serve files and DNS. A full queue refuses with Retry-After,
 * which costs less than everybody waiting. Owner: one worker.
 */
import { argon2, scrypt, timingSafeEqual } from 'node:crypto';
import type { PasswordHash } from './password-file.ts';

/** At once, and waiting, per worker. */
const MOST_RUNNING = 2;
const MOST_WAITING = 32;

export class PasswordChecker {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  /** Null: too many passwords are being checked. */
  check(password: string, hash: PasswordHash): Promise<boolean> | null {
    if (this.#running < MOST_RUNNING) {
      this.#running++;
      return this.#run(password, hash);
    }
    if (this.#waiting.length >= MOST_WAITING) return null;
    return new Promise<void>((resolve) => this.#waiting.push(resolve)).then(() => this.#run(password, hash));
  }

  async #run(password: string, hash: PasswordHash): Promise<boolean> {
    try {
      const digest = await derive(password, hash);
      return timingSafeEqual(digest, hash.digest);
    } finally {
      // The place goes to the longest waiter; it is free only when none waits.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}

function derive(password: string, hash: PasswordHash): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, digest: Buffer): void => (error === null ? resolve(digest) : reject(error));
    if (hash.algorithm === 'argon2id') {
      const { salt, parallelism, memory, passes } = hash;
      const message = Buffer.from(password, 'utf8');
      argon2('argon2id', { message, nonce: salt, parallelism, memory, passes, tagLength: hash.digest.length }, done);
      return;
    }
    const cost = 2 ** hash.memory;
    const options = { N: cost, r: hash.passes, p: hash.parallelism, maxmem: 256 * cost * hash.passes };
    scrypt(password, hash.salt, hash.digest.length, options, done);
  });
}
