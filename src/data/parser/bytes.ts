/**
 * Character classes of RFC 9110 and RFC 9112 as 256-entry tables: one array look-up a byte is what makes full
 * validation as cheap as none. Floor of the parser; no state.
 */

function table(accepts: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (accepts(byte) ? 1 : 0));
}

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;
const isAlpha = (byte: number): boolean => (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a;

/** `tchar`, RFC 9110 §5.6.2: what methods and field names are made of. */
export const TOKEN = table(
  (byte) => isDigit(byte) || isAlpha(byte) || "!#$%&'*+-.^_`|~".includes(String.fromCharCode(byte)),
);

/** `field-vchar`, SP and HTAB, RFC 9110 §5.5; obs-text (0x80 and up) is opaque data and passes. */
export const VALUE = table((byte) => byte === 0x09 || (byte >= 0x20 && byte !== 0x7f));

/** What a request-target may be made of, raw UTF-8 besides; its grammar proper (RFC 3986) is checked in target.ts. */
export const TARGET = table((byte) => byte > 0x20 && byte !== 0x7f);

/** Value of a hexadecimal digit, 255 for any other byte. */
export const HEX = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (isDigit(byte)) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 && isAlpha(byte) ? lower - 0x57 : 255;
});

/**
 * Lower case for comparing field names, with `_`, `.` and every other sign that a name may hold (RFC 9110 §5.6.2)
 * folded into `-`: CGI-like services read `X_Auth_Subject` and `X-Auth-Subject` as one name, some `X-Auth.Subject` too,
 * so the gateway has to see that as well (see field-names.ts).
 */
export const FOLD = Uint8Array.from({ length: 256 }, (_, byte) => {
  if ("_.!#$%&'*+^`|~".includes(String.fromCharCode(byte))) return 0x2d;
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
});

export const CR = 0x0d;
export const LF = 0x0a;
export const SP = 0x20;
export const HTAB = 0x09;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;
export const EQUALS = 0x3d;
export const DQUOTE = 0x22;
export const BACKSLASH = 0x5c;
