/**
 * Reads one HTTP/1.1 message head (RFC 9112 §2-5) from bytes: a single pass that validates every byte and writes
 * offsets into a reused object, so that a request costs no string and no object until one is needed. Strict on
 * purpose: whatever two parsers could read differently is refused here, for requests and for responses.
 * It does not decide the body's length (framing.ts) nor the meaning of the target (target.ts).
 *
 * A head that has not arrived whole gives `INCOMPLETE` and is read again from its start later; `mayBeComplete` keeps
 * that from costing more than one look at each byte.
 */
import type { FaultKind } from '../../base/errors.ts';
import { FAULTS } from '../../base/errors.ts';
import type { FieldNames } from '../contract/field-names.ts';
import { COLON, CR, HTAB, LF, SP, TARGET, TOKEN, VALUE } from './bytes.ts';
import { fieldId, nameIs } from './field-names.ts';

export const INCOMPLETE = 0;
export const REFUSED = -1;

const MARKS = 4;
const EMPTY = Buffer.alloc(0);
const EMPTY_VIEW = new DataView(EMPTY.buffer, EMPTY.byteOffset, 0);
/** Longer than any registered method; RFC 9112 §3 asks for 501 then. */
const MAX_METHOD_BYTES = 24;

export interface HeadLimits {
  readonly maxHeadBytes: number;
  readonly maxTargetBytes: number;
  readonly maxFields: number;
}

let shares = 0;

/** A parsed head: offsets into `bytes`, which must stay as it is while the head is in use. */
export class Head {
  bytes: Buffer = EMPTY;
  /** Offset of the first field line. */
  fieldsStart = 0;
  /** Offset behind the empty line. */
  end = 0;
  /** The version that it came by; heads of HTTP/1 are read as such or refused. */
  major = 1;
  minor = 1;

  method = '';
  targetStart = 0;
  targetEnd = 0;

  status = 0;
  reasonStart = 0;
  reasonEnd = 0;

  count = 0;
  /** A bit for each known id that is among the fields. */
  seen = 0;
  /** Per field: name start, name end, value start, value end (both without white space around). */
  marks: Int32Array;
  ids: Uint8Array;
  /** Of a head that came by HTTP/2: where each line comes from (http2/hpack/origins.ts). Null: that is not known. */
  origins: Float64Array | null = null;

  /** Why the head was refused. */
  problem: FaultKind = FAULTS.malformedRequest;
  detail = '';

  /** A number that no other head of this thread has, of one that many messages share; 0: of one that is read anew. */
  shared = 0;
  /** Values that were asked for, of a head that many messages share; null: of one that is read anew. */
  #values: (string | undefined)[] | null = null;
  /** What was read last, by words. */
  #viewed: Buffer = EMPTY;
  #view: DataView = EMPTY_VIEW;

  constructor(maxFields: number) {
    this.marks = new Int32Array(maxFields * MARKS);
    this.ids = new Uint8Array(maxFields);
  }

  /** `bytes` by words; heads come in a few buffers that are used again and again, so this is mostly known. */
  viewOf(bytes: Buffer): DataView {
    if (bytes !== this.#viewed) {
      this.#viewed = bytes;
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    }
    return this.#view;
  }

  /** A copy with its own memory, for use after the bytes are gone. */
  copy(): Head {
    const head = new Head(0);
    head.bytes = Buffer.from(this.bytes.subarray(0, this.end));
    head.fieldsStart = this.fieldsStart;
    head.end = this.end;
    head.major = this.major;
    head.minor = this.minor;
    head.method = this.method;
    head.targetStart = this.targetStart;
    head.targetEnd = this.targetEnd;
    head.status = this.status;
    head.reasonStart = this.reasonStart;
    head.reasonEnd = this.reasonEnd;
    head.count = this.count;
    head.seen = this.seen;
    head.marks = this.marks.slice(0, this.count * MARKS);
    head.ids = this.ids.slice(0, this.count);
    if (this.origins !== null && this.major === 2) head.origins = this.origins.slice(0, this.count);
    return head;
  }

  /** It stays as it is from now on and stands for many messages: a string of it is made once. */
  share(): this {
    this.shared = ++shares;
    this.#values = new Array<string | undefined>(this.count).fill(undefined);
    return this;
  }

  value(field: number): string {
    const values = this.#values;
    if (values === null) return this.#slice(field);
    const known = values[field];
    if (known !== undefined) return known;
    const value = this.#slice(field);
    values[field] = value;
    return value;
  }

  #slice(field: number): string {
    return this.bytes.latin1Slice(this.marks[field * MARKS + 2]!, this.marks[field * MARKS + 3]!);
  }

  name(field: number): string {
    return this.bytes.latin1Slice(this.marks[field * MARKS]!, this.marks[field * MARKS + 1]!);
  }

  /** Index of the next field with a known id at or after `from`, or -1. */
  find(id: number, from = 0): number {
    if ((this.seen & (1 << id)) === 0) return -1;
    for (let i = from; i < this.count; i++) if (this.ids[i] === id) return i;
    return -1;
  }

  /** The value of a field by its lower-case name; several are joined with `, ` (RFC 9110 §5.3); null if absent. */
  valueOf(lowerName: string): string | null {
    let joined: string | null = null;
    for (let i = 0; i < this.count; i++) {
      const start = this.marks[i * MARKS]!;
      if (!nameIs(this.bytes, start, this.marks[i * MARKS + 1]!, lowerName)) continue;
      const value = this.value(i);
      joined = joined === null ? value : `${joined}${lowerName === 'cookie' ? '; ' : ', '}${value}`;
    }
    return joined;
  }

  /** Is one of its fields among these? */
  hasAny(names: FieldNames): boolean {
    const { bytes, marks } = this;
    for (let i = 0; i < this.count; i++) {
      const start = marks[i * MARKS]!;
      const end = marks[i * MARKS + 1]!;
      if (!names.mayHave(end - start, bytes[start]!)) continue;
      const { lower } = names;
      for (let n = 0; n < lower.length; n++) if (nameIs(bytes, start, end, lower[n]!)) return true;
    }
    return false;
  }

  refuse(problem: FaultKind, detail: string): typeof REFUSED {
    this.problem = problem;
    this.detail = detail;
    return REFUSED;
  }
}

/**
 * Reads a request head that starts at `start`. Returns the offset behind it, `INCOMPLETE`, or `REFUSED` with the
 * reason in `head`. RFC 9112 §2.2 asks to ignore an empty line before a request; one is.
 */
export function readRequestHead(bytes: Buffer, start: number, end: number, limits: HeadLimits, head: Head): number {
  let i = start;
  if (i < end && bytes[i] === CR) {
    if (i + 1 === end) return INCOMPLETE;
    if (bytes[i + 1] !== LF) return head.refuse(FAULTS.malformedRequest, 'a carriage return stands alone');
    i += 2;
  }
  const methodStart = i;
  while (i < end && TOKEN[bytes[i]!] === 1) i++;
  if (i - methodStart > MAX_METHOD_BYTES) return head.refuse(FAULTS.methodNotImplemented, 'the method is too long');
  if (i === end) return INCOMPLETE;
  if (bytes[i] !== SP || i === methodStart) return head.refuse(FAULTS.malformedRequest, 'the method is not a token');
  head.method = methodName(bytes, methodStart, i);

  const targetStart = ++i;
  while (i < end && TARGET[bytes[i]!] === 1) i++;
  if (i - targetStart > limits.maxTargetBytes)
    return head.refuse(FAULTS.uriTooLong, `the limit is ${limits.maxTargetBytes} bytes`);
  if (i === end) return INCOMPLETE;
  if (bytes[i] !== SP || i === targetStart)
    return head.refuse(
      FAULTS.malformedRequest,
      'the request target has a character that it may not have, or the version is missing',
    );
  head.targetStart = targetStart;
  head.targetEnd = i;

  i = readVersion(bytes, i + 1, end, head);
  if (i <= 0) return i;
  if (i === end) return INCOMPLETE;
  if (bytes[i] !== CR) return head.refuse(FAULTS.malformedRequest, 'the request line does not end with CRLF');
  if (i + 1 === end) return INCOMPLETE;
  if (bytes[i + 1] !== LF) return head.refuse(FAULTS.malformedRequest, 'the request line does not end with CRLF');
  return readFields(bytes, start, i + 2, end, limits, head);
}

/** Reads a response head. Like `readRequestHead`; every refusal means that the upstream is not speaking HTTP/1.1. */
export function readResponseHead(
  bytes: Buffer,
  start: number,
  end: number,
  limits: HeadLimits,
  head: Head,
  mostStatus = 599,
): number {
  let i = readVersion(bytes, start, end, head);
  if (i <= 0) return i;
  if (end - i < 4) return INCOMPLETE;
  const status = digit(bytes[i + 1]!) * 100 + digit(bytes[i + 2]!) * 10 + digit(bytes[i + 3]!);
  if (bytes[i] !== SP || !(status >= 100 && status <= mostStatus))
    return head.refuse(FAULTS.upstreamMalformed, 'the status is not a number from 100 to 599');
  head.status = status;
  i += 4;
  if (i === end) return INCOMPLETE;
  // RFC 9112 §4 wants a space before an empty reason too; many services leave it out, and no two readings follow.
  if (bytes[i] === SP) i++;
  else if (bytes[i] !== CR) return head.refuse(FAULTS.upstreamMalformed, 'the status is not three digits');
  head.reasonStart = i;
  while (i < end && VALUE[bytes[i]!] === 1) i++;
  head.reasonEnd = i;
  if (end - i < 2)
    return i - start > limits.maxHeadBytes
      ? head.refuse(FAULTS.upstreamMalformed, 'the status line is too long')
      : INCOMPLETE;
  if (bytes[i] !== CR || bytes[i + 1] !== LF)
    return head.refuse(FAULTS.upstreamMalformed, 'the status line does not end with CRLF');
  return readFields(bytes, start, i + 2, end, limits, head);
}

/**
 * Reads field lines up to and including the empty line; also used for trailers. `headStart` is where the limit counts
 * from.
 */
export function readFields(
  bytes: Buffer,
  headStart: number,
  from: number,
  end: number,
  limits: HeadLimits,
  head: Head,
): number {
  const { marks, ids } = head;
  const mostFields = Math.min(limits.maxFields, ids.length);
  const view = head.viewOf(bytes);
  const last = end - headStart > limits.maxHeadBytes ? headStart + limits.maxHeadBytes : end;
  const lastWord = last - 3;
  let count = 0;
  let seen = 0;
  let i = from;
  head.fieldsStart = from;
  for (;;) {
    if (i >= last) break;
    const nameStart = i;
    if (bytes[i] === CR) {
      if (i + 1 >= last) break;
      if (bytes[i + 1] !== LF) return head.refuse(FAULTS.malformedRequest, 'a carriage return stands alone');
      head.bytes = bytes;
      head.count = count;
      head.seen = seen;
      head.end = i + 2;
      return head.end;
    }
    while (i < last && TOKEN[bytes[i]!] === 1) i++;
    if (i >= last) break;
    if (bytes[i] !== COLON || i === nameStart)
      return head.refuse(FAULTS.malformedRequest, fieldNameProblem(bytes[i]!, i === nameStart));
    const nameEnd = i++;
    while (i < last && (bytes[i] === SP || bytes[i] === HTAB)) i++;
    const valueStart = i;
    while (i < lastWord) {
      const controls = controlsIn(view.getInt32(i, true));
      if (controls === 0) {
        i += 4;
        continue;
      }
      i += placeOf(controls);
      if (bytes[i] !== HTAB) break;
      i++;
    }
    while (i < last && VALUE[bytes[i]!] === 1) i++;
    if (i + 1 >= last) break;
    if (bytes[i] !== CR || bytes[i + 1] !== LF)
      return head.refuse(FAULTS.malformedRequest, 'a field value has a control character or a line ends without CRLF');
    let valueEnd = i;
    while (valueEnd > valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) valueEnd--;
    if (count >= mostFields) return head.refuse(FAULTS.headTooLarge, `the limit is ${limits.maxFields} fields`);
    const mark = count * MARKS;
    marks[mark] = nameStart;
    marks[mark + 1] = nameEnd;
    marks[mark + 2] = valueStart;
    marks[mark + 3] = valueEnd;
    const id = fieldId(bytes, nameStart, nameEnd);
    ids[count] = id;
    seen |= 1 << id;
    count++;
    i += 2;
  }
  if (last < end || end - headStart >= limits.maxHeadBytes)
    return head.refuse(FAULTS.headTooLarge, `the limit is ${limits.maxHeadBytes} bytes`);
  return INCOMPLETE;
}

/**
 * Four bytes at once: the highest bit of each that is a control character (HTAB is one), exact up to the first of them.
 * Nearly every byte of a message passes through here, and half of a byte loop's cost is the mispredicted exit branch.
 */
function controlsIn(word: number): number {
  const deletes = word ^ 0x7f7f7f7f;
  return (((word - 0x20202020) & ~word) | ((deletes - 0x01010101) & ~deletes)) & 0x80808080;
}

/** Which of the four bytes is the first. */
function placeOf(controls: number): number {
  return (31 - Math.clz32(controls & -controls)) >> 3;
}

/**
 * May bytes that arrived from `from` on have completed the head, or spoiled it? False means: the head goes on, wait.
 * It looks for the empty line and for line feeds without carriage return, which no head may have.
 */
export function mayBeComplete(bytes: Buffer, start: number, from: number, end: number): boolean {
  for (let i = bytes.indexOf(LF, from); i >= 0 && i < end; i = bytes.indexOf(LF, i + 1)) {
    if (i === start || bytes[i - 1] !== CR) return true;
    if (i - 2 > start && bytes[i - 2] === LF) return true;
  }
  return false;
}

function readVersion(bytes: Buffer, start: number, end: number, head: Head): number {
  if (end - start < 8) {
    // Refuse early what can no longer become a version.
    for (let i = start; i < end && i < start + 5; i++) {
      if (bytes[i] !== VERSION[i - start]) return head.refuse(FAULTS.malformedRequest, 'the version is not HTTP/1.1');
    }
    return INCOMPLETE;
  }
  for (let i = 0; i < 5; i++) {
    if (bytes[start + i] !== VERSION[i]) return head.refuse(FAULTS.malformedRequest, 'the version is not HTTP/1.1');
  }
  const major = digit(bytes[start + 5]!);
  const minor = digit(bytes[start + 7]!);
  if (major < 0 || minor < 0 || bytes[start + 6] !== 0x2e)
    return head.refuse(FAULTS.malformedRequest, 'the version is not HTTP/1.1');
  if (major !== 1 || minor > 1) return head.refuse(FAULTS.versionNotSupported, 'only HTTP/1.0 and HTTP/1.1 are');
  head.major = 1;
  head.minor = minor;
  return start + 8;
}

const VERSION = Uint8Array.from(Buffer.from('HTTP/', 'latin1'));

function digit(byte: number): number {
  return byte >= 0x30 && byte <= 0x39 ? byte - 0x30 : Number.NEGATIVE_INFINITY;
}

function fieldNameProblem(byte: number, atStart: boolean): string {
  if (atStart && (byte === SP || byte === HTAB)) return 'a field value is folded over lines, which is obsolete';
  if (byte === SP || byte === HTAB) return 'white space stands before the colon of a field';
  if (byte === LF) return 'a line ends without CRLF';
  return 'a field name is not a token';
}

/** The usual methods without making a string. */
function methodName(bytes: Buffer, start: number, end: number): string {
  const first = bytes[start];
  switch (end - start) {
    case 3:
      if (first === 0x47 && bytes[start + 1] === 0x45 && bytes[start + 2] === 0x54) return 'GET';
      if (first === 0x50 && bytes[start + 1] === 0x55 && bytes[start + 2] === 0x54) return 'PUT';
      break;
    case 4:
      if (first === 0x50 && bytes[start + 1] === 0x4f && bytes[start + 2] === 0x53 && bytes[start + 3] === 0x54)
        return 'POST';
      if (first === 0x48 && bytes[start + 1] === 0x45 && bytes[start + 2] === 0x41 && bytes[start + 3] === 0x44)
        return 'HEAD';
      break;
    default:
  }
  return bytes.latin1Slice(start, end);
}
