/**
 * Targeted cache control (RFC 9213): fields such as CDN-Cache-Control that speak to this cache alone, as
 * structured-field dictionaries (RFC 9651). The first field of the configured list that is there and valid replaces
 * Cache-Control and Expires altogether (§2.2); one that cannot be parsed is ignored as if it were not there (§2.1).
 */
import type { Head } from '../../parser/head.ts';
import { ABSENT, type Directives, MAX_DELTA_S, NO_DIRECTIVES, parseCacheControl } from './directives.ts';

/** What governs a response: its targeted field, or Cache-Control. `isTargeted`: Expires does not count. */
export interface Governing {
  readonly directives: Readonly<Directives>;
  readonly isTargeted: boolean;
}

export function governing(head: Head, targets: readonly string[]): Governing {
  for (let i = 0; i < targets.length; i++) {
    const value = head.valueOf(targets[i]!);
    const directives = value === null ? null : parseTargeted(value);
    if (directives !== null) return { directives, isTargeted: true };
  }
  return { directives: parseCacheControl(head.valueOf('cache-control')), isTargeted: false };
}

type Item = boolean | number | string;

/** The directives of a dictionary; null when it is empty or not one. */
export function parseTargeted(value: string): Directives | null {
  const dictionary = parseDictionary(value);
  if (dictionary === null || dictionary.size === 0) return null;
  const seconds = (name: string): number => {
    const item = dictionary.get(name);
    // §2.1: parameters are ignored; a value of another type is as if the directive had not been there.
    return typeof item === 'number' && Number.isInteger(item) && item >= 0 ? Math.min(item, MAX_DELTA_S) : ABSENT;
  };
  const has = (name: string): boolean => dictionary.get(name) === true;
  return {
    ...NO_DIRECTIVES,
    withheld: [],
    maxAge: seconds('max-age'),
    sMaxage: seconds('s-maxage'),
    staleWhileRevalidate: seconds('stale-while-revalidate'),
    staleIfError: seconds('stale-if-error'),
    noStore: has('no-store'),
    noCache: has('no-cache'),
    isPrivate: has('private'),
    isPublic: has('public'),
    mustRevalidate: has('must-revalidate'),
    proxyRevalidate: has('proxy-revalidate'),
    mustUnderstand: has('must-understand'),
    immutable: has('immutable'),
    noTransform: has('no-transform'),
  };
}

const KEY = /[a-z*][a-z0-9_\-.*]*/y;
const NUMBER = /-?\d{1,15}(?:\.\d{1,3})?/y;
const STRING = /"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"/y;
const TOKEN = /[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*/y;
const BOOLEAN = /\?[01]/y;
const BINARY = /:[A-Za-z0-9+/]*={0,2}:/y;
const DATE = /@-?\d{1,15}/y;
const SPACES = /[ \t]*/y;
const SP = / */y;

/**
 * RFC 9651 §4.2.2. Inner lists are not used by any directive: a dictionary with one still parses, the member has no
 * value.
 */
export function parseDictionary(text: string): Map<string, Item> | null {
  const reader = new ItemReader(text.replace(/^ +| +$/g, ''));
  const members = new Map<string, Item>();
  while (!reader.isAtEnd) {
    const key = reader.take(KEY);
    if (key === null) return null;
    let item: Item | null = true;
    if (reader.takeChar('=')) item = reader.itemOrList();
    if (item === null || !reader.parameters()) return null;
    members.set(key, item);
    reader.take(SPACES);
    if (reader.isAtEnd) return members;
    if (!reader.takeChar(',')) return null;
    reader.take(SPACES);
    if (reader.isAtEnd) return null;
  }
  return members;
}

class ItemReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#text.length;
  }

  take(what: RegExp): string | null {
    what.lastIndex = this.#at;
    const found = what.exec(this.#text);
    if (found === null) return null;
    this.#at += found[0].length;
    return found[0];
  }

  takeChar(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  itemOrList(): Item | null {
    if (!this.takeChar('(')) return this.#bareItem();
    for (;;) {
      this.take(SP);
      if (this.takeChar(')')) return '';
      if (this.#bareItem() === null || !this.parameters()) return null;
      if (this.#text[this.#at] !== ' ' && this.#text[this.#at] !== ')') return null;
    }
  }

  parameters(): boolean {
    while (this.takeChar(';')) {
      this.take(SP);
      if (this.take(KEY) === null) return false;
      if (this.takeChar('=') && this.#bareItem() === null) return false;
    }
    return true;
  }

  #bareItem(): Item | null {
    const number = this.take(NUMBER);
    if (number !== null) return Number(number);
    const boolean = this.take(BOOLEAN);
    if (boolean !== null) return boolean === '?1';
    return this.take(STRING) ?? this.take(TOKEN) ?? this.take(BINARY) ?? this.take(DATE);
  }
}
