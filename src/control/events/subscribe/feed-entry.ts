/** An event with what is made of it, such as its frame, once for all readers. */
import type { StoredEvent } from '../engines/engine.ts';
import { printOf } from '../engines/event-print.ts';

/** Of an event's objects, beside its data. */
const OWN_BYTES = 500;

export class FeedEntry {
  readonly event: StoredEvent;
  /** Nearly always all readers want the same: a map is made for the second thing. */
  #name = '';
  #first: Buffer | null = null;
  #print: string | null = null;
  #more: Map<string, Buffer> | null = null;

  constructor(event: StoredEvent) {
    this.event = event;
  }

  /** In memory, without what is made of it. */
  get bytes(): number {
    return this.event.data.byteLength + OWN_BYTES;
  }

  /** What tells it from another that has its position (event-print.ts). */
  get print(): string {
    this.#print ??= printOf(this.event);
    return this.#print;
  }

  once(name: string, make: (event: StoredEvent) => Buffer): Buffer {
    if (this.#first !== null && this.#name === name) return this.#first;
    let made = this.#more?.get(name);
    if (made !== undefined) return made;
    made = make(this.event);
    // Making one may have made another.
    if (this.#first === null) {
      this.#name = name;
      this.#first = made;
    } else {
      this.#more ??= new Map();
      this.#more.set(name, made);
    }
    return made;
  }
}
