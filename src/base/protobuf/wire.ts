/** The wire format of Protocol Buffers: tags, varints, fixed numbers, lengths. Knows bytes, not types. */

/** Bytes that are no message. */
export class WireFault extends Error {}

const EMPTY = Buffer.alloc(0);
const TWO_32 = 2 ** 32;
/** Below 128, so that the length is one byte. */
const SHORT_TEXT = 100;
/** Up to here a loop is cheaper than a call into the runtime. */
const LOOP_BYTES = 64;

export class WireWriter {
  #bytes: Buffer;
  #at = 0;

  constructor(size = 1_024) {
    this.#bytes = Buffer.allocUnsafe(size);
  }

  reset(): void {
    this.#at = 0;
  }

  /** Writes to this memory from `at` on; what outgrows it goes on in other memory (`memory`). */
  over(memory: Buffer, at: number): void {
    this.#bytes = memory;
    this.#at = at;
  }

  /** Forgets what was written behind this length. */
  cut(length: number): void {
    this.#at = length;
  }

  /** A copy of what was written, behind `room` bytes of garbage. */
  done(room = 0): Buffer {
    const copy = Buffer.allocUnsafe(room + this.#at);
    this.#bytes.copy(copy, room, 0, this.#at);
    return copy;
  }

  get length(): number {
    return this.#at;
  }

  /** At most 2^53 - 1, not negative. */
  varint(value: number): void {
    this.#room(10);
    let rest = value;
    while (rest > 0x7f) {
      this.#bytes[this.#at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#at++] = rest;
  }

  /** Any integer of 64 bits; negative ones as two's complement. */
  varint64(value: bigint): void {
    this.#room(10);
    let rest = BigInt.asUintN(64, value);
    while (rest > 0x7fn) {
      this.#bytes[this.#at++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#bytes[this.#at++] = Number(rest);
  }

  fixed32(value: number): void {
    this.#room(4);
    this.#at = this.#bytes.writeUInt32LE(value >>> 0, this.#at);
  }

  fixed64(value: bigint): void {
    this.#room(8);
    this.#at = this.#bytes.writeBigUInt64LE(BigInt.asUintN(64, value), this.#at);
  }

  float(value: number): void {
    this.#room(4);
    this.#at = this.#bytes.writeFloatLE(value, this.#at);
  }

  double(value: number): void {
    this.#room(8);
    this.#at = this.#bytes.writeDoubleLE(value, this.#at);
  }

  /** With its length in front. */
  text(value: string): void {
    if (value.length <= SHORT_TEXT && this.#ascii(value)) return;
    const length = Buffer.byteLength(value);
    this.varint(length);
    this.#room(length);
    this.#at += this.#bytes.utf8Write(value, this.#at, length);
  }

  /** Short texts are mostly ASCII, and a call into the runtime costs more than their bytes. False: this one is not. */
  #ascii(value: string): boolean {
    const { length } = value;
    this.#room(length + 1);
    const bytes = this.#bytes;
    let at = this.#at;
    bytes[at++] = length;
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code > 0x7f) return false;
      bytes[at++] = code;
    }
    this.#at = at;
    return true;
  }

  /** With its length in front. */
  blob(value: Uint8Array): void {
    this.varint(value.length);
    this.#room(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
  }

  /** Bytes `[start, end)` as they are. */
  raw(value: Uint8Array, start = 0, end = value.length): void {
    const length = end - start;
    this.#room(length);
    const bytes = this.#bytes;
    let at = this.#at;
    if (length <= LOOP_BYTES) for (let i = start; i < end; i++) bytes[at++] = value[i]!;
    else bytes.set(start === 0 && end === value.length ? value : value.subarray(start, end), at);
    this.#at += length;
  }

  /** The codes of a text as they are, without a length. False: it is not ASCII, and nothing was written. */
  rawAscii(value: string): boolean {
    const { length } = value;
    this.#room(length);
    const bytes = this.#bytes;
    let at = this.#at;
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code > 0x7f) return false;
      bytes[at++] = code;
    }
    this.#at = at;
    return true;
  }

  /** Four bytes, the highest first. */
  word(value: number): void {
    const at = this.claim(4);
    putWord(this.#bytes, at, value);
  }

  /** Bytes that are written in hexadecimal, with their length in front. Two digits a byte. */
  hex(digits: string): void {
    const length = digits.length >>> 1;
    this.varint(length);
    this.#room(length);
    const bytes = this.#bytes;
    for (let i = 0; i < length; i++)
      bytes[this.#at++] = (digitOf(digits.charCodeAt(2 * i)) << 4) | digitOf(digits.charCodeAt(2 * i + 1));
  }

  /** A `fixed64` of nanoseconds since 1970, of milliseconds since then. */
  nanoseconds(wallMs: number): void {
    const at = this.claim(8);
    putNanoseconds(this.#bytes, at, wallMs);
  }

  /** Begins what has its length in front; give the result to `end`. */
  begin(): number {
    this.#room(1);
    return ++this.#at;
  }

  end(start: number): void {
    const length = this.#at - start;
    if (length < 128) {
      this.#bytes[start - 1] = length;
      return;
    }
    const more = length < 16_384 ? 1 : length < 2_097_152 ? 2 : length < 268_435_456 ? 3 : 4;
    this.#room(more);
    this.#bytes.copyWithin(start + more, start, this.#at);
    const end = this.#at + more;
    this.#at = start - 1;
    this.varint(length);
    this.#at = end;
  }

  /**
   * The same for what is mostly longer than 127 bytes: the length always takes three, which every reader of varints
   * takes, and nothing is moved. Give the result to `endLong`.
   */
  beginLong(): number {
    this.#room(3);
    this.#at += 3;
    return this.#at;
  }

  /** At most 2,097,151 bytes. */
  endLong(start: number): void {
    const length = this.#at - start;
    this.#bytes[start - 3] = (length & 0x7f) | 0x80;
    this.#bytes[start - 2] = ((length >>> 7) & 0x7f) | 0x80;
    this.#bytes[start - 1] = length >>> 14;
  }

  /** Room for so many bytes, which the caller writes to `memory` from the result on: one check for many of them. */
  claim(bytes: number): number {
    this.#room(bytes);
    const at = this.#at;
    this.#at = at + bytes;
    return at;
  }

  /** Until more is written or claimed. */
  get memory(): Buffer {
    return this.#bytes;
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + bytes));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}

/** Four bytes to `bytes[at, at + 4)`, the highest first. */
export function putWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** A whole second lately, and its nanoseconds since 1970 in two words: others near it need one multiplication. */
let nearMs = 0;
let nearLow = 0;
let nearHigh = 0;
const NEAR_MS = 4_000;

/** A `fixed64` of nanoseconds since 1970 to `bytes[at, at + 8)`, of milliseconds since then. */
export function putNanoseconds(bytes: Uint8Array, at: number, wallMs: number): void {
  let past = wallMs - nearMs;
  if (past < 0 || past >= NEAR_MS) {
    nearMs = Math.floor(wallMs / 1_000) * 1_000;
    const nanos = BigInt(nearMs) * 1_000_000n;
    nearLow = Number(nanos & 0xffffffffn);
    nearHigh = Number(nanos >> 32n);
    past = wallMs - nearMs;
  }
  // Less than 2^32 of them.
  const sum = nearLow + Math.round(past * 1e6);
  const isOver = sum >= TWO_32;
  const low = isOver ? sum - TWO_32 : sum;
  const high = isOver ? nearHigh + 1 : nearHigh;
  bytes[at] = low;
  bytes[at + 1] = low >>> 8;
  bytes[at + 2] = low >>> 16;
  bytes[at + 3] = low >>> 24;
  bytes[at + 4] = high;
  bytes[at + 5] = high >>> 8;
  bytes[at + 6] = high >>> 16;
  bytes[at + 7] = high >>> 24;
}

/** Of a digit in lower or upper case. */
function digitOf(code: number): number {
  return code < 0x3a ? code - 0x30 : (code | 0x20) - 0x57;
}

/** Reads `bytes[at, end)`. Throws a `WireFault` on what cannot be read. */
export class WireReader {
  bytes: Buffer = EMPTY;
  at = 0;
  end = 0;
  /** Of the varint that `varint64` read. */
  low = 0;
  high = 0;

  open(bytes: Buffer, start = 0, end = bytes.length): void {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  /** Less than 2^32: tags, lengths and numbers of 32 bits, of which what is longer is cut off. */
  varint(): number {
    const first = this.bytes[this.at]!;
    if (first < 0x80 && this.at < this.end) {
      this.at++;
      return first;
    }
    this.varint64();
    return this.low;
  }

  /** Into `low` and `high`, without sign. */
  varint64(): void {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.at >= this.end) throw new WireFault('ends in the middle of a number');
      const byte = this.bytes[this.at++]!;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else if (shift < 63) high |= bits << (shift - 32);
      else high |= (bits & 1) << 31;
      if (byte < 0x80) {
        this.low = low >>> 0;
        this.high = high >>> 0;
        return;
      }
    }
    throw new WireFault('a number has more than ten bytes');
  }

  fixed32(): number {
    this.need(4);
    const value = this.bytes.readUInt32LE(this.at);
    this.at += 4;
    return value;
  }

  fixed64(): void {
    this.low = this.fixed32();
    this.high = this.fixed32();
  }

  float(): number {
    this.need(4);
    const value = this.bytes.readFloatLE(this.at);
    this.at += 4;
    return value;
  }

  double(): number {
    this.need(8);
    const value = this.bytes.readDoubleLE(this.at);
    this.at += 8;
    return value;
  }

  /** Where what has its length in front ends; `at` is where it begins. */
  lengthEnd(): number {
    const length = this.varint();
    this.need(length);
    return this.at + length;
  }

  text(): string {
    const end = this.lengthEnd();
    const text = this.bytes.utf8Slice(this.at, end);
    this.at = end;
    return text;
  }

  blob(): Buffer {
    const end = this.lengthEnd();
    const blob = this.bytes.subarray(this.at, end);
    this.at = end;
    return blob;
  }

  /** `depth`: of groups in groups, which are skipped with all that is in them. */
  skip(tag: number, depth = 0): void {
    switch (tag & 7) {
      case 0:
        this.varint64();
        return;
      case 1:
        this.need(8);
        this.at += 8;
        return;
      case 2:
        this.at = this.lengthEnd();
        return;
      case 3:
        if (depth > 100) throw new WireFault('nested too deep');
        for (;;) {
          const inner = this.varint();
          if ((inner & 7) === 4) return;
          this.skip(inner, depth + 1);
        }
      case 5:
        this.need(4);
        this.at += 4;
        return;
      default:
        throw new WireFault(`there is no wire type ${tag & 7}`);
    }
  }

  need(bytes: number): void {
    if (this.at + bytes > this.end) throw new WireFault('ends too early');
  }

  /** `low` and `high` as a number without sign. */
  unsignedText(): string {
    return this.high < 0x200000
      ? `${this.high * TWO_32 + this.low}`
      : `${(BigInt(this.high) << 32n) | BigInt(this.low)}`;
  }

  signedText(): string {
    if (this.high < 0x200000) return `${this.high * TWO_32 + this.low}`;
    return `${BigInt.asIntN(64, (BigInt(this.high) << 32n) | BigInt(this.low))}`;
  }

  zigzagText(): string {
    const value = (BigInt(this.high) << 32n) | BigInt(this.low);
    return `${(value >> 1n) ^ -(value & 1n)}`;
  }
}
