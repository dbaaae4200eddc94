/**
 * Decoder of HPACK (RFC 7541): one per connection and direction. Every block is decoded to its end, also that of a
 * message that is refused, because the table must stay in step (RFC 9113 §4.3). A field is reported as one line of
 * bytes, wherever it lies: in the static table, in the dynamic table, or in memory that all decoders of the thread
 * share.
 *
 * Bounded: a block is as long as the connection allows, an integer has at most 28 bits, the table at most the size that
 * we announced. One byte may stand for a line of 4 KB, so a receiver of lines must stop storing them at its limit.
 */
import { copyBytes } from '../../../base/copy-bytes.ts';
import { DynamicTable } from './dynamic-table.ts';
import { kindOf } from './field-kinds.ts';
import { decodeHuffman, mostDecoded } from './huffman.ts';
import { newOrigin } from './origins.ts';
import {
  STATIC_COUNT,
  STATIC_KINDS,
  STATIC_LINES,
  STATIC_NAME_LENGTHS,
  STATIC_STARTS,
  STATIC_VALUE_LENGTHS,
} from './static-table.ts';

export interface FieldSink {
  /**
   * `name: value CRLF` starts at `start` of bytes that stay as they are until this returns; `kind` is of
   * field-kinds.ts, `origin` of origins.ts.
   */
  onField(bytes: Buffer, start: number, nameLength: number, valueLength: number, kind: number, origin: number): void;
}

/** Initial value of SETTINGS_HEADER_TABLE_SIZE (RFC 9113 §6.5.2); we announce no other. */
export const TABLE_BYTES = 4096;

const LINE_OVERHEAD = 4;
const MOST_BITS = 28;

/** Where literals are put together. Owner: the thread; used only inside `decode`. */
let line = Buffer.allocUnsafeSlow(4096);

export class HpackDecoder {
  readonly #table: DynamicTable;
  readonly #mostTableBytes: number;
  /** What is wrong with the block that was refused. */
  problem = '';
  #at = 0;

  constructor(tableBytes = TABLE_BYTES) {
    this.#table = new DynamicTable(tableBytes);
    this.#mostTableBytes = tableBytes;
  }

  /** As long as it stays the same, equal blocks mean the same fields. */
  get changes(): number {
    return this.#table.changes;
  }

  /** Decodes one whole block. False is a connection error (RFC 9113 §4.3, COMPRESSION_ERROR): the table is lost. */
  decode(bytes: Buffer, start: number, end: number, sink: FieldSink): boolean {
    this.#at = start;
    let mayResize = true;
    while (this.#at < end) {
      const first = bytes[this.#at]!;
      if (first >= 0x80) {
        const index = this.#integer(bytes, end, 7);
        if (!this.#indexed(index, sink)) return false;
      } else if (first >= 0x20 && first < 0x40) {
        // RFC 7541 §4.2: only at the beginning of a block.
        if (!mayResize) return this.#refuse('a table size update stands behind a field');
        const size = this.#integer(bytes, end, 5);
        if (size < 0 || size > this.#mostTableBytes) return this.#refuse('a table size above what was announced');
        this.#table.resize(size);
        continue;
      } else {
        const isIndexed = first >= 0x40;
        const index = this.#integer(bytes, end, isIndexed ? 6 : 4);
        if (!this.#literal(bytes, end, index, isIndexed, sink)) return false;
      }
      mayResize = false;
    }
    return true;
  }

  #refuse(problem: string): false {
    this.problem = problem;
    return false;
  }

  /** RFC 7541 §5.1; -1 when it is not whole or too large. */
  #integer(bytes: Buffer, end: number, prefix: number): number {
    const most = (1 << prefix) - 1;
    let value = bytes[this.#at++]! & most;
    if (value < most) return value;
    for (let shift = 0; shift < MOST_BITS; shift += 7) {
      if (this.#at >= end) return -1;
      const byte = bytes[this.#at++]!;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return -1;
  }

  /** RFC 7541 §6.1. */
  #indexed(index: number, sink: FieldSink): boolean {
    if (index > STATIC_COUNT) {
      const table = this.#table;
      if (index - STATIC_COUNT > table.count) return this.#refuse('an index behind the end of the table');
      const number = table.inserted - (index - STATIC_COUNT);
      sink.onField(
        table.bytes,
        table.startOf(number),
        table.nameLengthOf(number),
        table.valueLengthOf(number),
        table.kindOf(number),
        table.originOf(number),
      );
      return true;
    }
    if (index <= 0) return this.#refuse('the index 0, or none');
    sink.onField(
      STATIC_LINES,
      STATIC_STARTS[index]!,
      STATIC_NAME_LENGTHS[index]!,
      STATIC_VALUE_LENGTHS[index]!,
      STATIC_KINDS[index]!,
      index,
    );
    return true;
  }

  /** RFC 7541 §6.2. */
  #literal(bytes: Buffer, end: number, nameIndex: number, isIndexed: boolean, sink: FieldSink): boolean {
    if (nameIndex < 0) return this.#refuse('an integer that is too large or not whole');
    let nameLength: number;
    if (nameIndex === 0) {
      nameLength = this.#string(bytes, end, 0);
      if (nameLength < 0) return false;
    } else if (nameIndex <= STATIC_COUNT) {
      nameLength = STATIC_NAME_LENGTHS[nameIndex]!;
      STATIC_LINES.copy(line, 0, STATIC_STARTS[nameIndex]!, STATIC_STARTS[nameIndex]! + nameLength);
    } else {
      const table = this.#table;
      if (nameIndex - STATIC_COUNT > table.count) return this.#refuse('an index behind the end of the table');
      const number = table.inserted - (nameIndex - STATIC_COUNT);
      const start = table.startOf(number);
      nameLength = table.nameLengthOf(number);
      makeRoom(nameLength, 0);
      table.bytes.copy(line, 0, start, start + nameLength);
    }
    const valueLength = this.#string(bytes, end, nameLength + 2);
    if (valueLength < 0) return false;
    line[nameLength] = 0x3a;
    line[nameLength + 1] = 0x20;
    const lineEnd = nameLength + 2 + valueLength;
    line[lineEnd] = 0x0d;
    line[lineEnd + 1] = 0x0a;
    const kind = kindOf(line, 0, nameLength, valueLength);
    const origin = isIndexed ? newOrigin() : 0;
    if (isIndexed) this.#table.insert(line, 0, nameLength, valueLength, kind, origin);
    sink.onField(line, 0, nameLength, valueLength, kind, origin);
    return true;
  }

  /** RFC 7541 §5.2: a string to `line` at `to`; its length or -1. */
  #string(bytes: Buffer, end: number, to: number): number {
    if (this.#at >= end) return this.#noString('a string that is not whole');
    const isHuffman = bytes[this.#at]! >= 0x80;
    const length = this.#integer(bytes, end, 7);
    if (length < 0 || length > end - this.#at) return this.#noString('a string that is not whole');
    const start = this.#at;
    this.#at += length;
    if (isHuffman) {
      makeRoom(to + mostDecoded(length), to);
      const stop = decodeHuffman(bytes, start, this.#at, line, to);
      return stop < 0 ? this.#noString('a string that is not in the Huffman code') : stop - to;
    }
    makeRoom(to + length, to);
    copyBytes(bytes, start, this.#at, line, to);
    return length;
  }

  #noString(problem: string): -1 {
    this.problem = problem;
    return -1;
  }
}

/** `kept` bytes of the line stay. */
function makeRoom(length: number, kept: number): void {
  if (length + LINE_OVERHEAD <= line.length) return;
  const larger = Buffer.allocUnsafeSlow(length + LINE_OVERHEAD + line.length);
  line.copy(larger, 0, 0, kept);
  line = larger;
}
