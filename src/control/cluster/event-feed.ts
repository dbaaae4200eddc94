/**
 * Hands new events to all who listen: one reader for the whole process, which asks the store twice a second (less
 * often where many gateways do) and only while there are listeners. A slow listener reads on from the store by id, so
 * nothing is kept for it here.
 */
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Cancel, Timers } from '../../base/system-timers.ts';
import type { Crowd } from './crowd.ts';
import type { EventReader } from './events.ts';

const POLL_MS = 500;
/** By all gateways together. */
const ALL_PER_SECOND = 50;

export class EventFeed {
  readonly #reader: EventReader;
  readonly #timers: Timers;
  readonly #log: Logger;
  readonly #crowd: Pick<Crowd, 'pacedMs'>;
  readonly #listeners = new Set<(last: number) => void>();
  #last = -1;
  #cancel: Cancel = () => {};
  #isReading = false;

  constructor(reader: EventReader, timers: Timers, log: Logger, crowd: Pick<Crowd, 'pacedMs'>) {
    this.#reader = reader;
    this.#timers = timers;
    this.#log = log;
    this.#crowd = crowd;
  }

  get listening(): number {
    return this.#listeners.size;
  }

  /** `changed` is called whenever there are events after what was known; returns what ends it. */
  listen(changed: () => void): Cancel {
    this.#listeners.add(changed);
    if (this.#listeners.size === 1 && !this.#isReading) this.#poll();
    return () => {
      this.#listeners.delete(changed);
      if (this.#listeners.size === 0) this.#cancel();
    };
  }

  #poll(): void {
    this.#isReading = true;
    this.#reader
      .range()
      .then(
        ({ last }) => {
          if (last !== this.#last && this.#last >= 0) for (const listener of [...this.#listeners]) listener(last);
          this.#last = last;
        },
        (error: unknown) => this.#log.debug('events could not be read', { reason: messageOf(error) }),
      )
      .finally(() => {
        this.#isReading = false;
        this.#cancel = () => {};
        if (this.#listeners.size > 0)
          this.#cancel = this.#timers.after(this.#crowd.pacedMs(POLL_MS, ALL_PER_SECOND), () => this.#poll());
        else this.#last = -1;
      });
  }
}
