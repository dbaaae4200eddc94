/**
 * A set of CIDR blocks with a fast answer for large lists: sorted, merged ranges of numbers, searched by halving. Made
 * once off the hot path (100,000 blocks in about a tenth of a second), then read only: 17 steps for 100,000 blocks, no
 * allocation.
 * `base/ip.ts` has a simpler set for short lists.
 */
import { readAddress } from '../../base/address-words.ts';

const words = new Int32Array(4);
const last = new Uint32Array(4);

/** Ranges of addresses of `width` words each: starts and ends, both included, in ascending order. */
class Ranges {
  readonly #width: 1 | 4;
  readonly #starts: Uint32Array;
  readonly #ends: Uint32Array;
  readonly count: number;

  constructor(width: 1 | 4, ranges: readonly { readonly start: readonly number[]; readonly end: readonly number[] }[]) {
    this.#width = width;
    const merged: { start: readonly number[]; end: readonly number[] }[] = [];
    for (const range of [...ranges].sort((one, other) => compare(one.start, other.start))) {
      const before = merged.at(-1);
      if (before === undefined || compare(range.start, next(before.end)) > 0) merged.push({ ...range });
      else if (compare(range.end, before.end) > 0) before.end = range.end;
    }
    this.count = merged.length;
    this.#starts = Uint32Array.from(merged.flatMap(({ start }) => start));
    this.#ends = Uint32Array.from(merged.flatMap(({ end }) => end));
  }

  has(address: Int32Array): boolean {
    // The last range that does not begin after the address is the only one that can hold it.
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#isAfter(this.#starts, middle, address)) high = middle;
      else low = middle + 1;
    }
    return low > 0 && !this.#isBefore(this.#ends, low - 1, address);
  }

  #isAfter(edges: Uint32Array, index: number, address: Int32Array): boolean {
    for (let i = 0; i < this.#width; i++) {
      const edge = edges[index * this.#width + i] as number;
      const part = (address[i] as number) >>> 0;
      if (edge !== part) return edge > part;
    }
    return false;
  }

  #isBefore(edges: Uint32Array, index: number, address: Int32Array): boolean {
    for (let i = 0; i < this.#width; i++) {
      const edge = edges[index * this.#width + i] as number;
      const part = (address[i] as number) >>> 0;
      if (edge !== part) return edge < part;
    }
    return false;
  }
}

export class BlockSet {
  readonly #v4: Ranges;
  readonly #v6: Ranges;
  /** Ranges after merging. */
  readonly size: number;

  /** Each block is an address or `ADDRESS/BITS`. Throws a TypeError that names what is neither. */
  constructor(blocks: Iterable<string>) {
    const v4: { start: readonly number[]; end: readonly number[] }[] = [];
    const v6: { start: readonly number[]; end: readonly number[] }[] = [];
    for (const block of blocks) {
      const slash = block.indexOf('/');
      const family = readAddress(slash < 0 ? block : block.slice(0, slash), words);
      const width = family === 4 ? 1 : 4;
      const bits = slash < 0 ? width * 32 : Number(block.slice(slash + 1));
      const isBits = slash < 0 || /^\d{1,3}$/.test(block.slice(slash + 1));
      if (family === 0 || !isBits || bits > width * 32)
        throw new TypeError(`"${block}" is not an address or a CIDR block`);
      (family === 4 ? v4 : v6).push(rangeOf(width, bits));
    }
    this.#v4 = new Ranges(1, v4);
    this.#v6 = new Ranges(4, v6);
    this.size = this.#v4.count + this.#v6.count;
  }

  /** False for what is no address. */
  has(address: string): boolean {
    const family = readAddress(address, words);
    return family === 4 ? this.#v4.has(words) : family === 6 && this.#v6.has(words);
  }
}

/** What is not a block, if there is one, for the configuration to complain about. */
export function blockProblem(block: string): string | undefined {
  try {
    new BlockSet([block]);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Of the address in `words`. */
function rangeOf(width: 1 | 4, bits: number): { start: number[]; end: number[] } {
  const start: number[] = [];
  const end: number[] = [];
  for (let i = 0; i < width; i++) {
    const kept = Math.min(32, Math.max(0, bits - 32 * i));
    const mask = kept === 0 ? 0 : (0xffffffff << (32 - kept)) >>> 0;
    const part = (words[i] as number) >>> 0;
    start.push((part & mask) >>> 0);
    end.push((part | ~mask) >>> 0);
  }
  return { start, end };
}

function compare(one: readonly number[], other: readonly number[]): number {
  for (let i = 0; i < one.length; i++) {
    const difference = (one[i] as number) - (other[i] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The address after this one; the last address has none and stays. */
function next(address: readonly number[]): readonly number[] {
  last.set(address);
  for (let i = address.length - 1; i >= 0; i--) {
    if ((last[i] as number) !== 0xffffffff) {
      last[i] = (last[i] as number) + 1;
      last.fill(0, i + 1, address.length);
      return [...last.subarray(0, address.length)];
    }
  }
  return address;
}
