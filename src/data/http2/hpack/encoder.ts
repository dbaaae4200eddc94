/**
 * Encoder of HPACK (RFC 7541): one per connection and direction. It puts what it has seen twice into the dynamic table,
 * so that fields which are the same in every message cost one byte and those that never repeat push nothing out. What
 * may be a secret is never put there (§7.1.3). Values that go into the table are Huffman-coded, once; others are
 * copied.
 *
 * A block is gathered in scratch memory of the thread from `begin` to `end`, with nothing in between that waits.
 */
import { copyBytes, copyByView, copyWords, ShortBytes } from '../../../base/copy-bytes.ts';
import type { Scratch } from '../../wire/scratch.ts';
import { giveScratch, NO_SCRATCH, takeScratch } from '../../wire/scratch.ts';
import { TABLE_BYTES } from './decoder.ts';
import { DynamicTable } from './dynamic-table.ts';
import { encodeHuffman, huffmanLength } from './huffman.ts';
import { STATIC_COUNT, staticNameIndexOf, staticStatusIndex } from './static-table.ts';

const INDEXED = 0x80;
const WITH_INDEXING = 0x40;
const SIZE_UPDATE = 0x20;
const NEVER_INDEXED = 0x10;
const WITHOUT_INDEXING = 0x00;

/** A line longer than this would push too much out of the table. */
const LONGEST_INDEXED = 512;
/** Up to here comparing in a loop is cheaper than a call out of JavaScript. */
const LOOP_BYTES = 128;
/** The same for prepared fields. */
const SHORT_BLOCK = 32;
/** Powers of two. */
const SLOTS = 128;
const SEEN = 64;
/** Those of encoders that have not written any: an idle connection has no memory of its own for them. */
const NO_SLOTS = new Int32Array(SLOTS);
const NONE_SEEN = new Int32Array(SEEN);
/** A power of two. */
const ORIGINS = 64;
const NO_ORIGINS = new Float64Array(ORIGINS);
const NO_PLACES = new Int32Array(ORIGINS);

/** Whose values may be secrets: guessing one against the size of what we send must not be possible (RFC 7541 §7.1). */
const SECRETS = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'www-authenticate',
  'proxy-authenticate',
  'authentication-info',
  'x-api-key',
  'x-auth-token',
  'x-csrf-token',
]);
/** Whose values change with each message: looking for them would be for nothing. */
const CHANGING = new Set([
  'content-length',
  'x-request-id',
  'etag',
  'last-modified',
  'content-range',
  'location',
  'age',
  'x-ratelimit-remaining',
  'x-ratelimit-reset',
  'ratelimit',
  'traceparent',
]);
const SECRET = 1;
const CHANGES = 2;

/** The two lists by the bytes of a name, without making a string of it. */
const SPECIAL: { readonly bytes: Buffer; readonly rule: number }[][] = Array.from({ length: 64 }, () => []);
for (const [names, rule] of [
  [SECRETS, SECRET],
  [CHANGING, CHANGES],
] as const) {
  for (const name of names) {
    const bytes = Buffer.from(name, 'latin1');
    SPECIAL[specialBucket(bytes, 0, bytes.length)]!.push({ bytes, rule });
  }
}

function specialBucket(bytes: Uint8Array, start: number, length: number): number {
  return (length * 11 + bytes[start]! + bytes[start + length - 1]! * 3) & 63;
}

function ruleFor(bytes: Uint8Array, start: number, length: number): number {
  const bucket = SPECIAL[specialBucket(bytes, start, length)]!;
  for (let b = 0; b < bucket.length; b++) {
    const name = bucket[b]!.bytes;
    if (name.length !== length) continue;
    let i = 0;
    while (i < length && name[i] === bytes[start + i]) i++;
    if (i === length) return bucket[b]!.rule;
  }
  return 0;
}

export class HpackEncoder {
  /** Of the open block. */
  bytes: Buffer = NO_SCRATCH.bytes;
  length = 0;
  #scratch: Scratch = NO_SCRATCH;
  readonly #table: DynamicTable;
  /** By hash of a line: number of its entry plus one. */
  #slots = NO_SLOTS;
  /** Hashes of lines that came once. */
  #seen = NONE_SEEN;
  /** Origins of lines that are in the table, and the numbers of their entries. */
  #origins = NO_ORIGINS;
  #places = NO_PLACES;
  /** Sizes to announce at the beginning of the next block (§4.2), or -1. */
  #lowestSize = -1;
  #newSize = -1;
  /** How often it wrote what may be a secret, or what it would write in another way the next time. */
  unrepeatable = 0;

  constructor(tableBytes = TABLE_BYTES) {
    this.#table = new DynamicTable(tableBytes);
  }

  /** As long as it stays the same, what was written means the same. */
  get changes(): number {
    return this.#table.changes;
  }

  /** SETTINGS_HEADER_TABLE_SIZE of the other side; we use at most the initial one of it. */
  limitTable(bytes: number): void {
    const size = Math.min(bytes, TABLE_BYTES);
    if (size === this.#table.maxSize && this.#newSize < 0) return;
    this.#lowestSize = this.#lowestSize < 0 ? size : Math.min(this.#lowestSize, size);
    this.#newSize = size;
    this.#table.resize(size);
  }

  begin(): void {
    this.#scratch = takeScratch(0);
    this.bytes = this.#scratch.bytes;
    this.length = 0;
    if (this.#newSize < 0) return;
    if (this.#lowestSize < this.#newSize) this.#integer(this.#lowestSize, 5, SIZE_UPDATE);
    this.#integer(this.#newSize, 5, SIZE_UPDATE);
    this.#newSize = -1;
    this.#lowestSize = -1;
  }

  /** The block has been copied: its memory goes back. */
  end(): void {
    giveScratch(this.#scratch);
    this.#scratch = NO_SCRATCH;
    this.bytes = NO_SCRATCH.bytes;
    this.length = 0;
  }

  status(status: number): void {
    const index = staticStatusIndex(status);
    this.#makeRoom(8);
    if (index > 0) {
      this.bytes[this.length++] = INDEXED | index;
      return;
    }
    this.bytes[this.length++] = WITHOUT_INDEXING | 8; // the name `:status`
    this.bytes[this.length++] = 3;
    this.bytes[this.length++] = 0x30 + ((status / 100) | 0);
    this.bytes[this.length++] = 0x30 + (((status / 10) | 0) % 10);
    this.bytes[this.length++] = 0x30 + (status % 10);
  }

  /** Most requests begin with entries of the static table (RFC 7541 Appendix A). False: the method is another one. */
  method(method: string): boolean {
    const entry = method === 'GET' ? 2 : method === 'POST' ? 3 : 0;
    if (entry === 0) return false;
    this.#makeRoom(1);
    this.bytes[this.length++] = INDEXED | entry;
    return true;
  }

  scheme(isSecure: boolean): void {
    this.#makeRoom(1);
    this.bytes[this.length++] = INDEXED | (isSecure ? 7 : 6);
  }

  /** What has been encoded before, without use of the dynamic table. */
  encoded(bytes: Uint8Array): void {
    const { length } = bytes;
    this.#makeRoom(length);
    // Via is short, and comes with each message.
    if (length > SHORT_BLOCK) this.bytes.set(bytes, this.length);
    else for (let i = 0; i < length; i++) this.bytes[this.length + i] = bytes[i]!;
    this.length += length;
  }

  /** A field that no table has: `name` is what `changingName` has made of it, the value the start of `line`. */
  changing({ words, length: nameLength }: ShortBytes, line: DataView, length: number): void {
    this.#makeRoom(nameLength + length + 12);
    const { view } = this.#scratch;
    copyWords(words, nameLength, view, this.length);
    this.length += nameLength;
    this.#integer(length, 7, 0);
    copyByView(line, 0, length, view, this.length);
    this.length += length;
  }

  /** Writes a line that is in a table by its origin (origins.ts). False: it is not, or that is not known. */
  writeKnown(origin: number): boolean {
    if (origin <= STATIC_COUNT) {
      if (origin === 0) return false;
      this.#makeRoom(1);
      this.bytes[this.length++] = INDEXED | origin;
      return true;
    }
    const slot = origin & (ORIGINS - 1);
    const number = this.#places[slot]!;
    if (this.#origins[slot] !== origin || !this.#table.has(number)) return false;
    this.#makeRoom(6);
    this.#integer(STATIC_COUNT + this.#table.inserted - number, 7, INDEXED);
    return true;
  }

  #learn(origin: number, number: number): void {
    if (origin <= STATIC_COUNT) return;
    if (this.#origins === NO_ORIGINS) {
      this.#origins = new Float64Array(ORIGINS);
      this.#places = new Int32Array(ORIGINS);
    }
    const slot = origin & (ORIGINS - 1);
    this.#origins[slot] = origin;
    this.#places[slot] = number;
  }

  /** One field: the line `name: value CRLF` at `start`, its name in lower case; `origin` where it is known. */
  field(line: Buffer, start: number, nameLength: number, valueLength: number, origin = 0): void {
    const length = nameLength + 2 + valueLength;
    this.#makeRoom(length + 24);
    const hash = length > LONGEST_INDEXED ? 0 : hashOf(line, start, length);
    const slot = hash & (SLOTS - 1);
    // Forbidden fields are never in the table, so table entries need no check.
    const number = this.#slots[slot]! - 1;
    if (number >= 0 && this.#isEntry(number, line, start, nameLength, length)) {
      this.#integer(STATIC_COUNT + this.#table.inserted - number, 7, INDEXED);
      this.#learn(origin, number);
      return;
    }
    const rule = ruleFor(line, start, nameLength);
    if (rule !== 0 || length > LONGEST_INDEXED) {
      if (rule === SECRET) this.unrepeatable++;
      this.#literal(line, start, nameLength, valueLength, rule === SECRET ? NEVER_INDEXED : WITHOUT_INDEXING);
      return;
    }
    const place = (hash >>> 8) & (SEEN - 1);
    if (this.#seen[place] !== hash) {
      if (this.#seen === NONE_SEEN) this.#seen = new Int32Array(SEEN);
      this.#seen[place] = hash;
      this.unrepeatable++;
      this.#literal(line, start, nameLength, valueLength, WITHOUT_INDEXING);
      return;
    }
    this.#literal(line, start, nameLength, valueLength, WITH_INDEXING);
    if (!this.#table.insert(line, start, nameLength, valueLength, 0)) return;
    if (this.#slots === NO_SLOTS) this.#slots = new Int32Array(SLOTS);
    this.#slots[slot] = this.#table.inserted;
    this.#learn(origin, this.#table.inserted - 1);
  }

  #isEntry(number: number, line: Buffer, start: number, nameLength: number, length: number): boolean {
    const table = this.#table;
    if (!table.has(number) || table.nameLengthOf(number) !== nameLength) return false;
    if (table.valueLengthOf(number) !== length - nameLength - 2) return false;
    const at = table.startOf(number);
    const { bytes } = table;
    if (length > LOOP_BYTES) return bytes.compare(line, start, start + length, at, at + length) === 0;
    // From the end: values differ there.
    for (let i = length - 1; i >= 0; i--) if (bytes[at + i] !== line[start + i]) return false;
    return true;
  }

  #literal(line: Buffer, start: number, nameLength: number, valueLength: number, kind: number): void {
    const nameIndex = staticNameIndexOf(line, start, start + nameLength);
    this.#integer(nameIndex, kind === WITH_INDEXING ? 6 : 4, kind);
    if (nameIndex === 0) this.#string(line, start, nameLength, kind === WITH_INDEXING);
    this.#string(line, start + nameLength + 2, valueLength, kind === WITH_INDEXING);
  }

  #string(from: Buffer, start: number, length: number, mayHuffman: boolean): void {
    const shorter = mayHuffman ? huffmanLength(from, start, start + length) : length;
    if (shorter < length) {
      this.#integer(shorter, 7, 0x80);
      this.length = encodeHuffman(from, start, start + length, this.bytes, this.length);
      return;
    }
    this.#integer(length, 7, 0);
    copyBytes(from, start, start + length, this.bytes, this.length);
    this.length += length;
  }

  /** RFC 7541 §5.1. There must be room. */
  #integer(value: number, prefix: number, flags: number): void {
    const most = (1 << prefix) - 1;
    if (value < most) {
      this.bytes[this.length++] = flags | value;
      return;
    }
    this.bytes[this.length++] = flags | most;
    let rest = value - most;
    while (rest >= 0x80) {
      this.bytes[this.length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.bytes[this.length++] = rest;
  }

  #makeRoom(length: number): void {
    if (this.length + length <= this.bytes.length) return;
    const larger = takeScratch(Math.max(this.bytes.length * 2, this.length + length));
    this.bytes.copy(larger.bytes, 0, 0, this.length);
    giveScratch(this.#scratch);
    this.#scratch = larger;
    this.bytes = larger.bytes;
  }
}

/** Four bytes at a time, since each multiplication waits for the one before. */
export function hashOf(line: Buffer, start: number, length: number): number {
  let hash = length;
  let at = start;
  for (const last = start + length - 4; at <= last; at += 4) {
    const four = line[at]! | (line[at + 1]! << 8) | (line[at + 2]! << 16) | (line[at + 3]! << 24);
    hash = Math.imul(hash ^ four, 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  for (const end = start + length; at < end; at++) hash = (Math.imul(hash, 31) + line[at]!) | 0;
  return hash ^ (hash >>> 15);
}

/** The beginning of a field whose value changes with each message, up to its value; null: it is not one of those. */
export function changingName(name: string): ShortBytes | null {
  const lower = Buffer.from(name.toLowerCase(), 'latin1');
  if (ruleFor(lower, 0, lower.length) !== CHANGES) return null;
  const index = staticNameIndexOf(lower, 0, lower.length);
  const start = integerBytes(index, 4, WITHOUT_INDEXING);
  return new ShortBytes(index > 0 ? start : Buffer.concat([start, integerBytes(lower.length, 7, 0), lower]));
}

/** Fields as literals without indexing, names in lower case: good on every connection. */
export function encodeLiterals(names: readonly string[], values: readonly string[]): Uint8Array {
  const parts: Buffer[] = [];
  names.forEach((name, i) => {
    const lower = Buffer.from(name.toLowerCase(), 'latin1');
    const value = Buffer.from(values[i]!, 'latin1');
    const index = staticNameIndexOf(lower, 0, lower.length);
    const kind = ruleFor(lower, 0, lower.length) === SECRET ? NEVER_INDEXED : WITHOUT_INDEXING;
    parts.push(integerBytes(index, 4, kind));
    if (index === 0) parts.push(stringBytes(lower));
    parts.push(stringBytes(value));
  });
  return Buffer.concat(parts);
}

function stringBytes(text: Buffer): Buffer {
  const length = huffmanLength(text, 0, text.length);
  if (length >= text.length) return Buffer.concat([integerBytes(text.length, 7, 0), text]);
  const encoded = Buffer.alloc(length);
  encodeHuffman(text, 0, text.length, encoded, 0);
  return Buffer.concat([integerBytes(length, 7, 0x80), encoded]);
}

function integerBytes(value: number, prefix: number, flags: number): Buffer {
  const most = (1 << prefix) - 1;
  if (value < most) return Buffer.of(flags | value);
  const bytes = [flags | most];
  let rest = value - most;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}
