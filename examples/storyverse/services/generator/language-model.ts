/**
 * A language model of words: interpolated Kneser-Ney of order 4, trained when the service starts. The chance of a word
 * is what was counted after the three words before it, less a discount, and the discount goes to the shorter history,
 * where a word counts by how many different words it followed. Small and old-fashioned (1995), but trained, and the
 * same arithmetic tells how well it predicts a text that it has not seen (`perplexity`).
 */
import type { Random } from './random.ts';

const LONGEST_HISTORY = 3;
const DISCOUNT = 0.75;
/**
 * How much of the share that belongs to shorter histories is used when text is drawn, by the length of the history. All
 * of it would be right for judging a text; for telling one it wanders off too often with so little to learn from.
 */
const WANDER = [0, 0.005, 0.03, 0.15];
/**
 * From runs of this many tokens on that stand so in the training text, going on is made unlikely: tales should not be
 * copied.
 */
const COPY_LENGTH = 7;
const COPY_WEIGHT = 0.12;

const INDEXED_FROM = 16;
const NOTHING: ReadonlySet<number> = new Set();

/** Counts of the tokens after one history. Most histories have one or two, so the index comes only with more. */
class Followers {
  readonly tokens: number[] = [];
  readonly counts: number[] = [];
  total = 0;
  #index: Map<number, number> | undefined;

  /** Whether the token is new here. */
  add(token: number): boolean {
    this.total++;
    const at = this.#find(token);
    if (at >= 0) {
      this.counts[at]!++;
      return false;
    }
    this.#index?.set(token, this.tokens.length);
    this.tokens.push(token);
    this.counts.push(1);
    if (this.tokens.length === INDEXED_FROM) this.#index = new Map(this.tokens.map((each, i) => [each, i]));
    return true;
  }

  count(token: number): number {
    return this.counts[this.#find(token)] ?? 0;
  }

  /** The share that goes to the shorter history. */
  get leftOver(): number {
    return (DISCOUNT * this.tokens.length) / this.total;
  }

  #find(token: number): number {
    return this.#index === undefined ? this.tokens.indexOf(token) : (this.#index.get(token) ?? -1);
  }
}

export interface Drawn {
  readonly token: number;
  /** Tokens of the history that it was seen after. */
  readonly after: number;
  /** The training text goes on just so, after the same long run. */
  readonly isCopy: boolean;
}

/** Weight of a token, 0 to forbid it; 1 leaves its chance as it is. */
export type Weight = (token: number) => number;

export class LanguageModel {
  readonly words: readonly string[];
  /** Tokens of the training text. */
  readonly trainedOn: number;
  readonly #ids = new Map<string, number>();
  /** By length of the history. */
  readonly #levels: readonly Map<number, Followers>[] = [new Map(), new Map(), new Map(), new Map()];
  readonly #text: readonly number[];
  /** Where in the text each three tokens stand: the place of the last. */
  readonly #places = new Map<number, number[]>();

  constructor(texts: readonly (readonly string[])[]) {
    const words: string[] = [];
    const idOf = (word: string): number => {
      let id = this.#ids.get(word);
      if (id === undefined) {
        id = words.length;
        words.push(word);
        this.#ids.set(word, id);
      }
      return id;
    };
    const encoded = texts.map((tokens) => tokens.map(idOf));
    this.words = words;
    this.#text = encoded.flat();
    this.trainedOn = this.#text.length;
    for (const tokens of encoded) for (let i = 0; i < tokens.length; i++) this.#count(tokens, i);
    for (let end = LONGEST_HISTORY; end <= this.#text.length; end++) {
      const key = this.#key(this.#text, end, LONGEST_HISTORY);
      const places = this.#places.get(key);
      if (places === undefined) this.#places.set(key, [end - 1]);
      else places.push(end - 1);
    }
  }

  /** A shorter history counts a token once for each longer one that it was seen after (continuation counts). */
  #count(tokens: readonly number[], at: number): void {
    const token = tokens[at]!;
    for (let length = Math.min(LONGEST_HISTORY, at); length >= 0; length--) {
      const followers = entry(this.#levels[length]!, this.#key(tokens, at, length));
      if (!followers.add(token)) return;
    }
  }

  /** One number for the `length` tokens before `end`. */
  #key(tokens: readonly number[], end: number, length: number): number {
    let key = 0;
    for (let i = end - length; i < end; i++) key = key * 65_536 + tokens[i]! + 1;
    return key;
  }

  id(word: string): number | undefined {
    return this.#ids.get(word);
  }

  /** The chance of `token` after the tokens at the end of `history`. Unknown words share one chance for all. */
  probability(history: readonly number[], token: number | undefined): number {
    let chance = 1 / (this.words.length + 1);
    const longest = Math.min(LONGEST_HISTORY, history.length);
    for (let length = 0; length <= longest; length++) {
      const followers = this.#levels[length]!.get(this.#key(history, history.length, length));
      if (followers === undefined) break;
      const count = token === undefined ? 0 : followers.count(token);
      chance = Math.max(count - DISCOUNT, 0) / followers.total + followers.leftOver * chance;
    }
    return chance;
  }

  /** How many words it hesitates between on average: the less, the better it knows the text. */
  perplexity(tokens: readonly string[]): number {
    const ids = tokens.map((token) => this.#ids.get(token));
    let bits = 0;
    for (let i = 1; i < ids.length; i++) {
      const history: number[] = [];
      for (let j = i - 1; j >= Math.max(0, i - LONGEST_HISTORY) && ids[j] !== undefined; j--) history.unshift(ids[j]!);
      bits -= Math.log2(this.probability(history, ids[i]));
    }
    return 2 ** (bits / Math.max(1, ids.length - 1));
  }

  /**
   * Draws the next token. Goes down from the longest history: by the share of its discounted counts it takes one of its
   * followers, else it tries the shorter one; `weight` bends both. Undefined when everything is forbidden.
   */
  draw(history: readonly number[], random: Random, weight: Weight): Drawn | undefined {
    const copied = this.#continuations(history);
    for (let length = Math.min(LONGEST_HISTORY, history.length); length >= 0; length--) {
      const followers = this.#levels[length]!.get(this.#key(history, history.length, length));
      if (followers === undefined) continue;
      const { tokens, counts } = followers;
      const shares = new Float64Array(tokens.length);
      let sum = 0;
      for (let i = 0; i < tokens.length; i++) {
        const token = tokens[i]!;
        sum += (counts[i]! - DISCOUNT) * weight(token) * (copied.has(token) ? COPY_WEIGHT : 1);
        shares[i] = sum;
      }
      const at = random.next() * (sum + (length === 0 ? 0 : WANDER[length]! * DISCOUNT * tokens.length));
      if (at >= sum) continue;
      const token = tokens[shares.findIndex((share) => at < share)]!;
      return { token, after: length, isCopy: copied.has(token) };
    }
    return undefined;
  }

  /** What follows in the text wherever the end of `history` stands in it, if that end is long enough to be a copy. */
  #continuations(history: readonly number[]): ReadonlySet<number> {
    if (history.length < COPY_LENGTH) return NOTHING;
    const found = new Set<number>();
    for (const place of this.#places.get(this.#key(history, history.length, LONGEST_HISTORY)) ?? []) {
      let length = LONGEST_HISTORY;
      while (length < COPY_LENGTH && this.#text[place - length] === history[history.length - 1 - length]) length++;
      const next = this.#text[place + 1];
      if (length === COPY_LENGTH && next !== undefined) found.add(next);
    }
    return found;
  }
}

function entry(level: Map<number, Followers>, key: number): Followers {
  let followers = level.get(key);
  if (followers === undefined) {
    followers = new Followers();
    level.set(key, followers);
  }
  return followers;
}
