/**
 * The usual JSON file, read by `JSON.parse`: thirty times as fast as the parser of YAML, which text-source.ts uses for
 * everything else, and without the places of keys. What is unusual (a key twice, a variable that is not set, nesting
 * without end) is left to that parser, which can point at it.
 */
import type { KeyPath } from '../../data/contract/options.ts';
import { type Environment, type EnvironmentValue, isMapping, pathId } from './source.ts';
import { isMasked, type MaskedText, substitute } from './substitute.ts';

export interface PlainJson {
  readonly value: unknown;
  readonly environmentValues: ReadonlyMap<string, EnvironmentValue>;
}

export interface JsonLimits {
  readonly values: number;
  readonly depth: number;
}

/** Undefined when the text is not the usual kind. */
export function plainJson(
  text: string,
  masked: MaskedText,
  env: Environment,
  limits: JsonLimits,
): PlainJson | undefined {
  let value: unknown;
  try {
    value = JSON.parse(masked.text);
    // A token may stand for something that is JSON only without it.
    if (masked.tokens.length > 0) JSON.parse(text);
  } catch {
    return undefined;
  }
  const walk = new Walk(masked.tokens, env, limits);
  const read = walk.read(value, 0);
  if (walk.isUnusual || walk.keys !== keysIn(masked.text)) return undefined;
  return { value: read, environmentValues: walk.environmentValues };
}

/** How many keys are written, in a text that is JSON: one more than there are in the value when one is there twice. */
function keysIn(text: string): number {
  let keys = 0;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at)) {
    at = endOfText(text, at);
    while (WHITE.includes(text[at] ?? '-')) at++;
    if (text[at] === ':') keys++;
  }
  return keys;
}

const WHITE = ' \n\r\t';

/** Behind the quote that ends the text which begins at `at`. */
function endOfText(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); ; end = text.indexOf('"', end + 1)) {
    let escapes = end;
    while (text[escapes - 1] === '\\') escapes--;
    if ((end - escapes) % 2 === 0) return end + 1;
  }
}

class Walk {
  readonly environmentValues = new Map<string, EnvironmentValue>();
  keys = 0;
  isUnusual = false;
  readonly #tokens: readonly string[];
  readonly #env: Environment;
  readonly #limits: JsonLimits;
  readonly #path: (string | number)[] = [];
  #values = 0;

  constructor(tokens: readonly string[], env: Environment, limits: JsonLimits) {
    this.#tokens = tokens;
    this.#env = env;
    this.#limits = limits;
  }

  /** Changes lists and mappings in place: nothing else refers to them yet. */
  read(value: unknown, depth: number): unknown {
    if (++this.#values > this.#limits.values || depth > this.#limits.depth) this.isUnusual = true;
    if (this.isUnusual) return value;
    if (typeof value === 'string') return this.#text(value);
    if (Array.isArray(value)) this.#list(value, depth);
    else if (isMapping(value)) this.#mapping(value, depth);
    return value;
  }

  #list(list: unknown[], depth: number): void {
    for (let i = 0; i < list.length; i++) {
      this.#path.push(i);
      list[i] = this.read(list[i], depth + 1);
      this.#path.pop();
    }
  }

  #mapping(mapping: Record<string, unknown>, depth: number): void {
    for (const key of Object.keys(mapping)) {
      this.keys++;
      if (key === '__proto__' || isMasked(key)) {
        this.isUnusual = true;
        return;
      }
      this.#path.push(key);
      const read = this.read(mapping[key], depth + 1);
      // `"redis": "${REDIS_URL:-}"` without the variable is as good as no key.
      if (read === '' && this.environmentValues.get(pathId(this.#path))?.whole === '') delete mapping[key];
      else mapping[key] = read;
      this.#path.pop();
    }
  }

  #text(text: string): string {
    const result = substitute(text, this.#tokens, this.#env, () => {
      this.isUnusual = true;
    });
    if (result === undefined) return text;
    if (result.variables.length > 0) {
      const path: KeyPath = [...this.#path];
      const whole = result.isWhole ? result.text : undefined;
      const { variables } = result;
      this.environmentValues.set(pathId(path), { path, variables, whole, isMissing: false, isDeclared: false });
    }
    return result.text;
  }
}
