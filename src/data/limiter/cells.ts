/**
 * The cells of the limit table: one SharedArrayBuffer for all threads, open addressing in buckets of four cells, probed
 * over 32 buckets at most. All rules of one caller start in the same bucket, so that they share a cache line.
 * Lock-free: a thread that dies in the middle leaves nothing that others wait for. This file finds, claims and hands
 * over cells; what a state word means is rule.ts, what a charge does is table.ts.
 *
 *   cell = tag | key | state | until                                                    4 words of 32 bits
 *     tag    24 bits of the key's hash, 8 bits of version      } together one 64-bit word that changes hands by
 *     key    32 bits more of it                                } compare-and-swap
 *     state  a live word (31 bits, rule.ts), or FREE with the version for which the cell may change hands
 *     until  tick of 100 ms before which the cell must not be given to another key; only ever raised while it is live
 *
 * The bucket comes from the caller's hash, tag and key from caller and rule: 56 bits and the bucket's tell keys apart.
 * A cell changes hands in three steps that any thread can take up where another left off:
 *
 *   live and past `until`  --state: word -> FREE(v)-->  --tag: (old, v) -> (new, v+1)-->  --state: FREE(v) -> word-->
 *   live
 *
 * The tag moves from v only when the state was FREE(v), and the state leaves FREE(v) only when the tag has moved on, so
 * a charge and a hand-over of the same cell can never both succeed. Two threads may claim two cells for one new key;
 * before either goes live it looks through the whole range again (`#isSole`), and the earlier cell wins.
 */
const TAG_MASK = ~0xff;
const VERSION_MASK = 0xff;
/** State of a cell without a charge; the low byte is the version. */
const FREE = -0x80000000;
/** Key word of cells that were given up; no key has it, nor 0, which marks cells never used. */
const GIVEN_UP = 1;

export const CELL_WORDS = 4;
const BUCKET_WORDS = 16;
/**
 * Simulated at 50 % load, two cells a caller: none of 20 million finds no cell in 32 buckets; in 16 it is one in
 * 200,000.
 */
const PROBED_BUCKETS = 32;
const PROBED_WORDS = PROBED_BUCKETS * BUCKET_WORDS;
const TICK_MS = 100;
export const TICKS_PER_MS: number = 1 / TICK_MS;

/** What `open` gives instead of a state when every cell in the key's range is taken by a live key. */
export const FULL = -1;
/** What `look` gives for a key without a charge. */
export const NOTHING = -2;
export const NO_CELL = 0;

const scratchWords = new Int32Array(2);
const scratchWide = new BigInt64Array(scratchWords.buffer);

export class Cells {
  readonly words: Int32Array;
  readonly #wide: BigInt64Array;
  readonly #first: number;
  readonly #scale: number;
  readonly #buckets: number;
  /** Set by `look` and `open`: the tag that the state belongs to, for the check after the charge. */
  tag = 0;
  /** Set by `look` and `open`. */
  cell = NO_CELL;
  /** Claims of this thread: of fresh cells, and of cells whose key had expired. */
  claimed = 0;
  reused = 0;

  /** `first` is the word where the cells begin, a multiple of 16. */
  constructor(memory: SharedArrayBuffer, first: number) {
    this.words = new Int32Array(memory);
    this.#wide = new BigInt64Array(memory);
    this.#first = first;
    this.#buckets = bucketsIn(this.words.length - first);
    if (this.#buckets < 1) throw new TypeError(`the limit table is too small: ${memory.byteLength} bytes`);
    this.#scale = this.#buckets / 2 ** 32;
  }

  /** How many cells there are, spare ones at the end included. */
  get size(): number {
    return (this.#buckets + PROBED_BUCKETS - 1) * (BUCKET_WORDS / CELL_WORDS);
  }

  /** Word of the first cell that a key may have. */
  home(a: number): number {
    return this.#first + Math.floor((a >>> 0) * this.#scale) * BUCKET_WORDS;
  }

  /** The tag without its version. */
  static tagOf(a: number): number {
    return a << 8;
  }

  static keyOf(b: number): number {
    return b === 0 || b === GIVEN_UP ? b + 2 : b;
  }

  /** The first cell with this key, live or not; NO_CELL if there is none. Reads plainly, see `look`. */
  find(tag: number, key: number, home: number): number {
    const words = this.words;
    for (let cell = home; cell < home + PROBED_WORDS; cell += CELL_WORDS) {
      const seen = words[cell] as number;
      const owner = words[cell + 1] as number;
      if (owner === key && (seen & TAG_MASK) === tag) return cell;
      // Claims go to the first cell they can have, and no cell becomes unused again: nothing lies behind one.
      if (owner === 0 && seen === 0) return NO_CELL;
    }
    return NO_CELL;
  }

  /**
   * The live word of a key at `tick`, with `cell` and `tag` set, or NOTHING if nothing is charged to it. Plain reads
   * are enough, on machines with weak ordering too, and cost a fifth: `swap` succeeds only if the state is still this
   * one and the tag has not moved since, and `until` never falls, so an old reading of it is only more careful.
   */
  look(tag: number, key: number, home: number, tick: number): number {
    const words = this.words;
    const cell = this.find(tag, key, home);
    if (cell === NO_CELL) return NOTHING;
    const seen = words[cell] as number;
    const state = words[cell + 2] as number;
    if (state < 0 || (words[cell + 3] as number) <= tick || (seen & TAG_MASK) !== tag) return NOTHING;
    this.cell = cell;
    this.tag = seen;
    return state;
  }

  /**
   * Makes a cell ready for a charge: finds or claims it, takes over what expired. Gives the state that the charge must
   * replace by compare-and-swap (negative: nothing charged yet), with `cell` and `tag` set, or FULL.
   */
  open(tag: number, key: number, home: number, tick: number): number {
    const words = this.words;
    let cell = NO_CELL;
    for (;;) {
      if (cell === NO_CELL) {
        cell = this.find(tag, key, home);
        if (cell === NO_CELL) cell = this.#claim(tag, key, home, tick);
        if (cell === NO_CELL) return FULL;
      }
      const seen = Atomics.load(words, cell);
      if ((seen & TAG_MASK) !== tag || Atomics.load(words, cell + 1) !== key) {
        cell = NO_CELL;
        continue;
      }
      const state = Atomics.load(words, cell + 2);
      if (state >= 0) {
        if (Atomics.load(words, cell + 3) <= tick) {
          if (Atomics.load(words, cell) !== seen) continue;
          const mark = FREE | (seen & VERSION_MASK);
          Atomics.compareExchange(words, cell + 2, state, mark);
          continue;
        }
      } else if ((state & VERSION_MASK) === (seen & VERSION_MASK)) {
        this.#handOver(cell, seen, key, tag, key);
        continue;
      } else if (!this.#isSole(cell, tag, key, home, tick)) {
        cell = NO_CELL;
        continue;
      }
      if (Atomics.load(words, cell) !== seen) continue;
      this.cell = cell;
      this.tag = seen;
      return state;
    }
  }

  /**
   * Must be called before the charge: no other key may get the cell before `untilMs`. Half as long again is added, so
   * that a busy key need not raise it at every charge.
   */
  keep(cell: number, nowMs: number, untilMs: number): void {
    const words = this.words;
    let seen = words[cell + 3] as number;
    if (seen * TICK_MS >= untilMs) return;
    const needed = Math.ceil(untilMs / TICK_MS);
    const wanted = needed + Math.ceil((untilMs - nowMs) / (2 * TICK_MS));
    while (seen < needed) {
      const found = Atomics.compareExchange(words, cell + 3, seen, wanted);
      if (found === seen) return;
      seen = found;
    }
  }

  /** Replaces the state that `look` or `open` gave. False if it has changed, or if the cell was no longer the key's. */
  swap(cell: number, tag: number, state: number, word: number): boolean {
    const words = this.words;
    if (Atomics.compareExchange(words, cell + 2, state, word) !== state) return false;
    if (Atomics.load(words, cell) === tag) return true;
    // The cell had changed hands and happened to hold the same word: the new key's is put back.
    Atomics.compareExchange(words, cell + 2, word, state);
    return false;
  }

  /**
   * Cells that are live at `tick` among at most `most` cells spread over the table; of those, only the `part`th of
   * `parts` equal shares, for who wants to come back for the others.
   */
  sample(tick: number, most: number, part = 0, parts = 1): { readonly looked: number; readonly live: number } {
    const { size, words } = this;
    const stride = Math.max(1, Math.ceil(size / most));
    let looked = 0;
    let live = 0;
    for (let i = part * stride; i < size; i += stride * parts) {
      const cell = this.#first + i * CELL_WORDS;
      looked++;
      // Plain reads: it is an estimate.
      if ((words[cell + 2] as number) >= 0 && (words[cell + 3] as number) > tick) live++;
    }
    return { looked, live };
  }

  /** Takes the first cell in range that is free at `tick`; NO_CELL if there is none. */
  #claim(tag: number, key: number, home: number, tick: number): number {
    const words = this.words;
    for (let cell = home; cell < home + PROBED_WORDS; cell += CELL_WORDS) {
      const seen = Atomics.load(words, cell);
      const owner = Atomics.load(words, cell + 1);
      if ((seen & TAG_MASK) === tag && owner === key) return cell;
      // The state is read before `until`, which is raised before the state: no live charge can look expired.
      const state = Atomics.load(words, cell + 2);
      if (Atomics.load(words, cell + 3) > tick) continue;
      // A mark for an old version would undo another thread's mark for the present one.
      const isSame = Atomics.load(words, cell) === seen;
      const mark = FREE | (seen & VERSION_MASK);
      const isFree = isSame && (state === mark || Atomics.compareExchange(words, cell + 2, state, mark) === state);
      if (isFree && this.#handOver(cell, seen, owner, tag, key)) {
        if (owner === 0) this.claimed++;
        else this.reused++;
        return cell;
      }
      // Another thread was here: this very cell may now be the key's.
      cell -= CELL_WORDS;
    }
    return NO_CELL;
  }

  /** Moves the tag of a FREE cell on by one version, to another key or the same. False if it had moved already. */
  #handOver(cell: number, seen: number, owner: number, tag: number, key: number): boolean {
    scratchWords[0] = seen;
    scratchWords[1] = owner;
    const before = scratchWide[0] ?? 0n;
    scratchWords[0] = tag | ((seen + 1) & VERSION_MASK);
    scratchWords[1] = key;
    const after = scratchWide[0] ?? 0n;
    return Atomics.compareExchange(this.#wide, cell >> 1, before, after) === before;
  }

  /** Is this uncharged cell the only one of its key? Gives up the others, or this one if another is ahead. */
  #isSole(cell: number, tag: number, key: number, home: number, tick: number): boolean {
    const words = this.words;
    for (let other = home; other < home + PROBED_WORDS; other += CELL_WORDS) {
      const seen = Atomics.load(words, other);
      const owner = Atomics.load(words, other + 1);
      if (seen === 0 && owner === 0) return true;
      if (other === cell || (seen & TAG_MASK) !== tag || owner !== key) continue;
      const state = Atomics.load(words, other + 2);
      const isLive = state >= 0 && Atomics.load(words, other + 3) > tick;
      if (isLive || other < cell) {
        this.#giveUp(cell, tag, key, tick);
        return false;
      }
      if (!this.#giveUp(other, tag, key, tick)) return false;
    }
    return true;
  }

  /** Takes a cell away from its key, unless it was charged meanwhile. */
  #giveUp(cell: number, tag: number, key: number, tick: number): boolean {
    const words = this.words;
    const seen = Atomics.load(words, cell);
    if ((seen & TAG_MASK) !== tag || Atomics.load(words, cell + 1) !== key) return false;
    const state = Atomics.load(words, cell + 2);
    if (state >= 0 && Atomics.load(words, cell + 3) > tick) return false;
    if (Atomics.load(words, cell) !== seen) return false;
    const mark = FREE | (seen & VERSION_MASK);
    if (state !== mark && Atomics.compareExchange(words, cell + 2, state, mark) !== state) return false;
    return this.#handOver(cell, seen, key, 0, GIVEN_UP);
  }
}

/** Buckets that keys can start in; the last ones are only probed into, so that no range wraps around. */
function bucketsIn(words: number): number {
  return Math.floor(words / BUCKET_WORDS) - (PROBED_BUCKETS - 1);
}
