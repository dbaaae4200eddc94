/** Hides what may not be shown: all that patterns match in a text becomes `***`. */

export const HIDDEN = '***';

export class Redaction {
  readonly #patterns: readonly RegExp[];

  /** `patterns`: sources of regular expressions, checked before (safe-regex.ts). None: nothing is hidden. */
  constructor(patterns: readonly string[] = []) {
    this.#patterns = patterns.map((source) => new RegExp(source, 'g'));
  }

  get isEmpty(): boolean {
    return this.#patterns.length === 0;
  }

  text(text: string): string {
    let result = text;
    for (const pattern of this.#patterns) result = result.replace(pattern, HIDDEN);
    return result;
  }

  /** Every string within plain data, but for the names of members. */
  value<T>(value: T): T {
    return this.isEmpty ? value : (this.#inner(value) as T);
  }

  #inner(value: unknown): unknown {
    if (typeof value === 'string') return this.text(value);
    if (Array.isArray(value)) return value.map((each) => this.#inner(each));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, this.#inner(inner)]));
  }
}
