/**
 * Hashes and checks passwords with argon2id of `node:crypto`, behind a semaphore and in threads of its own. The stored
 * text is the usual PHC string, so parameters can be raised later: a hash made with others is made anew at the next
 * login. For an account that does not exist or has no password a dummy is checked, which takes the same time.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { IdentityOptions } from '../options.ts';
import { hashInThread } from './hash-threads.ts';
import { Semaphore, type TaskOwner } from './semaphore.ts';

const SALT_BYTES = 16;
const HASH_BYTES = 32;
const PHC = /^\$argon2id\$v=19\$m=(\d{1,8}),t=(\d{1,3}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{11,86})$/;

export interface PasswordCheck {
  readonly matches: boolean;
  /** The hash should be made again, with today's parameters. */
  readonly outdated: boolean;
}

export class PasswordHasher {
  readonly semaphore: Semaphore;
  readonly #memoryKib: number;
  readonly #passes: number;
  readonly #dummy: string;

  constructor(options: IdentityOptions['passwords']) {
    const share = Math.max(1, Math.floor(options.maxQueued * options.queueShare));
    this.semaphore = new Semaphore(options.parallel, options.maxQueued, options.queueTimeout, share);
    this.#memoryKib = Math.floor(options.memory / 1024);
    this.#passes = options.passes;
    // Nothing hashes to it that anybody could find, and finding it would not help: a dummy never matches.
    this.#dummy = this.#text(randomBytes(SALT_BYTES), randomBytes(HASH_BYTES));
  }

  async hash(password: string, owner?: TaskOwner): Promise<string> {
    return this.semaphore.run(() => this.#make(password), owner);
  }

  /** To be called inside `semaphore.run`. `stored` null checks the dummy and never matches. */
  async checkInside(password: string, stored: string | null): Promise<PasswordCheck> {
    const known = stored === null ? null : PHC.exec(stored);
    const match = known ?? PHC.exec(this.#dummy);
    if (match === null) throw new Error('the dummy hash is malformed');
    const [, memory = '', passes = '', lanes = '', salt = '', hash = ''] = match;
    const expected = Buffer.from(hash, 'base64');
    const { hash: found } = await hashInThread({
      message: Buffer.from(normalised(password)),
      nonce: Buffer.from(salt, 'base64'),
      memory: Number(memory),
      passes: Number(passes),
      parallelism: Number(lanes),
      tagLength: expected.length,
    });
    const matches = timingSafeEqual(found, expected) && known !== null;
    return { matches, outdated: Number(memory) !== this.#memoryKib || Number(passes) !== this.#passes };
  }

  async check(password: string, stored: string | null, owner?: TaskOwner): Promise<PasswordCheck> {
    return this.semaphore.run(() => this.checkInside(password, stored), owner);
  }

  async #make(password: string): Promise<string> {
    const nonce = randomBytes(SALT_BYTES);
    const { hash } = await hashInThread({
      message: Buffer.from(normalised(password)),
      nonce,
      memory: this.#memoryKib,
      passes: this.#passes,
      parallelism: 1,
      tagLength: HASH_BYTES,
    });
    return this.#text(nonce, hash);
  }

  #text(nonce: Buffer, hash: Buffer): string {
    const text = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '');
    return `$argon2id$v=19$m=${this.#memoryKib},t=${this.#passes},p=1$${text(nonce)}$${text(hash)}`;
  }
}

/** The same password typed on two keyboards is the same text (RFC 8265 §4.2: NFC, no case folding). */
function normalised(password: string): string {
  return password.normalize('NFC');
}
