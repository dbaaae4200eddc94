/**
 * JSON read in order to be written again. Numbers that a double cannot hold (identifiers of 64 bits, long decimals)
 * keep their digits: they become raw JSON, which is written as it was read. Depth is bounded before anything recurses.
 */

/** Digits, fractions and exponents that may not survive. In strings it costs time and nothing else. */
const LONG_NUMBER = /\d{16}|\d\.\d{14}|\d[eE][+-]?\d/;

export type ExactReading =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly expected: string };

export function readExactJson(bytes: Buffer, maxDepth: number): ExactReading {
  if (deeperThan(bytes, maxDepth)) return { ok: false, expected: `at most ${maxDepth} levels of nesting` };
  const text = bytes.toString('utf8');
  try {
    return { ok: true, value: LONG_NUMBER.test(text) ? JSON.parse(text, keepDigits) : JSON.parse(text) };
  } catch {
    return { ok: false, expected: 'a JSON text' };
  }
}

function keepDigits(_name: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source;
  if (typeof value !== 'number' || source === undefined || String(value) === source) return value;
  // A short number like 1.50 is 1.5 to everyone; one that became infinite, or nothing, is not.
  const isLost = source.length >= 16 || !Number.isFinite(value) || (value === 0 && /^[^eE]*[1-9]/.test(source));
  return isLost ? JSON.rawJSON(source) : value;
}

function deeperThan(bytes: Buffer, maxDepth: number): boolean {
  let depth = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === 0x22) {
      for (i++; i < bytes.length && bytes[i] !== 0x22; i++) if (bytes[i] === 0x5c) i++;
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > maxDepth) return true;
    } else if (byte === 0x7d || byte === 0x5d) depth--;
  }
  return false;
}
