/**
 * The open streams of one connection by their numbers: a hash table with linear probing in one array, which an idle
 * connection does not have. Not a `Map`: that one is made anew every few dozen streams, and each of those that are left
 * behind refers to the next, so that the young collections keep streams which ended long ago. Owner: the connection.
 */

interface Numbered {
  readonly id: number;
}

/** A power of two. */
const FIRST_SLOTS = 16;
const NO_SLOTS: never[] = [];

export class StreamTable<S extends Numbered> {
  size = 0;
  /** At least half of them are free. */
  #slots: (S | null)[] = NO_SLOTS;
  #mask = -1;

  get(id: number): S | null {
    if (this.size === 0) return null;
    for (let at = homeOf(id) & this.#mask; ; at = (at + 1) & this.#mask) {
      const stream = this.#slots[at]!;
      if (stream === null || stream.id === id) return stream;
    }
  }

  /** No stream with its number may be here. */
  add(stream: S): void {
    if (++this.size * 2 > this.#slots.length) this.#grow();
    this.#put(stream);
  }

  remove(stream: S): void {
    const slots = this.#slots;
    const mask = this.#mask;
    if (this.size === 0) return;
    let at = homeOf(stream.id) & mask;
    while (slots[at] !== stream) {
      if (slots[at] === null) return;
      at = (at + 1) & mask;
    }
    slots[at] = null;
    this.size--;
    // An entry that stood behind because of it moves up.
    let free = at;
    for (at = (at + 1) & mask; slots[at] !== null; at = (at + 1) & mask) {
      const home = homeOf(slots[at]!.id) & mask;
      if (((at - home) & mask) < ((at - free) & mask)) continue;
      slots[free] = slots[at]!;
      slots[at] = null;
      free = at;
    }
  }

  /** In the order of their numbers, as they are now. */
  all(): S[] {
    const streams: S[] = [];
    for (const stream of this.#slots) if (stream !== null) streams.push(stream);
    return streams.sort((a, b) => a.id - b.id);
  }

  #put(stream: S): void {
    let at = homeOf(stream.id) & this.#mask;
    while (this.#slots[at] !== null) at = (at + 1) & this.#mask;
    this.#slots[at] = stream;
  }

  #grow(): void {
    const before = this.#slots;
    const length = Math.max(FIRST_SLOTS, before.length * 2);
    this.#slots = new Array<S | null>(length).fill(null);
    this.#mask = length - 1;
    for (const stream of before) if (stream !== null) this.#put(stream);
  }
}

/** One side of a connection opens odd numbers only (RFC 9113 §5.1.1), one after the other. */
function homeOf(id: number): number {
  return id >>> 1;
}
