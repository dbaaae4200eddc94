/**
 * Heads as the store keeps them: bytes of HTTP/1.1 without what must not be stored (RFC 9111 §3.1), what a 304 changes
 * in them (§3.2), and the heads that are made of a stored one: 304, 206 and 416.
 */
import { CONNECTION, CONTENT_LENGTH, nameIs, TRAILER } from '../parser/field-names.ts';
import { isHopByHop } from '../parser/framing.ts';
import { Head, type HeadLimits, readResponseHead } from '../parser/head.ts';
import { MAX_TAGS } from './store/meta.ts';

const MARKS = 4;
/** §3.1 beside the fields of the connection; Age is worked out anew for each use. */
const NEVER_STORED = ['proxy-authentication-info', 'age', 'x-request-id'];
/**
 * §3.2: what a 304 does not change: the length, and what belongs to the body that is stored and not to the one that the
 * service did not send (RFC 9110 §15.4.5 lets a 304 repeat them; a wrong repetition must not spoil the stored body).
 */
const OF_THE_BODY = ['content-length', 'content-encoding', 'content-range', 'content-md5', 'content-digest', 'etag'];
/** RFC 9110 §15.4.5: what a 304 says. */
const OF_A_304 = ['cache-control', 'content-location', 'date', 'etag', 'expires', 'last-modified', 'vary'];

/** A stored head was within its limits when it came. */
const LIMITS: HeadLimits = { maxHeadBytes: 1_048_576, maxTargetBytes: 0, maxFields: 1_024 };
const MOST_FIELDS = 1_024;
const ROOM_FOR_LENGTH = 48;

/** The head for the store. `nominated`: by Connection; `withheld`: by `no-cache="..."` and `private="..."`. */
export function headForStore(head: Head, nominated: readonly string[] | null, withheld: readonly string[]): Buffer {
  const out = new HeadText(statusLine(head));
  for (let i = 0; i < head.count; i++) if (isStored(head, i, nominated, withheld)) out.copy(head, i);
  return out.end();
}

/** The stored head with what a 304 says of it now (§3.2). */
export function mergedHead(
  stored: Head,
  update: Head,
  nominated: readonly string[] | null,
  withheld: readonly string[],
): Buffer {
  const updated: number[] = [];
  for (let i = 0; i < update.count; i++)
    if (isStored(update, i, nominated, withheld) && !isNamed(update, i, OF_THE_BODY)) updated.push(i);
  const names = updated.map((i) => update.name(i).toLowerCase());
  const out = new HeadText(statusLine(stored));
  for (let i = 0; i < stored.count; i++)
    if (!isNamed(stored, i, names) && !isNamed(stored, i, withheld)) out.copy(stored, i);
  for (const i of updated) out.copy(update, i);
  return out.end();
}

/** RFC 9110 §15.4.5. */
export function notModifiedHead(stored: Head): Buffer {
  const out = new HeadText('HTTP/1.1 304 Not Modified\r\n');
  for (let i = 0; i < stored.count; i++) if (isNamed(stored, i, OF_A_304)) out.copy(stored, i);
  return out.end();
}

/** RFC 9110 §15.3.7: a part of the stored body, with the fields that a whole response would have. */
export function partialHead(stored: Head, first: number, last: number, length: number): Buffer {
  const out = new HeadText('HTTP/1.1 206 Partial Content\r\n');
  for (let i = 0; i < stored.count; i++) if (stored.ids[i] !== CONTENT_LENGTH) out.copy(stored, i);
  out.line(`Content-Range: bytes ${first}-${last}/${length}\r\nContent-Length: ${last - first + 1}\r\n`);
  return out.end();
}

/** RFC 9110 §15.5.17. */
export function unsatisfiableHead(length: number): Buffer {
  const out = new HeadText('HTTP/1.1 416 Range Not Satisfiable\r\n');
  out.line(`Content-Range: bytes */${length}\r\nContent-Length: 0\r\n`);
  return out.end();
}

/** The head with a `Content-Length`: of a response whose length was known only at its end. */
export function withLength(head: Buffer, length: number): Buffer {
  const longer = Buffer.allocUnsafe(head.length + ROOM_FOR_LENGTH);
  head.copy(longer, 0, 0, head.length - 2);
  const end = head.length - 2 + longer.latin1Write(`Content-Length: ${length}\r\n\r\n`, head.length - 2);
  return longer.subarray(0, end);
}

/** Words under which a response can be purged. */
export function tagNames(head: Head): string[] {
  const names = `${head.valueOf('cache-tag') ?? ''} ${head.valueOf('surrogate-key') ?? ''}`.split(/[\s,]+/);
  return names.filter((name) => name !== '').slice(0, MAX_TAGS);
}

/** Reads a stored head again; it was valid when it came. */
export function readStored(bytes: Buffer, into: Head): Head {
  if (readResponseHead(bytes, 0, bytes.length, LIMITS, into) <= 0)
    throw new TypeError(`a stored head cannot be read: ${into.detail}`);
  return into;
}

/** With room for every head that can be stored. */
export function roomyHead(): Head {
  return new Head(MOST_FIELDS);
}

function isStored(
  head: Head,
  field: number,
  nominated: readonly string[] | null,
  withheld: readonly string[],
): boolean {
  const id = head.ids[field]!;
  if (isHopByHop(id) || id === CONNECTION || id === TRAILER) return false;
  if (nominated !== null && id !== CONTENT_LENGTH && isNamed(head, field, nominated)) return false;
  return !isNamed(head, field, withheld) && !isNamed(head, field, NEVER_STORED);
}

function isNamed(head: Head, field: number, names: readonly string[]): boolean {
  const start = head.marks[field * MARKS]!;
  const end = head.marks[field * MARKS + 1]!;
  for (let i = 0; i < names.length; i++) if (nameIs(head.bytes, start, end, names[i]!)) return true;
  return false;
}

function statusLine(head: Head): string {
  const reason = head.bytes.latin1Slice(head.reasonStart, head.reasonEnd);
  return `HTTP/1.1 ${head.status} ${reason}\r\n`;
}

class HeadText {
  #text: string;

  constructor(statusLine: string) {
    this.#text = statusLine;
  }

  copy(head: Head, field: number): void {
    const mark = field * MARKS;
    const { bytes, marks } = head;
    this.#text += `${bytes.latin1Slice(marks[mark]!, marks[mark + 1]!)}: ${bytes.latin1Slice(marks[mark + 2]!, marks[mark + 3]!)}\r\n`;
  }

  line(text: string): void {
    this.#text += text;
  }

  end(): Buffer {
    return Buffer.from(`${this.#text}\r\n`, 'latin1');
  }
}
