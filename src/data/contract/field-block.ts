/**
 * Fields made once and written often, and the grammar that every field of ours is checked against, so that nothing from
 * configuration, policies or handlers can split a message. A block keeps the form of each protocol: the lines of
 * HTTP/1.1 and, once asked for, what HTTP/2 makes of it.
 */
import type { ShortBytes } from '../../base/copy-bytes.ts';
import { flat } from '../../base/text.ts';
import { FieldNames } from './field-names.ts';

/** May this text stand in a field value (RFC 9110 §5.5)? */
export function isFieldValue(text: string): boolean {
  return !/[^\t\x20-\x7e\x80-\xff]/.test(text);
}

/** Is this a field name (a token, RFC 9110 §5.1)? */
export function isFieldName(text: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text);
}

/** Throws a TypeError: who makes an impossible field has a defect, which must not become a split message. */
export function checkField(name: string, value: string): void {
  if (!isFieldName(name) || !isFieldValue(value)) throw new TypeError(`not a field: ${JSON.stringify(name)}`);
}

export class FieldBlock {
  readonly names: readonly string[];
  readonly values: readonly string[];
  /** The same for HTTP/2, made and read by its encoder alone: when the block is written for the second time. */
  encoded: Uint8Array | null = null;
  wasEncoded = false;
  #lines: string | null = null;
  #keys: FieldNames | null = null;

  /** For fields that passed a parser or `checkField`; all others go through `of`. */
  constructor(names: readonly string[], values: readonly string[]) {
    this.names = names;
    this.values = values;
  }

  /** Throws a TypeError on what is no field. */
  static of(pairs: Iterable<readonly [name: string, value: string]>): FieldBlock {
    const names: string[] = [];
    const values: string[] = [];
    for (const [name, value] of pairs) {
      checkField(name, value);
      names.push(name);
      values.push(value);
    }
    return new FieldBlock(names, values);
  }

  /** HTTP/1.1: each field with its CRLF. */
  get lines(): string {
    return this.#lines ?? this.#makeLines();
  }

  #makeLines(): string {
    let lines = '';
    for (let i = 0; i < this.names.length; i++) lines += `${this.names[i]}: ${this.values[i]}\r\n`;
    this.#lines = flat(lines);
    return this.#lines;
  }

  /** Its names, to be looked for. */
  get keys(): FieldNames {
    this.#keys ??= new FieldNames(this.names);
    return this.#keys;
  }

  /** The value of a field by its lower-case name, several joined with `, `; null if absent. */
  valueOf(lowerName: string): string | null {
    let found: string | null = null;
    for (let i = 0; i < this.names.length; i++) {
      const name = this.names[i]!;
      if (name.length !== lowerName.length || name.toLowerCase() !== lowerName) continue;
      found = found === null ? this.values[i]! : `${found}, ${this.values[i]}`;
    }
    return found;
  }
}

export const NO_FIELDS: FieldBlock = new FieldBlock([], []);

/** The name of a field and how its value always begins, such as `RateLimit: "user-1m";r=`. */
export class FieldStart {
  readonly name: string;
  readonly value: string;
  /** HTTP/1.1. */
  readonly line: Buffer;
  /**
   * The name for HTTP/2, of a field that no table is asked for since its value changes each time; null: another one.
   * Made and read by its encoder alone, when it is written for the first time.
   */
  changing: ShortBytes | null | undefined;

  constructor(name: string, value = '') {
    checkField(name, value);
    this.name = name;
    this.value = value;
    this.line = Buffer.from(`${name}: ${value}`, 'latin1');
  }
}
