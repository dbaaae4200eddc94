/**
 * Two small hashes for choosing instances by key. They spread well and are cheap; they are not cryptographic: a caller
 * who can choose keys can choose an instance, which bounded load and limits take care of.
 */

/** FNV-1a over UTF-16 code units; 32 bits, signed. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}

/** The finaliser of MurmurHash3: each bit of the input changes each bit of the result with probability one half. */
export function mix(value: number): number {
  let hash = value ^ (value >>> 16);
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
