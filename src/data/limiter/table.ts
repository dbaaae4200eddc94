/**
 * The limit table: what all worker threads count requests in, exactly and without waiting. Per rule it looks
 * (`prepare`), charges (`commit`) and gives back (`giveBack`); limiter.ts decides over several rules with these. Each
 * rule of a decision works in a slot, so that nothing is allocated and nothing is looked up twice. Memory: a header of
 * 256 bytes, then cells of 16 (cells.ts). It survives reloads and the death of a worker.
 *
 * Order of a charge: raise the cell's `until`, swap the state, look at the tag again. If the cell changed hands in
 * between (it had expired for a thread with a newer clock reading), the charge is taken back and done again elsewhere.
 */
import { randomFillSync } from 'node:crypto';
import { type Clock, systemClock } from '../../base/clock.ts';
import { KeyHash } from '../../base/key-hash.ts';
import { CELL_WORDS, Cells, FULL, NO_CELL, TICKS_PER_MS } from './cells.ts';
import { countOf, levelOf, type Rule, WORD_MASK, windowsAhead, wordOfCount, wordOfLevel } from './rule.ts';
import { machineMs, TableTime } from './time.ts';

const HEADER_WORDS = 64;
const MAGIC = 0x67686c31;
/** Header: word 0 magic, 2-3 the hash key, then as doubles: machine time and time of day at the start. */
const EPOCH_DOUBLE = 4;
const ALIGN_DOUBLE = 5;

/** 32 MB: 500,000 callers under two rules each with room to spare. Pages that hold no key cost nothing. */
const DEFAULT_LIMITS_BYTES = 32 * 1024 * 1024;
/** Most rules in one decision. */
export const MAX_SLOTS = 16;

/**
 * Bytes that hold `keys` live callers under `rulesPerKey` rules without refusing one: 61 MB for a million under two.
 */
export function limitsBytes(keys: number, rulesPerKey = 2): number {
  return HEADER_WORDS * 4 + Math.ceil((keys * rulesPerKey * CELL_WORDS * 4) / 0.5 / 64) * 64;
}

/** Allocates the memory that every thread's `LimitTable` is made on. Called once, by main, before the workers start. */
export function allocateLimits(bytes: number = DEFAULT_LIMITS_BYTES, clock: Clock = systemClock): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(Math.max(4_096, Math.floor(bytes / 64) * 64));
  const words = new Int32Array(memory);
  randomFillSync(words, 2, 2);
  const doubles = new Float64Array(memory, 0, HEADER_WORDS / 2);
  doubles[EPOCH_DOUBLE] = machineMs(clock);
  doubles[ALIGN_DOUBLE] = clock.wallMs();
  Atomics.store(words, 0, MAGIC);
  return memory;
}

export const CHARGED = 0;
/** The rule does not allow it. */
export const DENIED = 1;
/** There is no cell for the key; the caller's policy decides. */
export const NO_ROOM = 2;
export type Charge = typeof CHARGED | typeof DENIED | typeof NO_ROOM;

// What a slot keeps between `prepare`, `commit` and `giveBack`: whole numbers and fractions in typed arrays of their
// own, because fractions in object fields are boxed.
const SLOT = 8;
/** The key under this rule, and the first cell it may have. */
const TAG = 0;
const KEY = 1;
const HOME = 2;
/**
 * The cell looked at or charged (NO_CELL when the key had none), its tag and state then, and the word after the charge.
 */
const CELL = 3;
const SEEN = 4;
const STATE = 5;
const WORD = 6;
/**
 * Level (gcra) or count as it is now: before `commit` without the charge, after it with; and what the charge makes of
 * it.
 */
const USED = 0;
const NEXT = 1;
/** Until when the charge counts. */
const UNTIL = 2;
/** Number of the window, and how much of the last window's count a sliding one still sees. */
const WINDOW = 3;
const BEFORE = 4;
/** Turns the tag of an even window into that of an odd one. */
const OTHER_WINDOW = 0x5bd1e900;

export interface Occupancy {
  readonly cells: number;
  readonly live: number;
  readonly ratio: number;
}

/** Calls of `occupancyBit` that make one look over the whole table. */
const BITS = 16;

export class LimitTable {
  readonly hash: KeyHash;
  readonly time: TableTime;
  /** Time of day at the table's start: what fixed windows are aligned to. A later clock step does not move them. */
  readonly alignMs: number;
  readonly #cells: Cells;
  readonly #whole = new Int32Array(MAX_SLOTS * SLOT);
  readonly #parts = new Float64Array(MAX_SLOTS * SLOT);
  /** Live cells among all, as `occupancyBit` saw it last. */
  ratio = 0;
  readonly #bits: { readonly looked: number; readonly live: number }[] = [];
  #bit = 0;

  /** Left by `describe`: how much the key may still use right now. */
  remaining = 0;
  /** Milliseconds until the whole limit is there again. */
  resetMs = 0;
  /** Milliseconds until more is there than `remaining`. */
  nextMs = 0;
  /** Milliseconds until the cost that was asked for would be allowed; 0 if it is. */
  retryMs = 0;

  constructor(memory: SharedArrayBuffer, clock: Clock = systemClock) {
    const words = new Int32Array(memory);
    if (Atomics.load(words, 0) !== MAGIC) throw new TypeError('this memory was not made by allocateLimits');
    const doubles = new Float64Array(memory, 0, HEADER_WORDS / 2);
    this.hash = new KeyHash(words[2] ?? 0, words[3] ?? 0);
    this.time = new TableTime(clock, doubles[EPOCH_DOUBLE] ?? 0);
    this.alignMs = doubles[ALIGN_DOUBLE] ?? 0;
    this.#cells = new Cells(memory, HEADER_WORDS);
  }

  /** Looks up a key (the two halves of its hash) under a rule and works out a charge. False if the rule refuses it. */
  prepare(slot: number, rule: Rule, a: number, b: number, nowMs: number, cost: number): boolean {
    const whole = this.#whole;
    const at = slot * SLOT;
    // A bijection for each rule, so that distinct callers stay distinct.
    const y = b ^ rule.seedB;
    let x = ((a ^ rule.seedA) + Math.imul(y ^ (y >>> 15), 0x2c1b3c6d)) | 0;
    x ^= x >>> 12;
    let tag = Cells.tagOf(x);
    const key = Cells.keyOf((y + Math.imul(x ^ (x >>> 15), 0x297a2d39)) | 0);
    const home = this.#cells.home(a);
    if (rule.algorithm !== 'gcra') {
      const window = rule.windowAt(nowMs, this.alignMs);
      this.#parts[at + WINDOW] = window;
      if (rule.algorithm === 'sliding' && (window & 1) === 1) tag ^= OTHER_WINDOW;
    }
    const state = this.#cells.look(tag, key, home, Math.floor(nowMs * TICKS_PER_MS));
    whole[at + TAG] = tag;
    whole[at + KEY] = key;
    whole[at + HOME] = home;
    whole[at + CELL] = state < 0 ? NO_CELL : this.#cells.cell;
    whole[at + SEEN] = this.#cells.tag;
    return this.#plan(at, rule, state, nowMs, cost, true);
  }

  /** Makes the charge that `prepare` worked out, or a new one if the cell has changed since. */
  commit(slot: number, rule: Rule, nowMs: number, cost: number): Charge {
    const at = slot * SLOT;
    if ((this.#whole[at + CELL] as number) !== NO_CELL && this.#charge(at, nowMs)) return CHARGED;
    return this.#retry(at, rule, nowMs, cost, true);
  }

  /** Has the key anything charged under the rule? */
  isKnown(rule: Rule, a: number, b: number, nowMs: number): boolean {
    this.prepare(0, rule, a, b, nowMs, 0);
    return (this.#whole[CELL] as number) !== NO_CELL;
  }

  /** All of them. */
  get cells(): number {
    return this.#cells.size;
  }

  /** `prepare` and `commit` of one rule. */
  charge(rule: Rule, a: number, b: number, nowMs: number, cost: number): Charge {
    return this.prepare(0, rule, a, b, nowMs, cost) ? this.commit(0, rule, nowMs, cost) : DENIED;
  }

  /** Charges whether the rule allows it or not, for a cost that is known only afterwards. */
  chargeAnyway(rule: Rule, a: number, b: number, nowMs: number, cost: number): Charge {
    this.prepare(0, rule, a, b, nowMs, cost);
    return this.#retry(0, rule, nowMs, cost, false);
  }

  /**
   * Takes a committed charge back. A GCRA charge that has drained since gives nothing back, otherwise a later charge
   * would be forgiven instead; so `nowMs` must be read anew.
   */
  giveBack(slot: number, rule: Rule, nowMs: number, cost: number): void {
    const at = slot * SLOT;
    const words = this.#cells.words;
    const cell = this.#whole[at + CELL] as number;
    const seen = this.#whole[at + SEEN] as number;
    for (;;) {
      const word = Atomics.load(words, cell + 2);
      if (word < 0 || Atomics.load(words, cell) !== seen) return;
      let after: number;
      if (rule.algorithm === 'gcra') {
        if (levelOf(this.#whole[at + WORD] as number, rule.unitsAt(nowMs)) === 0) return;
        after = (word - cost * rule.units) & WORD_MASK;
      } else {
        const window = this.#parts[at + WINDOW] as number;
        const count = countOf(word, window);
        if (count < cost) return;
        after = wordOfCount(count - cost, window);
      }
      if (Atomics.compareExchange(words, cell + 2, word, after) === word) return;
    }
  }

  /** Forgets what a key has used under a rule. Charges of this instant may be forgotten with it. */
  forget(rule: Rule, a: number, b: number, nowMs: number): void {
    this.#zero(rule, a, b, nowMs);
    // The last window has its own cell, and a share of it still counts.
    if (rule.algorithm === 'sliding') this.#zero(rule, a, b, nowMs - rule.windowMs);
  }

  #zero(rule: Rule, a: number, b: number, nowMs: number): void {
    this.prepare(0, rule, a, b, nowMs, 1);
    const cell = this.#whole[CELL] as number;
    if (cell === NO_CELL) return;
    const words = this.#cells.words;
    const after =
      rule.algorithm === 'gcra' ? wordOfLevel(0, rule.unitsAt(nowMs)) : wordOfCount(0, this.#parts[WINDOW] as number);
    for (;;) {
      const word = Atomics.load(words, cell + 2);
      // Free, or another key's by now: there is nothing to forget.
      if (word < 0 || Atomics.load(words, cell) !== this.#whole[SEEN]) return;
      if (Atomics.compareExchange(words, cell + 2, word, after) === word) return;
    }
  }

  /** How much is left under a slot's rule. */
  left(slot: number, rule: Rule): number {
    const at = slot * SLOT;
    const used = this.#parts[at + USED] as number;
    if (rule.algorithm === 'gcra') {
      const free = rule.tolerance - used;
      return free < rule.units ? 0 : Math.floor(free / rule.units);
    }
    const before = rule.algorithm === 'sliding' ? (this.#parts[at + BEFORE] as number) : 0;
    return Math.max(0, Math.floor(rule.limit - used - before));
  }

  /** Works out `remaining`, `resetMs`, `nextMs` and `retryMs` of a slot, after `prepare` or `commit`. */
  describe(slot: number, rule: Rule, nowMs: number, cost: number): void {
    this.remaining = this.left(slot, rule);
    if (rule.algorithm === 'gcra') this.#describeGcra(slot * SLOT, rule, cost);
    else this.#describeWindow(slot * SLOT, rule, nowMs, cost);
  }

  /** How full the table is, from at most `most` cells spread over it. */
  occupancy(most = 65_536): Occupancy {
    return this.#occupancyOf(this.#cells.sample(this.#tick(), most));
  }

  /**
   * The same from what 16 calls have looked at, a sixteenth each: touching thousands of cells at once would push out of
   * the processor's caches what requests need.
   */
  occupancyBit(most = 4_096): Occupancy {
    this.#bits[this.#bit] = this.#cells.sample(this.#tick(), most, this.#bit, BITS);
    this.#bit = (this.#bit + 1) % BITS;
    let looked = 0;
    let live = 0;
    for (const bit of this.#bits) {
      looked += bit.looked;
      live += bit.live;
    }
    const occupancy = this.#occupancyOf({ looked, live });
    this.ratio = occupancy.ratio;
    return occupancy;
  }

  #occupancyOf({ looked, live }: { readonly looked: number; readonly live: number }): Occupancy {
    const ratio = looked === 0 ? 0 : live / looked;
    return { cells: this.#cells.size, live: Math.round(ratio * this.#cells.size), ratio };
  }

  #tick(): number {
    return Math.floor(this.time.nowMs() * TICKS_PER_MS);
  }

  /** Claims by this thread, of fresh cells and of expired keys' cells. */
  get claims(): { readonly fresh: number; readonly reused: number } {
    return { fresh: this.#cells.claimed, reused: this.#cells.reused };
  }

  /** From a state word to the word after the charge. False if the rule refuses (and `strict`). */
  #plan(at: number, rule: Rule, state: number, nowMs: number, cost: number, strict: boolean): boolean {
    const parts = this.#parts;
    this.#whole[at + STATE] = state;
    if (rule.algorithm === 'gcra') {
      const now = rule.unitsAt(nowMs);
      const level = state < 0 ? 0 : levelOf(state, now);
      const next = level + cost * rule.units;
      parts[at + USED] = level;
      if (strict && next > rule.tolerance) return false;
      parts[at + NEXT] = next;
      parts[at + UNTIL] = nowMs + next * rule.msPerUnit;
      this.#whole[at + WORD] = wordOfLevel(next, now);
      return true;
    }
    const sliding = rule.algorithm === 'sliding';
    let window = parts[at + WINDOW] as number;
    if (state >= 0) window += windowsAhead(state, window);
    parts[at + WINDOW] = window;
    const count = state < 0 ? 0 : countOf(state, window);
    const before = sliding ? this.#inSight(at, rule, nowMs) : 0;
    parts[at + BEFORE] = before;
    parts[at + USED] = count;
    if (strict && before + count + cost > rule.limit) return false;
    parts[at + NEXT] = count + cost;
    parts[at + UNTIL] = (window + (sliding ? 2 : 1)) * rule.windowMs - this.alignMs;
    this.#whole[at + WORD] = wordOfCount(count + cost, window);
    return true;
  }

  #charge(at: number, nowMs: number): boolean {
    const whole = this.#whole;
    const cell = whole[at + CELL] as number;
    this.#cells.keep(cell, nowMs, this.#parts[at + UNTIL] as number);
    if (!this.#cells.swap(cell, whole[at + SEEN] as number, whole[at + STATE] as number, whole[at + WORD] as number)) {
      return false;
    }
    this.#parts[at + USED] = this.#parts[at + NEXT] as number;
    return true;
  }

  /** The long way: for a key without a cell, or when another thread was quicker. */
  #retry(at: number, rule: Rule, nowMs: number, cost: number, strict: boolean): Charge {
    const cells = this.#cells;
    const whole = this.#whole;
    const tick = Math.floor(nowMs * TICKS_PER_MS);
    for (;;) {
      const state = cells.open(whole[at + TAG] as number, whole[at + KEY] as number, whole[at + HOME] as number, tick);
      const { cell, tag } = cells;
      whole[at + CELL] = NO_CELL;
      if (state === FULL) return NO_ROOM;
      if (!this.#plan(at, rule, state, nowMs, cost, strict)) return DENIED;
      whole[at + CELL] = cell;
      whole[at + SEEN] = tag;
      if (this.#charge(at, nowMs)) return CHARGED;
    }
  }

  /** The part of the last window's count that a sliding window still sees. */
  #inSight(at: number, rule: Rule, nowMs: number): number {
    const whole = this.#whole;
    const window = this.#parts[at + WINDOW] as number;
    const other = (whole[at + TAG] as number) ^ OTHER_WINDOW;
    const tick = Math.floor(nowMs * TICKS_PER_MS);
    const word = this.#cells.look(other, whole[at + KEY] as number, whole[at + HOME] as number, tick);
    const count = word < 0 ? 0 : countOf(word, window - 1);
    if (count === 0) return 0;
    const passed = (nowMs + this.alignMs) / rule.windowMs - window;
    return passed <= 0 ? count : count * (1 - passed);
  }

  #describeGcra(at: number, rule: Rule, cost: number): void {
    const used = this.#parts[at + USED] as number;
    const free = rule.tolerance - used;
    const wanted = cost * rule.units;
    this.resetMs = used * rule.msPerUnit;
    this.nextMs = used === 0 ? 0 : ((this.remaining + 1) * rule.units - free) * rule.msPerUnit;
    // A cost above the burst never fits; the window is as good an answer as any.
    if (wanted > rule.tolerance) this.retryMs = rule.windowMs;
    else this.retryMs = wanted > free ? (wanted - free) * rule.msPerUnit : 0;
  }

  #describeWindow(at: number, rule: Rule, nowMs: number, cost: number): void {
    const used = this.#parts[at + USED] as number;
    const window = this.#parts[at + WINDOW] as number;
    const leftMs = Math.max(0, (window + 1) * rule.windowMs - this.alignMs - nowMs);
    if (rule.algorithm === 'fixed') {
      this.resetMs = leftMs;
      this.nextMs = leftMs;
      if (cost > rule.limit) this.retryMs = rule.windowMs;
      else this.retryMs = used + cost > rule.limit ? leftMs : 0;
      return;
    }
    const before = this.#parts[at + BEFORE] as number;
    this.resetMs = used > 0 ? leftMs + rule.windowMs : before > 0 ? leftMs : 0;
    this.nextMs = slidingWaitMs(rule, before, used, leftMs, this.remaining + 1);
    this.retryMs = slidingWaitMs(rule, before, used, leftMs, cost);
  }
}

/** How long until `wanted` more fit; `inSight` shrinks to nothing in `leftMs`, then `count` begins to. */
function slidingWaitMs(rule: Rule, inSight: number, count: number, leftMs: number, wanted: number): number {
  if (wanted > rule.limit) return rule.windowMs;
  const room = rule.limit - count - wanted;
  if (room >= inSight) return 0;
  if (room >= 0) return leftMs * (1 - room / inSight);
  return leftMs + (1 - (rule.limit - wanted) / count) * rule.windowMs;
}
