/**
 * What the cache of one worker keeps across reloads: its view of the store, the fills it follows, memory that is used
 * again, and the counts, which are told to main every two seconds as differences. Made by the first route that has a
 * cache.
 */
import type { Clock } from '../../base/clock.ts';
import { CACHE_COUNTS_TOPIC, type CacheResult } from '../contract/cache.ts';
import type { ControlLink } from '../contract/policy.ts';
import type { Head } from '../parser/head.ts';
import { FillWatches } from './fill-watch.ts';
import type { StoreRefusal } from './rules/storing.ts';
import { CHUNK_BYTES } from './store/layout.ts';
import { CacheStore } from './store/store.ts';
import { roomyHead } from './stored-head.ts';

const TELL_EVERY_MS = 2_000;
/** What is sent of a stored body at a time. */
export const PIECE_BYTES = 64 * 1024;
const PIECES_KEPT = 16;

export class WorkerCache {
  readonly store: CacheStore;
  readonly watches: FillWatches;
  readonly clock: Clock;
  /** A stored head while it is looked at and handed on. */
  readonly head: Head = roomyHead();
  readonly otherHead: Head = roomyHead();
  readonly #pieces: Buffer[] = [];
  readonly #control: ControlLink;
  readonly #routes = new Map<string, RouteCounts>();
  readonly #timer: NodeJS.Timeout;

  constructor(memory: SharedArrayBuffer, worker: number, clock: Clock, control: ControlLink) {
    this.store = new CacheStore(memory, worker);
    this.watches = new FillWatches(this.store);
    this.clock = clock;
    this.#control = control;
    this.#timer = setInterval(() => this.tell(), TELL_EVERY_MS).unref();
  }

  /** Largest object that may have a place: an eighth of all chunks. */
  get mostBytes(): number {
    return Math.floor(this.store.chains.total / 8) * CHUNK_BYTES;
  }

  countsOf(routeId: string): RouteCounts {
    let counts = this.#routes.get(routeId);
    if (counts === undefined) {
      counts = new RouteCounts();
      this.#routes.set(routeId, counts);
    }
    return counts;
  }

  takePiece(): Buffer {
    return this.#pieces.pop() ?? Buffer.allocUnsafeSlow(PIECE_BYTES);
  }

  givePiece(piece: Buffer): void {
    if (this.#pieces.length < PIECES_KEPT) this.#pieces.push(piece);
  }

  tell(): void {
    const changes: Record<string, number> = {};
    for (const [route, counts] of this.#routes) counts.changesInto(route, changes);
    if (Object.keys(changes).length > 0) this.#control.tell(CACHE_COUNTS_TOPIC, changes);
  }

  /** The worker ends. */
  close(): void {
    clearInterval(this.#timer);
    this.tell();
  }
}

/** Of one route and worker; they only grow. */
export class RouteCounts {
  readonly #results = new Map<string, number>();
  readonly #told = new Map<string, number>();

  result(result: CacheResult): void {
    this.#add(`result ${result}`, 1);
  }

  /** Bytes of bodies that came out of the store. */
  bytes(count: number): void {
    this.#add('bytes', count);
  }

  refused(reason: StoreRefusal | BypassReason): void {
    this.#add(`refused ${reason}`, 1);
  }

  stored(): void {
    this.#add('stored', 1);
  }

  changesInto(route: string, changes: Record<string, number>): void {
    for (const [name, value] of this.#results) {
      const change = value - (this.#told.get(name) ?? 0);
      if (change === 0) continue;
      this.#told.set(name, value);
      changes[`${route}\t${name}`] = change;
    }
  }

  #add(name: string, count: number): void {
    this.#results.set(name, (this.#results.get(name) ?? 0) + count);
  }
}

/** Why a request went past the store, beside what `mayStore` says of its response. */
export type BypassReason = 'condition' | 'range' | 'no_room' | 'cannot_store' | 'wait_timeout';
