/**
 * The Huffman code of HPACK (RFC 7541 §5.2, Appendix B). The code is canonical, so its table is kept as the lengths of
 * the codes alone. Decoding goes through a state machine that takes four bits at a time and fits the nearest cache:
 * states are the inner nodes of the code's tree. Pure; called by the HPACK decoder and writer.
 */

/** Bits of the code of each byte, and at 256 of the end-of-string symbol. */
const LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26, 30,
];

const SYMBOLS = 257;
const END_OF_STRING = 256;

/** Code of each symbol, right-aligned. */
const CODES = new Uint32Array(SYMBOLS);
const BITS = Uint8Array.from(LENGTHS);

{
  let code = 0;
  let length = 0;
  const inOrder = Array.from({ length: SYMBOLS }, (_, symbol) => symbol).sort(
    (a, b) => LENGTHS[a]! - LENGTHS[b]! || a - b,
  );
  for (const symbol of inOrder) {
    code <<= LENGTHS[symbol]! - length;
    length = LENGTHS[symbol]!;
    CODES[symbol] = code++;
  }
}

/**
 * By state and four bits: the next state (bits 0 to 7), the symbol (8 to 15), whether there is one (16), whether a
 * string may end here (17) and whether the bits are an error (18).
 */
const STEPS = new Int32Array(256 * 16);
const HAS_SYMBOL = 1 << 16;
const MAY_END = 1 << 17;
const IS_ERROR = 1 << 18;

{
  // Inner nodes get numbers in the order in which they are found; a leaf is `-1 - symbol`.
  const nodes: [number, number][] = [[0, 0]];
  for (let symbol = 0; symbol < SYMBOLS; symbol++) {
    let at = 0;
    for (let bit = LENGTHS[symbol]! - 1; bit > 0; bit--) {
      const side = (CODES[symbol]! >>> bit) & 1;
      if (nodes[at]![side] === 0) {
        nodes[at]![side] = nodes.length;
        nodes.push([0, 0]);
      }
      at = nodes[at]![side]!;
    }
    nodes[at]![CODES[symbol]! & 1] = -1 - symbol;
  }
  // RFC 7541 §5.2: a string ends with fewer than eight bits, all ones.
  const mayEnd = new Set<number>([0]);
  for (let at = 0, bits = 0; bits < 7; bits++) {
    at = nodes[at]![1]!;
    mayEnd.add(at);
  }
  for (let state = 0; state < nodes.length; state++) {
    for (let four = 0; four < 16; four++) {
      let at = state;
      let step = 0;
      for (let bit = 3; bit >= 0; bit--) {
        const next = nodes[at]![(four >> bit) & 1]!;
        if (next >= 0) at = next;
        else {
          const symbol = -1 - next;
          if (symbol === END_OF_STRING) step |= IS_ERROR;
          else step |= HAS_SYMBOL | (symbol << 8);
          at = 0;
        }
      }
      STEPS[(state << 4) | four] = step | at | (mayEnd.has(at) ? MAY_END : 0);
    }
  }
}

/** No string of `length` encoded bytes decodes to more than this: the shortest code has five bits. */
export function mostDecoded(length: number): number {
  return ((length * 8) / 5) | 0;
}

/** Decodes `from[start, end)` to `to` at `at`, where there must be room; returns the offset behind, or -1. */
export function decodeHuffman(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): number {
  let step = MAY_END;
  let out = at;
  for (let i = start; i < end; i++) {
    const byte = from[i]!;
    step = STEPS[((step & 0xff) << 4) | (byte >> 4)]!;
    if ((step & (HAS_SYMBOL | IS_ERROR)) !== 0) {
      if ((step & IS_ERROR) !== 0) return -1;
      to[out++] = (step >> 8) & 0xff;
    }
    step = STEPS[((step & 0xff) << 4) | (byte & 15)]!;
    if ((step & (HAS_SYMBOL | IS_ERROR)) !== 0) {
      if ((step & IS_ERROR) !== 0) return -1;
      to[out++] = (step >> 8) & 0xff;
    }
  }
  return (step & MAY_END) === 0 ? -1 : out;
}

/** Bytes that `from[start, end)` takes when encoded. */
export function huffmanLength(from: Uint8Array, start: number, end: number): number {
  let bits = 0;
  for (let i = start; i < end; i++) bits += BITS[from[i]!]!;
  return (bits + 7) >> 3;
}

/** Encodes `from[start, end)` to `to` at `at`, where there must be room; returns the offset behind. */
export function encodeHuffman(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): number {
  let held = 0;
  let bits = 0;
  let out = at;
  for (let i = start; i < end; i++) {
    const byte = from[i]!;
    const length = BITS[byte]!;
    const code = CODES[byte]!;
    // At most 7 bits are held, so codes above 25 bits go in two parts.
    if (length > 24) {
      held = ((held << (length - 16)) | (code >>> 16)) >>> 0;
      bits += length - 16;
      while (bits >= 8) {
        bits -= 8;
        to[out++] = held >>> bits;
      }
      held = ((held << 16) | (code & 0xffff)) >>> 0;
      bits += 16;
    } else {
      held = (held << length) | code;
      bits += length;
    }
    while (bits >= 8) {
      bits -= 8;
      to[out++] = held >>> bits;
    }
  }
  if (bits > 0) to[out++] = (held << (8 - bits)) | (0xff >> bits);
  return out;
}
