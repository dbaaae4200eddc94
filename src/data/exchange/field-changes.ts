/**
 * What policies want changed of one head: fields of the other side that are taken out, and fields that are added. Made
 * when the first policy asks for a change; most exchanges have none.
 */
import { checkField, type FieldBlock } from '../contract/field-block.ts';
import type { FieldNames } from '../contract/field-names.ts';
import type { FieldWriter } from '../contract/field-writer.ts';

export class FieldChanges {
  /** Lower-case names. Null: none. */
  removed: string[] | null = null;
  /** A name and its value by turns, or a block in place of the two. */
  #added: (string | FieldBlock)[] = [];
  #markedAdded = 0;
  #markedRemoved = 0;

  add(name: string, value: string): void {
    checkField(name, value);
    this.#added.push(name, value);
  }

  addBlock(block: FieldBlock): void {
    this.#added.push(block);
  }

  set(name: string, value: string): void {
    this.remove(name);
    this.add(name, value);
  }

  remove(name: string): void {
    const lower = name.toLowerCase();
    this.removed ??= [];
    this.removed.push(lower);
    this.#drop(lower);
  }

  /** Each of these in place of what there is; `mayBeThere`: on the other side too. */
  setBlock(block: FieldBlock, mayBeThere: boolean): void {
    const { lower } = block.keys;
    if (mayBeThere) {
      this.removed ??= [];
      for (let i = 0; i < lower.length; i++) this.removed.push(lower[i]!);
    }
    if (this.#added.length > 0) for (let i = 0; i < lower.length; i++) this.#drop(lower[i]!);
    this.#added.push(block);
  }

  #drop(lower: string): void {
    if (hasName(this.#added, lower)) this.#added = without(this.#added, lower);
  }

  removes(name: string): boolean {
    return this.removed?.includes(name.toLowerCase()) === true;
  }

  removesAnyOf(names: FieldNames): boolean {
    if (this.removed === null) return false;
    for (let i = 0; i < this.removed.length; i++) if (names.has(this.removed[i]!)) return true;
    return false;
  }

  /** Values that were added under a lower-case name, joined with `, `; null: none. */
  addedValue(lowerName: string): string | null {
    const values: string[] = [];
    const added = this.#added;
    for (let i = 0; i < added.length; i++) {
      const each = added[i]!;
      const value = typeof each !== 'string' ? each.valueOf(lowerName) : added[++i];
      if (value !== null && (typeof each !== 'string' || each.toLowerCase() === lowerName))
        values.push(value as string);
    }
    return values.length === 0 ? null : values.join(', ');
  }

  /** In place of the other side's fields of the name; what was added stays. */
  replace(name: string, values: readonly string[]): void {
    this.removed ??= [];
    this.removed.push(name.toLowerCase());
    for (const value of values) this.add(name, value);
  }

  /** Remembers how things stand, for `rollBack`. */
  mark(): void {
    this.#markedAdded = this.#added.length;
    this.#markedRemoved = this.removed === null ? 0 : this.removed.length;
  }

  /** Forgets what was changed since `mark`; what was replaced since is gone. */
  rollBack(): void {
    this.#added.length = Math.min(this.#added.length, this.#markedAdded);
    if (this.removed !== null) this.removed.length = Math.min(this.removed.length, this.#markedRemoved);
  }

  writeAdded(out: FieldWriter): void {
    const added = this.#added;
    for (let i = 0; i < added.length; i++) {
      const each = added[i]!;
      if (typeof each === 'string') out.field(each, added[++i] as string);
      else out.fields(each);
    }
  }
}

/** Is there anything to be taken out? Mostly not. */
function hasName(added: readonly (string | FieldBlock)[], lowerName: string): boolean {
  for (let i = 0; i < added.length; i++) {
    const each = added[i]!;
    if (typeof each !== 'string') {
      if (each.keys.has(lowerName)) return true;
      continue;
    }
    if (each.length === lowerName.length && each.toLowerCase() === lowerName) return true;
    i++;
  }
  return false;
}

function without(added: readonly (string | FieldBlock)[], lowerName: string): (string | FieldBlock)[] {
  const kept: (string | FieldBlock)[] = [];
  const keep = (name: string, value: string): void => {
    if (name.length !== lowerName.length || name.toLowerCase() !== lowerName) kept.push(name, value);
  };
  for (let i = 0; i < added.length; i++) {
    const each = added[i]!;
    if (typeof each === 'string') keep(each, added[++i] as string);
    else if (each.valueOf(lowerName) === null) kept.push(each);
    else for (const [at, name] of each.names.entries()) keep(name, each.values[at]!);
  }
  return kept;
}

/** Hands on what is written to it, except the fields that policies have removed. */
export class RemovingWriter implements FieldWriter {
  readonly #out: FieldWriter;
  readonly #changes: FieldChanges;
  #skips = false;

  constructor(out: FieldWriter, changes: FieldChanges) {
    this.#out = out;
    this.#changes = changes;
  }

  field(name: string, value: string): void {
    if (!this.#changes.removes(name)) this.#out.field(name, value);
  }

  fields(block: FieldBlock): void {
    if (!this.#changes.removesAnyOf(block.keys)) this.#out.fields(block);
    else for (const [i, name] of block.names.entries()) this.field(name, block.values[i]!);
  }

  begin(start: Parameters<FieldWriter['begin']>[0]): void {
    this.#skips = this.#changes.removes(start.name);
    if (!this.#skips) this.#out.begin(start);
  }

  text(text: string): void {
    if (!this.#skips) this.#out.text(text);
  }

  bytes(bytes: Buffer, start: number, end: number): void {
    if (!this.#skips) this.#out.bytes(bytes, start, end);
  }

  words(words: Int32Array, length: number): void {
    if (!this.#skips) this.#out.words(words, length);
  }

  integer(value: number): void {
    if (!this.#skips) this.#out.integer(value);
  }

  end(): void {
    if (!this.#skips) this.#out.end();
    this.#skips = false;
  }
}
