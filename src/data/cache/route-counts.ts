/** What a worker counts of the cache of one route; main hears of the differences (worker-cache.ts). */
import { CACHE_RESULTS, type CacheResult, type Takeover } from '../contract/cache.ts';
import type { TierLockResult, TierReadResult, TierWriteResult } from '../contract/cache-tier.ts';
import type { StoreRefusal } from './rules/storing.ts';

/** Why a request went past the store, beside what `mayStore` says of its response. */
export type BypassReason = 'body' | 'upgrade' | 'condition' | 'range' | 'no_room' | 'cannot_store' | 'wait_timeout';

/** They only grow. */
export class RouteCounts {
  readonly #results: Record<CacheResult, number> = {
    hit: 0,
    stale: 0,
    revalidated: 0,
    coalesced: 0,
    miss: 0,
    bypass: 0,
    error: 0,
  };
  #bytes = 0;
  /** Of what is rare, by name. */
  readonly #others = new Map<string, number>();
  readonly #sent = new Map<string, number>();

  result(result: CacheResult): void {
    this.#results[result]++;
  }

  /** Bytes of bodies that came out of the store. */
  bytes(count: number): void {
    this.#bytes += count;
  }

  refused(reason: StoreRefusal | BypassReason): void {
    this.#add(`refused ${reason}`);
  }

  /** What is being stored went on although its fetch had ended. */
  takeover(why: Takeover): void {
    this.#add(`takeover ${why}`);
  }

  stored(): void {
    this.#add('stored');
  }

  /** How a read of the second tier ended. */
  tierRead(result: TierReadResult): void {
    this.#add(`tier_read ${result}`);
  }

  tierWrite(result: TierWriteResult): void {
    this.#add(`tier_write ${result}`);
  }

  /** How a fetch agreed with those of other gateways. */
  tierLock(result: TierLockResult): void {
    this.#add(`tier_lock ${result}`);
  }

  changesInto(route: string, changes: Record<string, number>): void {
    for (const result of CACHE_RESULTS) this.#change(route, `result ${result}`, this.#results[result], changes);
    this.#change(route, 'bytes', this.#bytes, changes);
    for (const [name, value] of this.#others) this.#change(route, name, value, changes);
  }

  #change(route: string, name: string, value: number, changes: Record<string, number>): void {
    const change = value - (this.#sent.get(name) ?? 0);
    if (change === 0) return;
    this.#sent.set(name, value);
    changes[`${route}\t${name}`] = change;
  }

  #add(name: string): void {
    this.#others.set(name, (this.#others.get(name) ?? 0) + 1);
  }
}
