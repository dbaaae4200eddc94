/** An event with what is made of it, such as its frame, once for all readers. */
import type { StoredEvent } from '../engines/engine.ts';

/** Of an event's objects, beside its data. */
const OWN_BYTES = 500;

export class FeedEntry {
  readonly event: StoredEvent;
  readonly #made = new Map<string, Buffer>();

  constructor(event: StoredEvent) {
    this.event = event;
  }

  /** In memory, without what is made of it. */
  get bytes(): number {
    return this.event.data.byteLength + OWN_BYTES;
  }

  once(name: string, make: (event: StoredEvent) => Buffer): Buffer {
    let made = this.#made.get(name);
    if (made === undefined) {
      made = make(this.event);
      this.#made.set(name, made);
    }
    return made;
  }
}
