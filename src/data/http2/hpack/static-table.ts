/**
 * The static table of HPACK (RFC 7541 Appendix A), as field lines in one piece of memory: that is how the dynamic table
 * keeps its entries too, so that the decoder hands on either in the same way. Constant; also finds entries for the
 * writer.
 */
import { kindOf } from './field-kinds.ts';

const ENTRIES: readonly (readonly [name: string, value: string])[] = [
  [':authority', ''],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  [':status', '200'],
  [':status', '204'],
  [':status', '206'],
  [':status', '304'],
  [':status', '400'],
  [':status', '404'],
  [':status', '500'],
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ['accept-language', ''],
  ['accept-ranges', ''],
  ['accept', ''],
  ['access-control-allow-origin', ''],
  ['age', ''],
  ['allow', ''],
  ['authorization', ''],
  ['cache-control', ''],
  ['content-disposition', ''],
  ['content-encoding', ''],
  ['content-language', ''],
  ['content-length', ''],
  ['content-location', ''],
  ['content-range', ''],
  ['content-type', ''],
  ['cookie', ''],
  ['date', ''],
  ['etag', ''],
  ['expect', ''],
  ['expires', ''],
  ['from', ''],
  ['host', ''],
  ['if-match', ''],
  ['if-modified-since', ''],
  ['if-none-match', ''],
  ['if-range', ''],
  ['if-unmodified-since', ''],
  ['last-modified', ''],
  ['link', ''],
  ['location', ''],
  ['max-forwards', ''],
  ['proxy-authenticate', ''],
  ['proxy-authorization', ''],
  ['range', ''],
  ['referer', ''],
  ['refresh', ''],
  ['retry-after', ''],
  ['server', ''],
  ['set-cookie', ''],
  ['strict-transport-security', ''],
  ['transfer-encoding', ''],
  ['user-agent', ''],
  ['vary', ''],
  ['via', ''],
  ['www-authenticate', ''],
];

export const STATIC_COUNT: number = ENTRIES.length;

/** All entries as `name: value CRLF`. */
export const STATIC_LINES: Buffer = Buffer.from(
  ENTRIES.map(([name, value]) => `${name}: ${value}\r\n`).join(''),
  'latin1',
);

/** Per entry (from index 1): where its line starts, length of name and of value. Index 0 is not used (§2.3.3). */
export const STATIC_STARTS: Int32Array = new Int32Array(STATIC_COUNT + 1);
export const STATIC_NAME_LENGTHS: Uint8Array = new Uint8Array(STATIC_COUNT + 1);
export const STATIC_VALUE_LENGTHS: Uint8Array = new Uint8Array(STATIC_COUNT + 1);

/** What each is (field-kinds.ts). */
export const STATIC_KINDS: Uint8Array = new Uint8Array(STATIC_COUNT + 1);

const firstByName = new Map<string, number>();
const byStatus = new Map<number, number>();

{
  let start = 0;
  ENTRIES.forEach(([name, value], i) => {
    const index = i + 1;
    STATIC_STARTS[index] = start;
    STATIC_NAME_LENGTHS[index] = name.length;
    STATIC_VALUE_LENGTHS[index] = value.length;
    STATIC_KINDS[index] = kindOf(STATIC_LINES, start, name.length, value.length);
    start += name.length + value.length + 4;
    if (!firstByName.has(name)) firstByName.set(name, index);
    if (name === ':status') byStatus.set(Number(value), index);
  });
}

/** Index of the entry for a status, or 0. */
export function staticStatusIndex(status: number): number {
  return byStatus.get(status) ?? 0;
}

/** Entries by length and ends of their name; few share a bucket. */
const BUCKETS: readonly number[][] = Array.from({ length: 128 }, () => []);
for (const [name, index] of firstByName)
  BUCKETS[bucketOf(name.length, name.charCodeAt(0), name.charCodeAt(name.length - 1))]!.push(index);

function bucketOf(length: number, first: number, last: number): number {
  return (length * 31 + first * 7 + last * 3) & 127;
}

/** Index of the first entry with this name (in lower-case bytes), or 0. */
export function staticNameIndexOf(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  const bucket = BUCKETS[bucketOf(length, bytes[start]!, bytes[end - 1]!)]!;
  for (let b = 0; b < bucket.length; b++) {
    const index = bucket[b]!;
    if (STATIC_NAME_LENGTHS[index] !== length) continue;
    const line = STATIC_STARTS[index]!;
    let i = 0;
    while (i < length && STATIC_LINES[line + i] === bytes[start + i]) i++;
    if (i === length) return index;
  }
  return 0;
}
