/**
 * Keys that callers write themselves (a request field) are without end, and each takes cells of the table that all
 * limits share. So an address makes a share of them as long as the table has room to spare; beyond it, and for every
 * address once the table is crowded, a key that is not there yet counts as its address does. Keys that are there stay
 * as they are, and what counts by address, user or plan always finds its cell. Called by limit-sets.ts.
 */
import type { KeyHash } from '../../base/key-hash.ts';
import type { KeyReader } from './keys.ts';
import type { Limiter } from './limiter.ts';
import { Rule } from './rule.ts';
import { CHARGED, type LimitTable } from './table.ts';

/** Below this part of live cells no share matters. */
const ROOMY = 0.25;
/** Above it no key that callers write makes a new cell. */
const CROWDED = 0.6;
/** After so many new keys another part of the table is looked at. */
const LOOK_AFTER = 64;
/** Of the cells, what one address may make new in one window. */
const SHARE = 1 / 32;

export class Newcomers {
  readonly #table: LimitTable;
  readonly #keys: KeyReader;
  readonly #hash: KeyHash;
  /** By the window of the rule that a key counts under. */
  readonly #shares = new Map<number, Rule>();
  #sinceLook = 0;
  /** Keys that counted as their address does. */
  refused = 0;

  constructor(table: LimitTable, keys: KeyReader) {
    this.#table = table;
    this.#keys = keys;
    this.#hash = table.hash;
  }

  /** Puts the key of `address` in the place of key `index` when that is new and one too many. */
  bound(limiter: Limiter, index: number, rule: Rule, address: string, nowMs: number): void {
    const { keysA, keysB } = limiter;
    if (this.#table.isKnown(rule, keysA[index]!, keysB[index]!, nowMs)) return;
    if (++this.#sinceLook === LOOK_AFTER) {
      this.#sinceLook = 0;
      this.#table.occupancyBit(1_024);
    }
    this.#keys.address(address);
    const { a, b } = this.#keys;
    const hasShare = this.#table.charge(this.#shareOf(rule.windowMs), a, b, nowMs, 1) === CHARGED;
    if (this.#table.ratio < CROWDED && (hasShare || this.#table.ratio < ROOMY)) return;
    this.refused++;
    keysA[index] = a;
    keysB[index] = b;
  }

  #shareOf(windowMs: number): Rule {
    const known = this.#shares.get(windowMs);
    if (known !== undefined) return known;
    const limit = Math.max(16, Math.floor(this.#table.cells * SHARE));
    const made = new Rule({ limit, windowMs, algorithm: 'fixed', burst: limit }, 'newcomers', 'ip', this.#hash);
    this.#shares.set(windowMs, made);
    return made;
  }
}
