/**
 * Counts of what routes with a composition or a handler ask of services, of one worker; main hears of the differences.
 * Names are those of the configuration and outcomes are few, so there are few keys; there is a bound all the same.
 */
import type { AskedKind } from '../contract/asked.ts';

const MOST_KEYS = 10_000;

export class AskedCounts {
  #counts = new Map<string, number>();

  add(kind: AskedKind, route: string, name: string, outcome: string): void {
    const key = `${kind}\t${route}\t${name}\t${outcome}`;
    const count = this.#counts.get(key);
    if (count !== undefined) this.#counts.set(key, count + 1);
    else if (this.#counts.size < MOST_KEYS) this.#counts.set(key, 1);
  }

  /** What was counted since the last time; null for nothing. */
  take(): Readonly<Record<string, number>> | null {
    if (this.#counts.size === 0) return null;
    const taken = Object.fromEntries(this.#counts);
    this.#counts = new Map();
    return taken;
  }
}
