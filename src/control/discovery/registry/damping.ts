/**
 * Flapping: an address that goes and comes back again and again is held back after the third comeback, each time twice
 * as long, so that callers do not find it dead every few seconds. Comebacks older than the window are forgotten.
 * Pure bookkeeping over monotonic time; bounded, the oldest address is forgotten first.
 */

export interface DampingSettings {
  /** This comeback within the window is the first to be held back. */
  readonly after: number;
  /** How long the first time; each further one is twice as long. */
  readonly holdMs: number;
  readonly maxHoldMs: number;
  readonly windowMs: number;
}

/** More stamps than this change nothing: the hold-down is at its limit long before. */
const MAX_STAMPS = 32;

export class Damping {
  #settings: DampingSettings;
  readonly #maxAddresses: number;
  /** Monotonic times of comebacks, by service and URL; insertion order is the order of the last comeback. */
  readonly #comebacks = new Map<string, number[]>();

  constructor(settings: DampingSettings, maxAddresses: number) {
    this.#settings = settings;
    this.#maxAddresses = maxAddresses;
  }

  configure(settings: DampingSettings): void {
    this.#settings = settings;
  }

  /** Was the address here before, as far as is remembered? Then its next coming is a comeback. */
  knows(key: string): boolean {
    return this.#comebacks.has(key);
  }

  /** Remembers that the address was here. */
  left(key: string): void {
    this.#keep(key, this.#comebacks.get(key) ?? []);
  }

  /** Counts a comeback and says how long the address is to be held back; 0 is not at all. */
  cameBack(key: string, nowMs: number): number {
    const stamps = [...this.#recent(key, nowMs), nowMs];
    this.#keep(key, stamps.slice(-MAX_STAMPS));
    const { after, holdMs, maxHoldMs } = this.#settings;
    const times = stamps.length - after;
    return times < 0 ? 0 : Math.min(holdMs * 2 ** times, maxHoldMs);
  }

  /** Comebacks within the window. */
  count(key: string, nowMs: number): number {
    return this.#recent(key, nowMs).length;
  }

  /** How long ago each comeback within the window was. */
  ages(key: string, nowMs: number): number[] {
    return this.#recent(key, nowMs).map((stamp) => nowMs - stamp);
  }

  /** What another gateway counted; the one that has counted more is right. */
  learn(key: string, agesMs: readonly number[], nowMs: number): void {
    const known = this.#recent(key, nowMs);
    const stamps = agesMs.map((age) => nowMs - age).sort((a, b) => a - b);
    this.#keep(key, stamps.length >= known.length ? stamps.slice(-MAX_STAMPS) : known);
  }

  entries(): IterableIterator<[string, number[]]> {
    return this.#comebacks.entries();
  }

  restore(key: string, stamps: readonly number[]): void {
    this.#keep(key, stamps.slice(-MAX_STAMPS));
  }

  forget(keep: (key: string) => boolean): void {
    for (const key of this.#comebacks.keys()) if (!keep(key)) this.#comebacks.delete(key);
  }

  #recent(key: string, nowMs: number): number[] {
    return (this.#comebacks.get(key) ?? []).filter((stamp) => nowMs - stamp < this.#settings.windowMs);
  }

  #keep(key: string, stamps: number[]): void {
    this.#comebacks.delete(key);
    this.#comebacks.set(key, stamps);
    if (this.#comebacks.size <= this.#maxAddresses) return;
    const oldest = this.#comebacks.keys().next();
    if (!oldest.done) this.#comebacks.delete(oldest.value);
  }
}
