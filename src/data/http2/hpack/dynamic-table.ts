/**
 * A dynamic table of HPACK (RFC 7541 §2.3.2, §4): entries are field lines, `name: value CRLF`, one behind the other in
 * one piece of memory that grows with what is in it, so that an idle connection has next to nothing and an entry is
 * handed on in one copy. Owner: one direction of one connection.
 *
 *   bytes  | free | oldest ... newest | free |        moved to the front when the end is reached
 */

/** RFC 7541 §4.1: what an entry counts beyond its name and value. */
const ENTRY_OVERHEAD = 32;
const LINE_OVERHEAD = 4;
const FIRST_BYTES = 256;
const FIRST_ENTRIES = 8;
const NOTHING = Buffer.alloc(0);
const NO_NUMBERS = new Int32Array(0);
const NO_ORIGINS = new Float64Array(0);

const START = 0;
const NAME = 1;
const VALUE = 2;
const KIND = 3;

export class DynamicTable {
  bytes: Buffer = NOTHING;
  /** Entries ever inserted; the newest has number `inserted - 1`. */
  inserted = 0;
  count = 0;
  /** As RFC 7541 §4.1 counts. */
  size = 0;
  maxSize: number;
  /** A ring of four numbers per entry: start, name length, value length, kind. */
  #entries: Int32Array = NO_NUMBERS;
  /** A ring, too (origins.ts); a decoder's table has one. */
  #origins: Float64Array = NO_ORIGINS;
  #mask = -1;
  #used = 0;
  /** How often it has changed: as long as that stays, each index means the same. */
  changes = 0;

  constructor(maxSize: number) {
    this.maxSize = maxSize;
  }

  startOf(number: number): number {
    return this.#entries[((number & this.#mask) << 2) + START]!;
  }

  nameLengthOf(number: number): number {
    return this.#entries[((number & this.#mask) << 2) + NAME]!;
  }

  valueLengthOf(number: number): number {
    return this.#entries[((number & this.#mask) << 2) + VALUE]!;
  }

  kindOf(number: number): number {
    return this.#entries[((number & this.#mask) << 2) + KIND]!;
  }

  originOf(number: number): number {
    return this.#origins[number & this.#mask]!;
  }

  /** Is the entry with this number still here? */
  has(number: number): boolean {
    return number < this.inserted && number >= this.inserted - this.count;
  }

  /** RFC 7541 §4.3. */
  resize(maxSize: number): void {
    this.changes++;
    this.maxSize = maxSize;
    this.#evictTo(maxSize);
  }

  /**
   * Takes the line that starts at `start`; it must not lie in this table. An entry that is larger than the table
   * empties it (§4.4). False: it is not in the table now.
   */
  insert(line: Uint8Array, start: number, nameLength: number, valueLength: number, kind: number, origin = 0): boolean {
    this.changes++;
    const size = nameLength + valueLength + ENTRY_OVERHEAD;
    if (size > this.maxSize) {
      this.#evictTo(0);
      return false;
    }
    this.#evictTo(this.maxSize - size);
    const length = nameLength + valueLength + LINE_OVERHEAD;
    if (this.#used + length > this.bytes.length) this.#makeRoom(length);
    if (this.count > this.#mask) this.#makeEntries();
    if (origin !== 0) this.#keepOrigin(origin);
    const at = (this.inserted & this.#mask) << 2;
    this.#entries[at + START] = this.#used;
    this.#entries[at + NAME] = nameLength;
    this.#entries[at + VALUE] = valueLength;
    this.#entries[at + KIND] = kind;
    this.bytes.set(line.subarray(start, start + length), this.#used);
    this.#used += length;
    this.inserted++;
    this.count++;
    this.size += size;
    return true;
  }

  #keepOrigin(origin: number): void {
    if (this.#origins.length <= this.#mask) {
      const before = this.#origins;
      this.#origins = new Float64Array(this.#mask + 1);
      for (let number = this.inserted - this.count; number < this.inserted; number++)
        this.#origins[number & this.#mask] = before[number & (before.length - 1)]!;
    }
    this.#origins[this.inserted & this.#mask] = origin;
  }

  #evictTo(size: number): void {
    while (this.size > size) {
      const oldest = this.inserted - this.count;
      this.size -= this.nameLengthOf(oldest) + this.valueLengthOf(oldest) + ENTRY_OVERHEAD;
      this.count--;
    }
    if (this.count === 0) this.#used = 0;
  }

  /** Moves the lines to the front, of larger memory if they would soon have to be moved again. */
  #makeRoom(length: number): void {
    const first = this.count === 0 ? this.#used : this.startOf(this.inserted - this.count);
    const live = this.#used - first;
    let room = Math.max(this.bytes.length, FIRST_BYTES);
    while (room < (live + length) * 2 && room < this.maxSize * 2) room *= 2;
    const from = this.bytes;
    if (room > from.length) this.bytes = Buffer.allocUnsafeSlow(room);
    from.copy(this.bytes, 0, first, this.#used);
    for (let number = this.inserted - this.count; number < this.inserted; number++)
      this.#entries[((number & this.#mask) << 2) + START]! -= first;
    this.#used = live;
  }

  #makeEntries(): void {
    const mask = this.#mask < 0 ? FIRST_ENTRIES - 1 : this.#mask * 2 + 1;
    const entries = new Int32Array((mask + 1) << 2);
    for (let number = this.inserted - this.count; number < this.inserted; number++) {
      const from = (number & this.#mask) << 2;
      entries.set(this.#entries.subarray(from, from + 4), (number & mask) << 2);
    }
    this.#entries = entries;
    this.#mask = mask;
  }
}
