/**
 * Strict base64url (RFC 4648 §5, RFC 7515 §2): no padding, no white space, no `+` or `/`, and no set bits after the
 * last byte. Node's own decoder forgives all of these, so that one token would have many spellings; this one gives
 * every byte string exactly one. Pure; used by jwt.ts and verify-key.ts.
 */

const SEXTETS = new Int8Array(128).fill(-1);
for (const [value, char] of [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'].entries()) {
  SEXTETS[char.charCodeAt(0)] = value;
}

/** The bytes, or `null` when `text` is not the one spelling that RFC 7515 allows. The empty string is no bytes. */
export function decodeBase64url(text: string): Buffer | null {
  const length = text.length;
  const rest = length & 3;
  if (rest === 1) return null;
  let sextet = 0;
  for (let at = 0; at < length; at++) {
    const code = text.charCodeAt(at);
    sextet = code < 128 ? SEXTETS[code]! : -1;
    if (sextet < 0) return null;
  }
  // With two characters left over, four bits are spare; with three, two are.
  if (rest === 2 && (sextet & 0b1111) !== 0) return null;
  if (rest === 3 && (sextet & 0b11) !== 0) return null;
  return Buffer.from(text, 'base64url');
}
