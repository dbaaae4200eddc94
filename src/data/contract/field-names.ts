/**
 * A few names of fields, to be looked for in heads: which of the fields of a head are among them costs one look-up a
 * field, however many names there are.
 */
export class FieldNames {
  /** Lower case. */
  readonly lower: readonly string[];
  /** By `slotOf`: 1 where one of the names may be. */
  readonly #slots = new Uint8Array(256);

  constructor(names: readonly string[]) {
    this.lower = names.map((name) => name.toLowerCase());
    for (const name of this.lower) this.#slots[slotOf(name.length, name.charCodeAt(0))] = 1;
  }

  /** May a name of this length and first byte be one of them? */
  mayHave(length: number, firstByte: number): boolean {
    return this.#slots[slotOf(length, firstByte)] === 1;
  }

  /** `name`: in any spelling. */
  has(name: string): boolean {
    if (!this.mayHave(name.length, name.charCodeAt(0))) return false;
    return this.lower.includes(name.toLowerCase());
  }
}

function slotOf(length: number, firstByte: number): number {
  return (length * 29 + (firstByte | 0x20)) & 255;
}
