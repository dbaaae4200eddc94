/**
 * Reads `Accept` (RFC 9110 §12.5.1) for the one question that routing has: which versions of a media type does the
 * caller take, and how gladly. A version stands in a parameter (`application/vnd.acme+json;version=2`, also `v=2`)
 * or in the type (`application/vnd.acme.v2+json`). What is not well formed is passed over, as is what lies behind
 * the 32nd range: no honest client sends so many.
 */
import type { VersionedType } from '../contract/route-version.ts';
import { versionKey } from '../contract/route-version.ts';

export interface MediaRange {
  /** Lower case, without parameters. */
  readonly type: string;
  /** `versionKey` of the `version` or `v` parameter; null without one. */
  readonly version: string | null;
  /** Thousandths, 0 to 1000. */
  readonly quality: number;
}

const MAX_RANGES = 32;
const TYPE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+\/[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110 §12.4.2. */
const WEIGHT = /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/;

export function parseAccept(value: string): MediaRange[] {
  const ranges: MediaRange[] = [];
  for (let at = 0; at < value.length && ranges.length < MAX_RANGES; ) {
    const end = endOf(value, at, COMMA);
    const range = parseRange(value.slice(at, end));
    if (range !== null) ranges.push(range);
    at = end + 1;
  }
  return ranges;
}

/**
 * How gladly the caller takes version `key` of `type`: 1 to 1000, 0 if other versions of it are named (or this one
 * with `q=0`), -1 if none is named.
 */
export function acceptedQuality(ranges: readonly MediaRange[], type: VersionedType, key: string): number {
  let quality = -1;
  for (const range of ranges) {
    const version = namedVersion(range, type);
    if (version !== null) quality = Math.max(quality, version === key ? range.quality : 0);
  }
  return quality;
}

function namedVersion(range: MediaRange, { base, suffix }: VersionedType): string | null {
  const { type } = range;
  if (!type.startsWith(base) || !type.endsWith(suffix)) return null;
  const between = type.length - base.length - suffix.length;
  if (between === 0) return range.version;
  if (between < 2 || type.charCodeAt(base.length) !== 0x2e) return null;
  const name = type.slice(base.length + 1, type.length - suffix.length);
  // Without suffix, `application/vnd.acme.v2+json` is another type than `application/vnd.acme`, not version `v2+json`.
  return name.includes('+') ? null : versionKey(name);
}

function parseRange(text: string): MediaRange | null {
  let end = endOf(text, 0, SEMICOLON);
  const type = text.slice(0, end).trim();
  if (!TYPE.test(type)) return null;
  let version: string | null = null;
  let quality = 1_000;
  while (end < text.length) {
    const start = end + 1;
    end = endOf(text, start, SEMICOLON);
    const parameter = text.slice(start, end);
    const equals = parameter.indexOf('=');
    if (equals < 0) continue;
    const name = parameter.slice(0, equals).trim().toLowerCase();
    const value = unquoted(parameter.slice(equals + 1).trim());
    if (name === 'q') {
      if (!WEIGHT.test(value)) return null;
      quality = Math.round(Number(value) * 1_000);
    } else if (name === 'version' || (name === 'v' && version === null)) version = versionKey(value);
  }
  return { type: type.toLowerCase(), version, quality };
}

/** Where the next `delimiter` outside of a quoted string stands, or the end. */
function endOf(text: string, start: number, delimiter: number): number {
  let isQuoted = false;
  for (let i = start; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) isQuoted = !isQuoted;
    else if (isQuoted && code === BACKSLASH) i++;
    else if (!isQuoted && code === delimiter) return i;
  }
  return text.length;
}

/** RFC 9110 §5.6.4. */
function unquoted(value: string): string {
  if (value.length < 2 || !value.startsWith('"') || !value.endsWith('"')) return value;
  return value.slice(1, -1).replace(/\\(.)/g, '$1');
}

const COMMA = 0x2c;
const SEMICOLON = 0x3b;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
