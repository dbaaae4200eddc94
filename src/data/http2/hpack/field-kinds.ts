/**
 * What a decoded field is to HTTP/2 (RFC 9113 §8.2, §8.3): one of the engine's own field numbers, a pseudo-field, a
 * crumb of a cookie, or something that may not stand in a message. Found once per field, and kept with it in the
 * tables.
 */
import { TOKEN, VALUE } from '../../parser/bytes.ts';
import { fieldId, nameIs, OTHER } from '../../parser/field-names.ts';

/** Numbers from here on are not those of parser/field-names.ts. */
export const FIRST_PSEUDO = 40;
export const P_METHOD = 40;
export const P_SCHEME = 41;
export const P_AUTHORITY = 42;
export const P_PATH = 43;
export const P_PROTOCOL = 44;
export const P_STATUS = 45;
export const P_UNKNOWN = 46;
/** Cookies come in crumbs, which HTTP/1.1 and everything behind it wants as one field (RFC 9113 §8.2.3). */
export const COOKIE = 50;
/** A name or value that makes the whole message malformed (RFC 9113 §8.2.1). */
export const INVALID = 51;

const COLON = 0x3a;

/** Kind of the line `name: value`. */
export function kindOf(bytes: Uint8Array, start: number, nameLength: number, valueLength: number): number {
  const nameEnd = start + nameLength;
  const valueStart = nameEnd + 2;
  if (!isValue(bytes, valueStart, valueStart + valueLength)) return INVALID;
  if (bytes[start] === COLON && nameLength > 0) return pseudoKind(bytes, start, nameEnd);
  if (nameLength === 0) return INVALID;
  for (let i = start; i < nameEnd; i++) {
    const byte = bytes[i]!;
    // RFC 9113 §8.2.1: no capitals; and what RFC 9110 does not take for a token has no meaning behind us.
    if (TOKEN[byte] === 0 || (byte >= 0x41 && byte <= 0x5a)) return INVALID;
  }
  const id = fieldId(bytes, start, nameEnd);
  return id === OTHER && nameIs(bytes, start, nameEnd, 'cookie') ? COOKIE : id;
}

function isValue(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (VALUE[bytes[i]!] === 0) return false;
  // RFC 9113 §8.2.1: no white space at either end, which others would cut off and so read another value.
  return start === end || (bytes[start]! > 0x20 && bytes[end - 1]! > 0x20);
}

function pseudoKind(bytes: Uint8Array, start: number, end: number): number {
  switch (end - start) {
    case 5:
      return isExactly(bytes, start, end, ':path') ? P_PATH : P_UNKNOWN;
    case 7:
      if (isExactly(bytes, start, end, ':method')) return P_METHOD;
      if (isExactly(bytes, start, end, ':scheme')) return P_SCHEME;
      return isExactly(bytes, start, end, ':status') ? P_STATUS : P_UNKNOWN;
    case 9:
      return isExactly(bytes, start, end, ':protocol') ? P_PROTOCOL : P_UNKNOWN;
    case 10:
      return isExactly(bytes, start, end, ':authority') ? P_AUTHORITY : P_UNKNOWN;
    default:
      return P_UNKNOWN;
  }
}

function isExactly(bytes: Uint8Array, start: number, end: number, name: string): boolean {
  if (end - start !== name.length) return false;
  for (let i = 0; i < name.length; i++) if (bytes[start + i] !== name.charCodeAt(i)) return false;
  return true;
}
