/** How NDJSON and server-sent events are cut into records, whatever pieces they come in. */
import { GatheredBytes } from '../../base/gathered-bytes.ts';
import type { Record, Records } from './value-filters.ts';

const CR = 0x0d;
const LF = 0x0a;
const NOTHING = Buffer.alloc(0);

/** Lines that end with LF, CR LF or (events alone) CR, across pieces. Gives each with its end. */
class Lines {
  /** The beginning of a line. */
  #rest = new GatheredBytes();
  readonly #takesCr: boolean;

  constructor(takesCr: boolean) {
    this.#takesCr = takesCr;
  }

  get waiting(): number {
    return this.#rest.length;
  }

  push(bytes: Buffer): Buffer[] {
    const from = this.#rest.length;
    if (from > 0) this.#rest.add(bytes);
    // Most pieces of a long line have no end in them, and are not looked at again.
    if (from > 0 && !this.#mayEnd(from)) return [];
    const all = from === 0 ? Buffer.from(bytes) : this.#rest.bytes;
    const lines: Buffer[] = [];
    let start = 0;
    // What waited has no end in it, but perhaps a CR as its last byte.
    for (let i = Math.max(0, from - 1); i < all.length; i++) {
      const byte = all[i]!;
      if (byte === CR && this.#takesCr) {
        // The next byte decides whether the line ends here or behind it.
        if (i + 1 === all.length) break;
        if (all[i + 1] === LF) continue;
      } else if (byte !== LF) continue;
      lines.push(all.subarray(start, i + 1));
      start = i + 1;
    }
    if (from > 0 || start < all.length) this.#rest = new GatheredBytes();
    if (start < all.length) this.#rest.add(all, start);
    return lines;
  }

  /** Something of it from `from` on, or a CR before that, may end a line. */
  #mayEnd(from: number): boolean {
    const { bytes } = this.#rest;
    for (let i = this.#takesCr ? from - 1 : from; i < bytes.length; i++)
      if (bytes[i] === LF || (bytes[i] === CR && this.#takesCr)) return true;
    return false;
  }

  rest(): Buffer {
    const { bytes } = this.#rest;
    this.#rest = new GatheredBytes();
    return bytes;
  }
}

/** Without the end of the line. */
function contentOf(line: Buffer): Buffer {
  let end = line.length;
  if (end > 0 && line[end - 1] === LF) end--;
  if (end > 0 && line[end - 1] === CR) end--;
  return line.subarray(0, end);
}

/** One JSON value a line. */
export class LineRecords implements Records {
  readonly #lines = new Lines(false);

  get waiting(): number {
    return this.#lines.waiting;
  }

  push(bytes: Buffer): Record[] {
    return this.#lines.push(bytes).map(lineRecord);
  }

  rest(): Record[] {
    const rest = this.#lines.rest();
    return rest.length === 0 ? [] : [lineRecord(rest)];
  }
}

function lineRecord(bytes: Buffer): Record {
  const content = contentOf(bytes);
  const isBlank = content.every((byte) => byte === 0x20 || byte === 0x09);
  return {
    bytes,
    value: isBlank ? null : content,
    put: (value) => Buffer.concat([value, bytes.subarray(content.length)]),
  };
}

/** One event up to its blank line; its data is a value if it looks like an object or a list. */
export class EventRecords implements Records {
  readonly #lines = new Lines(true);
  #event: Buffer[] = [];
  #bytes = 0;

  get waiting(): number {
    return this.#bytes + this.#lines.waiting;
  }

  push(bytes: Buffer): Record[] {
    const records: Record[] = [];
    for (const line of this.#lines.push(bytes)) {
      this.#event.push(line);
      this.#bytes += line.length;
      if (contentOf(line).length === 0) records.push(this.#cut());
    }
    return records;
  }

  /** An event without its blank line does not count (WHATWG HTML §9.2.6), so the rest is ignored. */
  rest(): Record[] {
    this.#lines.rest();
    this.#event = [];
    return [];
  }

  #cut(): Record {
    const lines = this.#event;
    this.#event = [];
    this.#bytes = 0;
    return eventRecord(lines);
  }
}

function eventRecord(lines: readonly Buffer[]): Record {
  const data: Buffer[] = [];
  const others: Buffer[] = [];
  for (const line of lines.slice(0, -1)) {
    const content = contentOf(line);
    if (!isData(content)) others.push(line);
    else if (content.length === 4) data.push(NOTHING);
    else data.push(content.subarray(content[5] === 0x20 ? 6 : 5));
  }
  const bytes = Buffer.concat(lines);
  const joined =
    data.length === 1 ? data[0]! : Buffer.concat(data.flatMap((each, i) => (i === 0 ? [each] : [LINE, each])));
  const first = joined.find((byte) => byte > 0x20);
  // Texts such as [DONE] begin like a list and are none.
  const isValue = first === 0x7b || (first === 0x5b && !/^\s*\[[A-Z]+\]\s*$/.test(joined.toString('latin1')));
  return {
    bytes,
    value: isValue ? joined : null,
    put: (value) => Buffer.concat([...others, DATA, value, LINE, LINE]),
  };
}

const LINE = Buffer.from('\n');
const DATA = Buffer.from('data: ');

/** `data`, or what begins with `data:`. */
function isData(content: Buffer): boolean {
  return content.length >= 4 && content.latin1Slice(0, 4) === 'data' && (content.length === 4 || content[4] === 0x3a);
}
