/**
 * Judged credentials of one worker, above all verified tokens: a hit saves 20 to 100 us of verification, or a call to
 * another server. Only a token that passed every check gets in.
 *
 *   young  <- new entries     when young is half the bound, or 15 s old:  old = young, young = empty
 *   old    <- last generation so no entry outlives 30 s, and nothing is ever searched for a victim
 *
 * The key is the credential text itself, not its SHA-256: a Map hit costs 0.15 us, hashing alone 0.85 us, and the
 * digest would hide nothing, because the same text passes through this process's buffers anyway and is worth at most
 * 30 s more than its entry. Only verified tokens are keys, so no client can choose keys that collide. (Passwords and
 * API keys live long: their callers do hand in digests.) Owner: one worker, one verifier; it is emptied, whole or in
 * part, by revocations and by changed keys.
 */
import type { Clock } from '../../../base/clock.ts';

export interface CacheEntry {
  /** Wall time after which the entry counts no more: expiry of the token, or 30 s after it was verified. */
  readonly validUntilMs: number;
}

/** Longest life of an entry, from issue to removal, also for tokens that live longer. */
export const MAX_CACHE_MS = 30_000;

export class TokenCache<Entry extends CacheEntry> {
  readonly #clock: Clock;
  readonly #half: number;
  readonly #lifeMs: number;
  #young = new Map<string, Entry>();
  #old = new Map<string, Entry>();
  #youngSinceMs: number;
  hits = 0;
  misses = 0;
  /** How often everything was forgotten. */
  clears = 0;
  /** Goes up whenever entries are forgotten. */
  version = 0;

  /** `maxEntries` bounds both generations together; `lifeMs` is at most `MAX_CACHE_MS`, 0 caches nothing. */
  constructor(clock: Clock, maxEntries: number, lifeMs: number = MAX_CACHE_MS) {
    this.#clock = clock;
    this.#half = maxEntries >> 1;
    this.#lifeMs = Math.min(lifeMs, MAX_CACHE_MS);
    this.#youngSinceMs = clock.monotonicMs();
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** The entry, still valid at `wallMs`, or undefined. */
  get(text: string, wallMs: number): Entry | undefined {
    const entry = this.#young.get(text) ?? this.#old.get(text);
    if (entry !== undefined && wallMs < entry.validUntilMs) {
      this.hits++;
      return entry;
    }
    this.misses++;
    return undefined;
  }

  set(text: string, entry: Entry): void {
    if (this.#half === 0 || this.#lifeMs === 0) return;
    this.turn();
    if (this.#young.size >= this.#half) this.#rotate();
    this.#old.delete(text);
    // A slice would keep the whole request head alive as its parent; this is a string of its own.
    this.#young.set(Buffer.from(text, 'latin1').toString('latin1'), entry);
  }

  /** Until when an entry made now may count, given when its token expires. */
  validUntilMs(wallMs: number, expiresAtMs: number): number {
    return Math.min(expiresAtMs, wallMs + this.#lifeMs);
  }

  /**
   * Forgets entries whose generation is too old. Called on each `set` and, so that an idle worker frees them, by a
   * timer.
   */
  turn(): void {
    const age = this.#clock.monotonicMs() - this.#youngSinceMs;
    if (age < this.#lifeMs / 2) return;
    this.#rotate();
    if (age >= this.#lifeMs) this.#old = new Map();
  }

  /** Forgets the entries that `test` names; says how many. */
  drop(test: (entry: Entry) => boolean): number {
    this.version++;
    let dropped = 0;
    for (const generation of [this.#young, this.#old]) {
      for (const [text, entry] of generation) {
        if (!test(entry)) continue;
        generation.delete(text);
        dropped++;
      }
    }
    return dropped;
  }

  clear(): void {
    this.clears++;
    this.version++;
    this.#young = new Map();
    this.#old = new Map();
  }

  #rotate(): void {
    this.version++;
    this.#old = this.#young;
    this.#young = new Map();
    this.#youngSinceMs = this.#clock.monotonicMs();
  }
}
