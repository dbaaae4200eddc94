/**
 * Addresses as numbers: reads the canonical text of an IPv4 or IPv6 address into 32-bit words without making an object.
 * Used for limiter keys and for the sets of blocks that addresses are looked up in. Text that is not an address gives
 * 0.
 */

/** Reads `text` into `out`: one word for IPv4, four for IPv6. Gives 4, 6, or 0 if it is no address. */
export function readAddress(text: string, out: Int32Array): 0 | 4 | 6 {
  const length = text.length;
  // The first separator tells the families apart: at most three digits come before a dot, four before a colon.
  for (let i = 0; i < 5 && i < length; i++) {
    const code = text.charCodeAt(i);
    if (code === 46) return readIPv4(text, 0, out, 0) ? 4 : 0;
    if (code === 58) return readIPv6(text, out) ? 6 : 0;
  }
  return 0;
}

/** Four decimal parts from `start` to the end, no leading zeros (RFC 6943 §3.1.1 warns of the loose forms). */
function readIPv4(text: string, start: number, out: Int32Array, at: number): boolean {
  let value = 0;
  let part = -1;
  let digits = 0;
  let parts = 0;
  for (let i = start; i <= text.length; i++) {
    const code = i < text.length ? text.charCodeAt(i) : 46;
    if (code === 46) {
      if (digits === 0 || parts === 4) return false;
      value = (value << 8) | part;
      parts++;
      part = -1;
      digits = 0;
      continue;
    }
    if (code < 48 || code > 57 || part === 0) return false;
    part = Math.max(part, 0) * 10 + code - 48;
    if (part > 255) return false;
    digits++;
  }
  if (parts !== 4) return false;
  out[at] = value;
  return true;
}

const groups = new Uint16Array(8);
const tail = new Int32Array(1);

/** RFC 4291 §2.2: groups of hexadecimal digits, one `::`, and IPv4 as the last two groups. */
function readIPv6(text: string, out: Int32Array): boolean {
  let count = 0;
  let gap = -1;
  let i = 0;
  if (text.charCodeAt(0) === 58) {
    if (text.charCodeAt(1) !== 58) return false;
    gap = 0;
    i = 2;
  }
  while (i < text.length) {
    let value = 0;
    const start = i;
    for (; i < text.length; i++) {
      const digit = hexDigit(text.charCodeAt(i));
      if (digit < 0) break;
      value = value * 16 + digit;
      if (i - start >= 4) return false;
    }
    if (text.charCodeAt(i) === 46) {
      if (count > 6 || !readIPv4(text, start, tail, 0)) return false;
      const value4 = tail[0] ?? 0;
      groups[count++] = value4 >>> 16;
      groups[count++] = value4 & 0xffff;
      i = text.length;
      break;
    }
    if (i === start || count === 8) return false;
    groups[count++] = value;
    if (i === text.length) break;
    if (text.charCodeAt(i) !== 58) return false;
    i++;
    if (text.charCodeAt(i) === 58) {
      if (gap >= 0) return false;
      gap = count;
      i++;
    } else if (i === text.length) return false;
  }
  if (gap < 0 ? count !== 8 : count > 7) return false;
  if (gap >= 0) {
    const moved = count - gap;
    for (let k = 1; k <= moved; k++) groups[8 - k] = groups[count - k] ?? 0;
    for (let k = gap; k < 8 - moved; k++) groups[k] = 0;
  }
  for (let k = 0; k < 4; k++) out[k] = ((groups[2 * k] ?? 0) << 16) | (groups[2 * k + 1] ?? 0);
  return true;
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const lower = code | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
