/**
 * What the cache of one worker keeps across reloads: its view of the store, the fills it follows, memory that is used
 * again, and the counts, which are sent to main every two seconds as differences. Made by the first route that has a
 * cache.
 */

import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import { type Cancel, every } from '../../base/system-timers.ts';
import { CACHE_COUNTS_TOPIC, CACHE_PEERS_TOPIC } from '../contract/cache.ts';
import { CACHE_TIER_TIMES_TOPIC, CACHE_TIER_TOPIC, type CacheTierSettings } from '../contract/cache-tier.ts';
import type { ControlLink } from '../contract/policy.ts';
import type { Secrets } from '../contract/snapshot.ts';
import type { Head } from '../parser/head.ts';
import { FillWatches } from './fill-watch.ts';
import { GoneKeys } from './gone-keys.ts';
import { HotHeads } from './hot-heads.ts';
import { HotTargets } from './hot-targets.ts';
import { Markers } from './markers.ts';
import { RouteCounts } from './route-counts.ts';
import { CHUNK_BYTES } from './store/layout.ts';
import { CacheStore } from './store/store.ts';
import { roomyHead } from './stored-head.ts';
import { RedisTier } from './tier/redis-tier.ts';
import { TierLine } from './tier/tier-line.ts';

const TELL_EVERY_MS = 2_000;
/** What is sent of a stored body at a time. */
export const PIECE_BYTES = 64 * 1024;
const PIECES_KEPT = 16;

export class WorkerCache {
  readonly store: CacheStore;
  readonly watches: FillWatches;
  readonly markers: Markers;
  readonly hot: HotHeads;
  readonly targets = new HotTargets();
  /** For other nodes of a cluster. */
  readonly gone: GoneKeys;
  readonly clock: Clock;
  /** A stored head while it is looked at and handed on. */
  readonly head: Head = roomyHead();
  readonly otherHead: Head = roomyHead();
  readonly #pieces: Buffer[] = [];
  readonly #control: ControlLink;
  readonly #routes = new Map<string, RouteCounts>();
  readonly #stopTelling: Cancel;
  readonly #log: Logger;
  /** Null: no route has one, or its URL is not here yet. */
  tier: RedisTier | null = null;
  #tierSettings: CacheTierSettings | null = null;
  #tierMadeFrom = '';
  #secrets: Secrets = {};
  #toldAtMs = Number.NEGATIVE_INFINITY;

  constructor(memory: SharedArrayBuffer, worker: number, clock: Clock, control: ControlLink, log: Logger) {
    this.store = new CacheStore(memory, worker);
    this.watches = new FillWatches(this.store);
    this.markers = new Markers(this.store);
    this.hot = new HotHeads(this.store);
    this.clock = clock;
    this.#control = control;
    this.gone = new GoneKeys(control);
    this.#log = log;
    control.subscribe(CACHE_TIER_TOPIC, (data) => {
      this.#tierSettings = data as CacheTierSettings | null;
      this.#connect();
    });
    control.subscribe(CACHE_PEERS_TOPIC, (data) => {
      this.gone.isHeard = data === true;
    });
    this.#stopTelling = every(TELL_EVERY_MS, () => this.tell());
  }

  /** The second tier follows its settings and the secret that they name, which arrive apart. */
  set secrets(secrets: Secrets) {
    this.#secrets = secrets;
    this.#connect();
  }

  #connect(): void {
    const settings = this.#tierSettings;
    const url = settings === null ? undefined : this.#secrets[settings.url];
    const madeFrom = settings === null || url === undefined ? '' : JSON.stringify([settings, url]);
    if (madeFrom === this.#tierMadeFrom) return;
    this.#tierMadeFrom = madeFrom;
    this.tier?.close();
    this.tier = null;
    if (settings === null || url === undefined) return;
    const now = (): number => this.clock.monotonicMs();
    const line = new TierLine(url, settings.mostMemoryBytes, now, (reason) => this.#tierProblem(reason));
    this.tier = new RedisTier(line, settings, now);
  }

  /** Once in ten seconds: a Redis that is away is a failed connection many times over. */
  #tierProblem(reason: string): void {
    const nowMs = this.clock.monotonicMs();
    if (nowMs - this.#toldAtMs < 10_000) return;
    this.#toldAtMs = nowMs;
    this.#log.warn('responses cannot be shared through Redis; the services are asked instead', { reason });
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
    const times = this.tier?.takeTimes() ?? null;
    if (times !== null) this.#control.tell(CACHE_TIER_TIMES_TOPIC, times);
  }

  /** The worker ends. */
  close(): void {
    this.#stopTelling();
    this.tier?.close();
    this.gone.close();
    this.tell();
  }
}
