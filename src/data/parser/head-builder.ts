/**
 * Fills a `Head` from fields that did not come as the lines of HTTP/1.1: decoded ones of HTTP/2, those of a handler's
 * response, stored ones. They are laid out in memory as lines, so that router, policies and copying know one form of
 * a head only. Callers have checked names and values.
 */
import { copyBytes } from '../../base/copy-bytes.ts';
import { CR, LF } from './bytes.ts';
import { fieldId } from './field-names.ts';
import type { Head } from './head.ts';

const COLON = 0x3a;
const SPACE = 0x20;
const MARKS = 4;

export class HeadBuilder {
  readonly #head: Head;
  readonly #maxBytes: number;
  #memory: Buffer;
  #used = 0;

  /** Writes to `memory`, and to memory of its own once that is full, up to `maxBytes`. */
  constructor(head: Head, memory: Buffer, maxBytes = memory.length) {
    this.#head = head;
    this.#memory = memory;
    this.#maxBytes = maxBytes;
    this.restart(memory);
  }

  /** For another head. */
  restart(memory: Buffer): void {
    this.#memory = memory;
    this.#used = 0;
    this.#head.count = 0;
    this.#head.seen = 0;
  }

  /** The target's bytes come first, as in a request line. False: too long. */
  request(method: string, target: string): boolean {
    const head = this.#head;
    if (!this.#hasRoom(target.length)) return false;
    head.method = method;
    head.targetStart = this.#used;
    this.#memory.latin1Write(target, this.#used);
    this.#used += target.length;
    head.targetEnd = this.#used;
    head.fieldsStart = this.#used;
    return true;
  }

  response(status: number): void {
    this.#head.status = status;
    this.#head.reasonStart = 0;
    this.#head.reasonEnd = 0;
    this.#head.fieldsStart = this.#used;
  }

  /** False: too many fields or bytes. */
  field(name: string, value: string): boolean {
    if (!this.#hasRoom(name.length + value.length + 4)) return false;
    const memory = this.#memory;
    const nameStart = this.#used;
    memory.latin1Write(name, nameStart);
    const nameEnd = nameStart + name.length;
    memory.latin1Write(value, nameEnd + 2);
    return this.#mark(nameStart, nameEnd, nameEnd + 2 + value.length);
  }

  /** The same from the line `name: value CRLF`, of a field whose number is known. */
  line(bytes: Buffer, start: number, nameLength: number, valueLength: number, id: number, origin = 0): boolean {
    const length = nameLength + valueLength + 4;
    if (!this.#hasRoom(length)) return false;
    const at = this.#used;
    copyBytes(bytes, start, start + length, this.#memory, at);
    return this.#note(at, at + nameLength, at + nameLength + 2 + valueLength, id, origin);
  }

  /** Ends the head; it is valid as long as the memory is. */
  end(): void {
    const head = this.#head;
    const memory = this.#memory;
    memory[this.#used++] = CR;
    memory[this.#used++] = LF;
    head.bytes = memory;
    head.end = this.#used;
  }

  #mark(nameStart: number, nameEnd: number, valueEnd: number): boolean {
    const memory = this.#memory;
    memory[nameEnd] = COLON;
    memory[nameEnd + 1] = SPACE;
    memory[valueEnd] = CR;
    memory[valueEnd + 1] = LF;
    return this.#note(nameStart, nameEnd, valueEnd, fieldId(memory, nameStart, nameEnd), 0);
  }

  #note(nameStart: number, nameEnd: number, valueEnd: number, id: number, origin: number): boolean {
    const head = this.#head;
    const { count, marks, ids } = head;
    if (count === ids.length) return false;
    this.#used = valueEnd + 2;
    const mark = count * MARKS;
    marks[mark] = nameStart;
    marks[mark + 1] = nameEnd;
    marks[mark + 2] = nameEnd + 2;
    marks[mark + 3] = valueEnd;
    ids[count] = id;
    if (head.origins !== null) head.origins[count] = origin;
    head.seen |= 1 << id;
    head.count = count + 1;
    return true;
  }

  /** Two more bytes are kept for the end. */
  #hasRoom(bytes: number): boolean {
    const needed = this.#used + bytes + 2;
    if (needed <= this.#memory.length) return true;
    if (needed > this.#maxBytes) return false;
    const larger = Buffer.allocUnsafeSlow(Math.min(this.#maxBytes, Math.max(needed, this.#memory.length * 2)));
    this.#memory.copy(larger, 0, 0, this.#used);
    this.#memory = larger;
    return true;
  }
}
