/**
 * Which entries are being read, per worker: a reader names the entry in its own row before it looks whether the entry
 * is still what it found (hazard pointers). Whoever takes an entry out of the index frees its chunks only when no row
 * names it; otherwise the last reader does. A row is written by one thread, so main takes a dead worker's back by
 * clearing it.
 *
 * Slot 0 of a row is for reads that end before their callback does; the others for responses that take longer.
 */
import { type Layout, PIN_ROWS, PINS_PER_WORKER } from './layout.ts';

export const NO_PIN = -1;
/** Of a row: how many slots were ever used. */
const USED = PINS_PER_WORKER - 1;

export class Pins {
  readonly #words: Int32Array;
  readonly #first: number;
  readonly #row: number;
  /** Slots of the own row that are free, apart from those never used. */
  readonly #free: number[] = [];
  #fresh = 1;

  /** `worker`: whose row this thread writes; main (-1) has none and pins nothing. */
  constructor(words: Int32Array, layout: Layout, worker: number) {
    this.#words = words;
    this.#first = layout.pins;
    this.#row = layout.pins + Math.max(0, worker) * PINS_PER_WORKER;
    while (worker >= 0) {
      const rows = Atomics.load(words, PIN_ROWS);
      if (rows > worker || Atomics.compareExchange(words, PIN_ROWS, rows, worker + 1) === rows) break;
    }
  }

  /** Names an entry in a slot of its own; `NO_PIN` when there is none left. */
  pin(entry: number): number {
    let slot = this.#free.pop() ?? NO_PIN;
    if (slot === NO_PIN) {
      if (this.#fresh === USED) return NO_PIN;
      slot = this.#fresh++;
      Atomics.store(this.#words, this.#row + USED, this.#fresh);
    }
    Atomics.store(this.#words, this.#row + slot, entry);
    return slot;
  }

  unpin(slot: number): void {
    Atomics.store(this.#words, this.#row + slot, 0);
    this.#free.push(slot);
  }

  /** Names an entry for the length of this callback; 0 names none. */
  glance(entry: number): void {
    Atomics.store(this.#words, this.#row, entry);
  }

  /** Is anybody reading this entry? */
  names(entry: number): boolean {
    return this.hasReaders(entry, 1);
  }

  /** Do so many slots name this entry? */
  hasReaders(entry: number, least: number): boolean {
    let left = least;
    const words = this.#words;
    const end = this.#first + Atomics.load(words, PIN_ROWS) * PINS_PER_WORKER;
    for (let row = this.#first; row < end; row += PINS_PER_WORKER) {
      if (Atomics.load(words, row) === entry && --left === 0) return true;
      const used = Atomics.load(words, row + USED);
      for (let i = 1; i < used; i++) if (Atomics.load(words, row + i) === entry && --left === 0) return true;
    }
    return false;
  }

  /** Takes back what a worker that is dead had named; returns it. */
  clearRow(worker: number): number[] {
    const words = this.#words;
    const row = this.#first + worker * PINS_PER_WORKER;
    const named: number[] = [];
    for (let i = row; i < row + USED; i++) {
      const entry = Atomics.exchange(words, i, 0);
      if (entry !== 0) named.push(entry);
    }
    Atomics.store(words, row + USED, 0);
    return named;
  }
}
