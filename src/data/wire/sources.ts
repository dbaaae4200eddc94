/**
 * Who holds what of a worker, by address: one `Source` is an address (of IPv6 its /64, the least that a single customer
 * commands, RFC 6177 §2) with what it has of connections, slow bodies and places. Whatever one address can hold is a
 * share, so that it takes nothing from others. Clients of trusted proxies count by their own address, and the proxies
 * not at all. Owner: the worker's thread.
 */
import { readAddress } from '../../base/address-words.ts';

export class Source {
  /** An address, or `2001:db8:1:2::/64`. */
  readonly name: string;
  /** Open connections. */
  connections = 0;
  /** Connections and exchanges that know it; without any it is forgotten. */
  users = 0;
  /** What is made of the client for one of its connections and serves the next one as well. Whoever made it knows it. */
  made: object | null = null;

  constructor(name: string) {
    this.name = name;
  }
}

const words = new Int32Array(4);

export class Sources {
  readonly #known = new Map<string, Source>();

  /** `address`: canonical. Forgotten by and by unless it is kept. */
  of(address: string): Source {
    const name = sourceName(address);
    return this.#known.get(name) ?? new Source(name);
  }

  /** To be given back by `leave`. */
  enter(address: string): Source {
    const source = this.of(address);
    this.keep(source);
    return source;
  }

  keep(source: Source): void {
    if (source.users++ === 0) this.#known.set(source.name, source);
  }

  leave(source: Source): void {
    if (--source.users === 0) this.#known.delete(source.name);
  }

  get size(): number {
    return this.#known.size;
  }
}

function sourceName(address: string): string {
  if (!address.includes(':') || readAddress(address, words) !== 6) return address;
  const group = (word: number, shift: number): string => ((words[word]! >>> shift) & 0xffff).toString(16);
  return `${group(0, 16)}:${group(0, 0)}:${group(1, 16)}:${group(1, 0)}::/64`;
}
