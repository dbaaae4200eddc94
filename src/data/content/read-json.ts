/**
 * JSON that every parser reads alike: the service behind the gateway must not see another value than
 * the one that was checked. RFC 8259 leaves open what duplicate names, lone surrogates and integers beyond 2^53 mean,
 * and readers differ; all are refused (integers where asked). Depth is bounded before `JSON.parse` runs.
 *
 * Duplicates cost no table of names: a text with as many colons outside of strings as the value has members has none.
 */
import { isUtf8 } from 'node:buffer';
import type { Violation } from './violation.ts';
import { violation } from './violation.ts';

export interface JsonLimits {
  /** Deepest nesting of lists and objects. */
  readonly maxDepth: number;
  /** Refuse integers that not every reader can hold: beyond 2^53. */
  readonly safeIntegers: boolean;
}

const DEFAULT_JSON_LIMITS: JsonLimits = { maxDepth: 64, safeIntegers: false };

export type JsonReading =
  /** `hasLongNumber`: a number in `text` has so many digits that a double may not hold it. */
  | { readonly ok: true; readonly value: unknown; readonly text: string; readonly hasLongNumber: boolean }
  | { readonly ok: false; readonly violation: Violation };

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const SMALL_U = 0x75;
const ZERO = 0x30;
const NINE = 0x39;
/** 2^53 has as many digits. */
const LONG_NUMBER = 16;

export function readJson(bytes: Uint8Array, limits: JsonLimits = DEFAULT_JSON_LIMITS): JsonReading {
  if (bytes.length === 0) return refused('', undefined, 'a JSON text');
  // RFC 8259 §8.1: UTF-8 and no byte order mark.
  if (!isUtf8(bytes)) return refused('', undefined, 'UTF-8');
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return refused('', undefined, 'no byte order mark');
  if (!scan(bytes, limits.maxDepth)) return refused('', undefined, `at most ${limits.maxDepth} levels of nesting`);
  const { colons, hasEscapes, hasLongNumber } = seen;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return refused('', undefined, 'a JSON text');
  }
  const walk = new Walk(hasEscapes, limits.safeIntegers);
  walk.visit(value, '');
  if (walk.problem !== null) return { ok: false, violation: walk.problem };
  if (walk.members !== colons) {
    return { ok: false, violation: violation(duplicateIn(bytes), undefined, 'each name once in an object') };
  }
  return { ok: true, value, text, hasLongNumber };
}

/** What `scan` has seen: colons outside of strings, `\u`, a number of many digits. */
const seen = { colons: 0, hasEscapes: false, hasLongNumber: false };

/** False: it is nested too deep. */
function scan(bytes: Uint8Array, maxDepth: number): boolean {
  let colons = 0;
  let depth = 0;
  let digits = 0;
  let hasEscapes = false;
  let hasLongNumber = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === QUOTE) {
      for (i++; i < bytes.length; i++) {
        const inner = bytes[i]!;
        if (inner === QUOTE) break;
        if (inner === BACKSLASH && bytes[++i] === SMALL_U) hasEscapes = true;
      }
    } else if (byte >= ZERO && byte <= NINE) {
      if (++digits === LONG_NUMBER) hasLongNumber = true;
      continue;
    } else if (byte === COLON) colons++;
    else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
      if (++depth > maxDepth) return false;
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) depth--;
    digits = 0;
  }
  seen.colons = colons;
  seen.hasEscapes = hasEscapes;
  seen.hasLongNumber = hasLongNumber;
  return true;
}

class Walk {
  members = 0;
  problem: Violation | null = null;
  readonly #texts: boolean;
  readonly #integers: boolean;

  constructor(texts: boolean, integers: boolean) {
    this.#texts = texts;
    this.#integers = integers;
  }

  visit(value: unknown, at: string): void {
    if (typeof value === 'string') {
      if (this.#texts && !value.isWellFormed()) this.#refuse(at, 'no half of a surrogate pair');
    } else if (typeof value === 'number') {
      // 1e400 is no number to one reader and infinity to another.
      if (!Number.isFinite(value)) this.#refuse(at, 'a number that a double can hold');
      else if (this.#integers && Number.isInteger(value) && !Number.isSafeInteger(value))
        this.#refuse(at, 'an integer between -2^53 and 2^53');
    } else if (typeof value === 'object' && value !== null) {
      if (Array.isArray(value)) for (let i = 0; i < value.length; i++) this.visit(value[i], at);
      else this.#members(value as Record<string, unknown>, at);
    }
  }

  #members(value: Record<string, unknown>, at: string): void {
    for (const name in value) {
      this.members++;
      if (this.#texts && !name.isWellFormed()) this.#refuse(at, 'names without half of a surrogate pair');
      const inner = value[name];
      // Only what can be wrong is visited, and a path is made only where there is something to say.
      if (typeof inner === 'object' || typeof inner === 'number' || (this.#texts && typeof inner === 'string')) {
        const before = this.problem;
        this.visit(inner, at);
        if (before === null && this.problem !== null)
          this.problem = { ...this.problem, field: `/${pointerStep(name)}${this.problem.field}` };
      }
    }
  }

  #refuse(at: string, expected: string): void {
    this.problem ??= violation(at, undefined, expected);
  }
}

/** The JSON Pointer of the first name that stands twice. Only for the message, so it may take its time. */
function duplicateIn(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString('utf8');
  const open: { names: Set<string> | null; step: string; index: number }[] = [];
  const token = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g;
  let last = '';
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const [what] = match;
    const top = open.at(-1);
    if (what === '{' || what === '[') open.push({ names: what === '{' ? new Set() : null, step: '0', index: 0 });
    else if (what === '}' || what === ']') open.pop();
    else if (what === ',' && top?.names === null) top.step = String(++top.index);
    else if (what === ':' && top?.names != null) {
      const name = JSON.parse(last) as string;
      top.step = pointerStep(name);
      if (top.names.has(name)) return open.map(({ step }) => `/${step}`).join('');
      top.names.add(name);
    } else last = what;
  }
  return '';
}

/** A name as a step of a JSON Pointer (RFC 6901). */
function pointerStep(name: string): string {
  return name.slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1');
}

function refused(field: string, value: unknown, expected: string): JsonReading {
  return { ok: false, violation: violation(field, value, expected) };
}
