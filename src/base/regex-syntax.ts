/**
 * Reads the source of a regular expression into a small tree, for those who must know what it can match before it
 * meets traffic (safe-regex.ts). It does not match anything itself. The language is JavaScript's with the `u` flag,
 * less what cannot be matched in linear time: back references and lookaround are refused, as are inline modifiers.
 * Characters are sets over 256 codes plus one for "all others", which is all that a request line can hold.
 */
import { messageOf } from './errors.ts';

/** Bit n is character code n; bit 256 stands for every code above 255. */
export type CharSet = bigint;

export type RegexNode =
  | { readonly kind: 'set'; readonly set: CharSet }
  | { readonly kind: 'sequence'; readonly items: readonly RegexNode[] }
  | { readonly kind: 'choice'; readonly items: readonly RegexNode[] }
  | { readonly kind: 'repeat'; readonly item: RegexNode; readonly min: number; readonly max: number }
  /** Matches no character: an anchor, a word boundary. */
  | { readonly kind: 'empty' };

export const ALL: CharSet = (1n << 257n) - 1n;
const OTHERS: CharSet = 1n << 256n;
const DIGITS = range(0x30, 0x39);
const WORDS = DIGITS | range(0x41, 0x5a) | range(0x61, 0x7a) | single(0x5f);
const SPACES = range(0x09, 0x0d) | single(0x20) | single(0xa0) | OTHERS;
const LINE_ENDS = single(0x0a) | single(0x0d);
const EMPTY: RegexNode = { kind: 'empty' };

/** What is wrong is a string, so that callers decide whether it is a fault of the configuration or of the program. */
export function parseRegex(source: string): RegexNode | string {
  try {
    new RegExp(source, 'u');
  } catch (error) {
    return messageOf(error).replace(/^Invalid regular expression: /, '');
  }
  const reader = new Reader(source);
  const node = reader.choice();
  return reader.problem ?? node;
}

export function single(code: number): CharSet {
  return code > 255 ? OTHERS : 1n << BigInt(code);
}

/** Both ends belong to it. */
export function range(from: number, to: number): CharSet {
  if (from > 255) return OTHERS;
  const last = Math.min(to, 255);
  const set = ((1n << BigInt(last - from + 1)) - 1n) << BigInt(from);
  return to > 255 ? set | OTHERS : set;
}

/** The inverse. "All others" is a crowd: a set that holds some of it does not keep the inverse from holding others. */
function negated(set: CharSet): CharSet {
  return (ALL & ~set) | OTHERS;
}

/** Recursive descent over a source that the engine has already accepted, so only what is refused needs a check. */
class Reader {
  problem: string | undefined;
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  choice(): RegexNode {
    const items = [this.#sequence()];
    while (this.#take('|')) items.push(this.#sequence());
    return items.length === 1 ? items[0]! : { kind: 'choice', items };
  }

  #sequence(): RegexNode {
    const items: RegexNode[] = [];
    while (this.problem === undefined && this.#at < this.#text.length) {
      const next = this.#text[this.#at];
      if (next === '|' || next === ')') break;
      items.push(this.#quantified(this.#atom()));
    }
    return items.length === 1 ? items[0]! : { kind: 'sequence', items };
  }

  #quantified(item: RegexNode): RegexNode {
    let min: number;
    let max: number;
    if (this.#take('*')) [min, max] = [0, Number.POSITIVE_INFINITY];
    else if (this.#take('+')) [min, max] = [1, Number.POSITIVE_INFINITY];
    else if (this.#take('?')) [min, max] = [0, 1];
    else {
      const counts = /^\{(\d+)(,?)(\d*)\}/.exec(this.#text.slice(this.#at, this.#at + 64));
      if (counts === null) return item;
      this.#at += counts[0].length;
      min = Number(counts[1]);
      max = counts[2] === '' ? min : counts[3] === '' ? Number.POSITIVE_INFINITY : Number(counts[3]);
    }
    this.#take('?');
    return { kind: 'repeat', item, min, max };
  }

  #atom(): RegexNode {
    const char = this.#next();
    if (char === '(') return this.#group();
    if (char === '[') return { kind: 'set', set: this.#charClass() };
    if (char === '.') return { kind: 'set', set: ALL & ~LINE_ENDS };
    if (char === '^' || char === '$') return EMPTY;
    if (char === '\\') return this.#escape();
    return { kind: 'set', set: single(char.codePointAt(0) ?? 0) };
  }

  #group(): RegexNode {
    if (this.#take('?')) {
      if (this.#text[this.#at] === '<' && !/[=!]/.test(this.#text[this.#at + 1] ?? '')) {
        this.#at = this.#text.indexOf('>', this.#at) + 1;
      } else if (!this.#take(':')) {
        const look = /^<?[=!]/.test(this.#text.slice(this.#at));
        return this.#refuse(look ? 'looking ahead or behind is not supported' : 'modifiers are not supported');
      }
    }
    const node = this.choice();
    this.#take(')');
    return node;
  }

  #escape(): RegexNode {
    const next = this.#text[this.#at] ?? '';
    if (next === 'b' || next === 'B') {
      this.#at++;
      return EMPTY;
    }
    if (next === 'k' || (next >= '1' && next <= '9')) return this.#refuse('a back reference is not supported');
    return { kind: 'set', set: this.#escapedSet() };
  }

  /** Behind the backslash. Several characters for `\d` and its like, else one. */
  #escapedSet(): CharSet {
    const char = this.#next();
    const known = ESCAPED_SETS[char];
    if (known !== undefined) return known;
    if (char === 'p' || char === 'P') {
      this.#at = this.#text.indexOf('}', this.#at) + 1;
      return ALL; // not worth a table: taken for everything, which errs on the strict side
    }
    return single(this.#escapedCode(char));
  }

  #escapedCode(char: string): number {
    if (char === 'x') return this.#hex(2);
    if (char === 'c') return (this.#next().codePointAt(0) ?? 0) % 32;
    if (char === 'u') {
      if (!this.#take('{')) return this.#hex(4);
      const end = this.#text.indexOf('}', this.#at);
      const code = Number.parseInt(this.#text.slice(this.#at, end), 16);
      this.#at = end + 1;
      return code;
    }
    return ESCAPED_CODES[char] ?? char.codePointAt(0) ?? 0;
  }

  #charClass(): CharSet {
    const inverse = this.#take('^');
    let set: CharSet = 0n;
    while (this.#at < this.#text.length && !this.#take(']')) {
      const from = this.#classItem();
      if (this.#text[this.#at] === '-' && this.#text[this.#at + 1] !== ']') {
        this.#at++;
        const to = this.#classItem();
        set |= typeof from === 'number' && typeof to === 'number' ? range(from, to) : ALL;
      } else {
        set |= typeof from === 'number' ? single(from) : from;
      }
    }
    return inverse ? negated(set) : set;
  }

  /** A code where the item is one character, so that it may begin or end a range. */
  #classItem(): number | CharSet {
    const char = this.#next();
    if (char !== '\\') return char.codePointAt(0) ?? 0;
    const next = this.#text[this.#at] ?? '';
    if (next in ESCAPED_SETS || next === 'p' || next === 'P') return this.#escapedSet();
    this.#at++;
    return next === 'b' ? 0x08 : this.#escapedCode(next);
  }

  #hex(length: number): number {
    const code = Number.parseInt(this.#text.slice(this.#at, this.#at + length), 16);
    this.#at += length;
    return code;
  }

  /** One character, which may be two code units. */
  #next(): string {
    const char = String.fromCodePoint(this.#text.codePointAt(this.#at) ?? 0);
    this.#at += char.length;
    return char;
  }

  #take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #refuse(problem: string): RegexNode {
    this.problem ??= problem;
    this.#at = this.#text.length;
    return EMPTY;
  }
}

const ESCAPED_SETS: Readonly<Record<string, CharSet>> = {
  d: DIGITS,
  D: negated(DIGITS),
  w: WORDS,
  W: negated(WORDS),
  s: SPACES,
  S: negated(SPACES),
};

const ESCAPED_CODES: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, v: 11, f: 12, '0': 0 };
