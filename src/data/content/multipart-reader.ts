/**
 * `multipart/form-data` (RFC 7578, RFC 2046 §5.1) read as it comes, without keeping what is in the parts. Where two
 * readers could take a body for different things it is refused: bytes before the first boundary or behind the last, a
 * line that only begins like a boundary, fields and parameters that stand twice, names with escapes, transfer
 * encodings.
 */
import { isUtf8 } from 'node:buffer';

export interface PartHead {
  readonly name: string;
  /** Null: a field and no file. */
  readonly fileName: string | null;
  /** As it was sent; null for none. */
  readonly contentType: string | null;
}

/** What is wrong, as what was expected. */
export type Problem = string;

/** Gets the parts. What it returns ends the reading, and `push` or `end` returns it. */
export interface PartListener<P> {
  onPart(head: PartHead): P | null;
  /** Bytes of the part, valid until it returns. */
  onData(bytes: Buffer): P | null;
  onPartEnd(): P | null;
  /** The body is not what RFC 7578 says. */
  malformed(expected: Problem): P;
}

const MAX_HEAD_BYTES = 8_192;
const CRLF = Buffer.from('\r\n');
const HEAD_END = Buffer.from('\r\n\r\n');
const DASH = 0x2d;
const NOTHING = Buffer.alloc(0);

type State = 'first' | 'delimiter' | 'head' | 'dataStart' | 'data' | 'closed' | 'over';

export class MultipartReader<P> {
  readonly #listener: PartListener<P>;
  /** `\r\n--BOUNDARY` */
  readonly #delimiter: Buffer;
  #state: State = 'first';
  /** Bytes whose meaning is not known yet. */
  #rest: Buffer = NOTHING;

  constructor(boundary: string, listener: PartListener<P>) {
    this.#delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
    this.#listener = listener;
  }

  /** The last boundary was read: nothing but the end of its line may follow. */
  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  push(bytes: Buffer): P | null {
    if (this.#state === 'over') return null;
    let all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    this.#rest = NOTHING;
    for (;;) {
      const step = this.#step(all);
      if (typeof step !== 'number') {
        this.#state = 'over';
        return step.problem;
      }
      if (step === 0) break;
      all = all.subarray(step);
    }
    // Small, and the bytes are valid only now.
    this.#rest = Buffer.from(all);
    return null;
  }

  end(): P | null {
    if (this.#state === 'over') return null;
    const wasClosed = this.#state === 'closed';
    const rest = this.#rest;
    this.#state = 'over';
    if (!wasClosed) return this.#listener.malformed('a closing boundary at the end');
    if (rest.length === 0 || rest.equals(CRLF)) return null;
    return this.#listener.malformed('nothing behind the closing boundary');
  }

  /** How many of the bytes are done with; 0: more are needed. */
  #step(bytes: Buffer): number | { readonly problem: P } {
    switch (this.#state) {
      case 'first':
        return this.#first(bytes);
      case 'delimiter':
        return this.#behindDelimiter(bytes);
      case 'head':
        return this.#head(bytes);
      case 'dataStart':
        return this.#dataStart(bytes);
      case 'data':
        return this.#data(bytes);
      default:
        // Whatever is here is looked at when all of it is.
        return bytes.length > CRLF.length ? this.#malformed('nothing behind the closing boundary') : 0;
    }
  }

  #first(bytes: Buffer): number | { readonly problem: P } {
    if (!this.#mayBeOpening(bytes)) return this.#malformed('a body that begins with its boundary');
    const length = this.#delimiter.length - CRLF.length;
    if (bytes.length < length) return 0;
    this.#state = 'delimiter';
    return length;
  }

  /** The boundary without a line end before it, or as much of that as is here. */
  #mayBeOpening(bytes: Buffer): boolean {
    const length = Math.min(bytes.length, this.#delimiter.length - CRLF.length);
    return bytes.subarray(0, length).equals(this.#delimiter.subarray(CRLF.length, CRLF.length + length));
  }

  #behindDelimiter(bytes: Buffer): number | { readonly problem: P } {
    if (bytes.length < 2) return 0;
    if (bytes[0] === DASH && bytes[1] === DASH) this.#state = 'closed';
    else if (bytes.subarray(0, 2).equals(CRLF)) this.#state = 'head';
    else return this.#malformed('the end of the line behind a boundary');
    return 2;
  }

  #head(bytes: Buffer): number | { readonly problem: P } {
    const end = bytes.indexOf(HEAD_END);
    if (end > MAX_HEAD_BYTES || (end < 0 && bytes.length > MAX_HEAD_BYTES))
      return this.#malformed(`at most ${MAX_HEAD_BYTES} bytes of fields in a part`);
    if (end < 0) return 0;
    const head = readPartHead(bytes.subarray(0, end));
    if (typeof head === 'string') return this.#malformed(head);
    this.#state = 'dataStart';
    const problem = this.#listener.onPart(head);
    return problem === null ? end + HEAD_END.length : { problem };
  }

  /** Some take a boundary right behind the head for the end of the part, others for its content. */
  #dataStart(bytes: Buffer): number | { readonly problem: P } {
    if (this.#mayBeOpening(bytes)) {
      if (bytes.length < this.#delimiter.length - CRLF.length) return 0;
      return this.#malformed('a line end between the fields of a part and its boundary');
    }
    this.#state = 'data';
    return this.#data(bytes);
  }

  #data(bytes: Buffer): number | { readonly problem: P } {
    const found = bytes.indexOf(this.#delimiter);
    // What may be the beginning of a boundary waits for what follows.
    const until = found >= 0 ? found : bytes.length - this.#delimiter.length + 1;
    if (until > 0) {
      const problem = this.#listener.onData(bytes.subarray(0, until));
      if (problem !== null) return { problem };
    }
    if (found < 0) return Math.max(0, until);
    const problem = this.#listener.onPartEnd();
    if (problem !== null) return { problem };
    this.#state = 'delimiter';
    return found + this.#delimiter.length;
  }

  #malformed(expected: Problem): { readonly problem: P } {
    return { problem: this.#listener.malformed(expected) };
  }
}

/** The boundary of a Content-Type field; a text in an object says what was expected instead. */
export function boundaryOf(contentType: string): string | { readonly expected: Problem } {
  const parameters = parametersOf(contentType);
  const boundary = parameters?.get('boundary');
  // RFC 2046 §5.1.1.
  if (boundary === undefined || !/^[\w'()+,./:=?-][\w'()+,./:=? -]{0,69}$/.test(boundary) || boundary.endsWith(' '))
    return { expected: 'multipart/form-data with one boundary of 1 to 70 characters' };
  return boundary;
}

/** Behind the value; null when they are malformed, or one stands twice. Names in lower case. */
function parametersOf(field: string): Map<string, string> | null {
  const start = field.indexOf(';');
  const parameters = new Map<string, string>();
  if (start < 0) return parameters;
  const one = /\s*;\s*([\w!#$%&'*+.^`|~-]+)=(?:"([^"\\\r\n]*)"|([\w!#$%&'*+.^`|~-]+))/y;
  one.lastIndex = start;
  while (one.lastIndex < field.length) {
    const match = one.exec(field);
    if (match === null) return null;
    const name = match[1]!.toLowerCase();
    if (parameters.has(name)) return null;
    parameters.set(name, match[2] ?? match[3] ?? '');
  }
  return parameters;
}

/** A text says what was expected. */
function readPartHead(bytes: Buffer): PartHead | Problem {
  if (!isUtf8(bytes)) return 'UTF-8 in the fields of a part';
  const fields = new Map<string, string>();
  for (const line of bytes.toString('utf8').split('\r\n')) {
    const match = /^([\w!#$%&'*+.^`|~-]+):[ \t]*([^\0-\x08\n-\x1f\x7f]*)$/.exec(line);
    if (match === null) return 'fields of a part as RFC 7578 has them';
    const name = match[1]!.toLowerCase();
    if (fields.has(name)) return 'each field of a part once';
    fields.set(name, match[2]!.trimEnd());
  }
  const coding = fields.get('content-transfer-encoding')?.toLowerCase();
  if (coding !== undefined && !['7bit', '8bit', 'binary'].includes(coding)) return 'parts without transfer encoding';
  const disposition = fields.get('content-disposition');
  if (disposition === undefined || !/^form-data\s*(;|$)/i.test(disposition)) return 'Content-Disposition: form-data';
  const parameters = parametersOf(disposition);
  const name = parameters?.get('name');
  if (parameters === null || name === undefined || name === '') return 'one name of a part, without escapes';
  // RFC 7578 §4.2: it must not be used.
  if (parameters.has('filename*') || parameters.has('name*')) return 'no filename* in a part';
  return { name, fileName: parameters.get('filename') ?? null, contentType: fields.get('content-type') ?? null };
}
