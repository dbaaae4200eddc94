/**
 * Writes the fields of a head to a connection's HPACK encoder: names in lower case (RFC 9113 §8.2.1), each field put
 * together as a line first, since that is what encoder and tables work on. Heads that came by HTTP/2 are such lines
 * already. One per connection.
 */
import { copyBytes, copyWords, type ShortBytes } from '../../base/copy-bytes.ts';
import type { FieldBlock, FieldStart } from '../contract/field-block.ts';
import { nameIs } from '../parser/field-names.ts';
import type { Head } from '../parser/head.ts';
import type { DropMask, HeadWriter } from '../parser/head-writer.ts';
import { fieldPasses } from '../parser/head-writer.ts';
import { digitsOf, MOST_DIGITS_VALUE, writeDigits } from '../wire/digits.ts';
import type { HpackEncoder } from './hpack/encoder.ts';
import { changingName, encodeLiterals } from './hpack/encoder.ts';
import { KeptPieces } from './kept-pieces.ts';

const MARKS = 4;
const COLON = 0x3a;
const SPACE = 0x20;
const LOWER = Uint8Array.from({ length: 256 }, (_, byte) => (byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte));

/** Where lines are put together. Owner: the thread; used only between two calls that do not wait. */
let line = Buffer.allocUnsafeSlow(4096);
let view = new DataView(line.buffer, line.byteOffset, line.length);
/** Words may be written beyond what they are for. */
const WORD_ROOM = 3;

export class HeadEncoder implements HeadWriter {
  readonly #encoder: HpackEncoder;
  /** A field (lower case) that is not copied to this head, whatever the mask says. */
  omitted: string | null = null;
  #nameLength = 0;
  #length = 0;
  /** The name of the field that is being written, when only its value stands in the line. */
  #changing: ShortBytes | null = null;
  /** Made for the first head that more than one message has. */
  #kept: KeptPieces | null = null;

  constructor(encoder: HpackEncoder) {
    this.#encoder = encoder;
  }

  field(name: string, value: string): void {
    this.#begin(name);
    this.text(value);
    this.end();
  }

  fields(block: FieldBlock): void {
    if (block.encoded === null) {
      if (!block.wasEncoded) {
        // To prepare it pays only for those that are written again.
        block.wasEncoded = true;
        for (let i = 0; i < block.names.length; i++) this.field(block.names[i]!, block.values[i]!);
        return;
      }
      block.encoded = encodeLiterals(block.names, block.values);
    }
    this.#encoder.encoded(block.encoded);
  }

  begin(start: FieldStart): void {
    if (start.changing === undefined) start.changing = changingName(start.name);
    this.#changing = start.changing;
    if (start.changing === null) this.#begin(start.name);
    else this.#length = 0;
    if (start.value !== '') this.text(start.value);
  }

  /** The pseudo-fields of a request; `protocol`: of an extended CONNECT (RFC 8441 §4), else empty. */
  url(
    method: string,
    protocol: string,
    isSecure: boolean,
    authority: string,
    basePath: string,
    path: string,
    query: string | null,
  ): void {
    this.#kept ??= new KeptPieces(this.#encoder);
    const isPlain = protocol === '';
    if (isPlain && this.#kept.writeUrl(method, authority, basePath, path, query)) return;
    if (!this.#encoder.method(method)) this.field(':method', method);
    if (!isPlain) this.field(':protocol', protocol);
    this.#encoder.scheme(isSecure);
    this.field(':authority', authority);
    this.#begin(':path');
    this.text(basePath);
    this.text(path);
    if (query !== null) {
      this.text('?');
      this.text(query);
    }
    this.end();
    if (isPlain) this.#kept.keepUrl(method, authority, basePath, path, query);
  }

  #begin(name: string): void {
    const { length } = name;
    if (length + 2 > line.length) grow(length + 2, 0);
    for (let i = 0; i < length; i++) line[i] = LOWER[name.charCodeAt(i) & 0xff]!;
    line[length] = COLON;
    line[length + 1] = SPACE;
    this.#nameLength = length;
    this.#length = length + 2;
  }

  end(): void {
    const name = this.#changing;
    if (name !== null) {
      this.#changing = null;
      this.#encoder.changing(name, view, this.#length);
    } else this.#encoder.field(line, 0, this.#nameLength, this.#length - this.#nameLength - 2);
  }

  text(text: string): void {
    const { length } = text;
    if (this.#length + length > line.length) grow(this.#length + length, this.#length);
    if (length > 6) line.latin1Write(text, this.#length, length);
    else for (let i = 0; i < length; i++) line[this.#length + i] = text.charCodeAt(i);
    this.#length += length;
  }

  bytes(bytes: Buffer, start: number, end: number): void {
    const length = end - start;
    if (this.#length + length > line.length) grow(this.#length + length, this.#length);
    copyBytes(bytes, start, end, line, this.#length);
    this.#length += length;
  }

  words(words: Int32Array, length: number): void {
    const end = this.#length + length + WORD_ROOM;
    if (end > line.length) grow(end, this.#length);
    copyWords(words, length, view, this.#length);
    this.#length += length;
  }

  integer(value: number): void {
    if (value > MOST_DIGITS_VALUE) {
      this.text(`${value}`);
      return;
    }
    const digits = digitsOf(value);
    if (this.#length + digits > line.length) grow(this.#length + digits, this.#length);
    writeDigits(line, this.#length, digits, value);
    this.#length += digits;
  }

  copyFields(head: Head, drop: DropMask, nominated: readonly string[] | null, removed: readonly string[] | null): void {
    if (head.shared === 0 || nominated !== null || removed !== null || this.omitted !== null) {
      this.#copyFields(head, drop, nominated, removed);
      return;
    }
    this.#kept ??= new KeptPieces(this.#encoder);
    if (this.#kept.writeHead(head.shared, drop)) return;
    this.#copyFields(head, drop, null, null);
    this.#kept.keepHead(head.shared, drop);
  }

  #copyFields(
    head: Head,
    drop: DropMask,
    nominated: readonly string[] | null,
    removed: readonly string[] | null,
  ): void {
    const { bytes, marks, count, origins } = head;
    for (let i = 0; i < count; i++) {
      if (!fieldPasses(head, i, drop, nominated, removed)) continue;
      const mark = i * MARKS;
      const nameStart = marks[mark]!;
      const nameEnd = marks[mark + 1]!;
      const valueStart = marks[mark + 2]!;
      const nameLength = nameEnd - nameStart;
      if (this.omitted !== null && nameIs(bytes, nameStart, nameEnd, this.omitted)) continue;
      if (head.major === 2 && valueStart - nameEnd === 2) {
        const origin = origins === null ? 0 : origins[i]!;
        if (!this.#encoder.writeKnown(origin))
          this.#encoder.field(bytes, nameStart, nameLength, marks[mark + 3]! - valueStart, origin);
        continue;
      }
      if (nameLength + 2 > line.length) grow(nameLength + 2, 0);
      for (let at = 0; at < nameLength; at++) line[at] = LOWER[bytes[nameStart + at]!]!;
      line[nameLength] = COLON;
      line[nameLength + 1] = SPACE;
      this.#nameLength = nameLength;
      this.#length = nameLength + 2;
      this.bytes(bytes, valueStart, marks[mark + 3]!);
      this.end();
    }
  }
}

/** `kept` bytes of the line stay. */
function grow(length: number, kept: number): void {
  // Whole words, as it is read.
  const larger = Buffer.allocUnsafeSlow((length * 2 + WORD_ROOM) & ~WORD_ROOM);
  line.copy(larger, 0, 0, kept);
  line = larger;
  view = new DataView(line.buffer, line.byteOffset, line.length);
}
