/**
 * Purges, and URLs that unsafe requests made invalid, that the nodes of a cluster tell each other through its store
 * (control/facts.ts), where there is no second tier in Redis. Each node forgets what it hears of; one that was away for
 * longer than purges are kept forgets all. What is purged while the store is away is sent when it is back.
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from '../../base/log.ts';
import type { CacheControl } from '../../data/contract/cache.ts';
import type { PurgeKind } from '../../data/contract/cache-tier.ts';
import type { Facts } from '../facts.ts';
import { LEAST_KEPT_MS } from '../facts.ts';
import { purgeHere } from './purge-here.ts';

const PURGE_FACT = 'purge';
const KINDS: readonly PurgeKind[] = ['all', 'tag', 'prefix', 'key'];
/** A store that is busy is asked again so soon, and so often. */
const AGAIN_MS = 20;
const MOST_TRIES = 100;
/** URLs that become invalid within this time are sent together. */
const GATHER_MS = 300;
const BYTES_A_FACT = 48 * 1024;
/** More that wait, of either: the others forget everything instead. */
const MOST_GONE = 5_000;
const MOST_OWED = 1_000;

/** Tells other gateways of a purge. */
export interface PurgeShare {
  /** What it goes by, as the API names it. */
  readonly by: 'redis' | 'cluster';
  /** True: the others hear of it. False: when what carries it is back. */
  purge(kind: PurgeKind, text: string): Promise<boolean>;
}

export class FactPurges implements PurgeShare {
  readonly by = 'cluster';
  readonly #facts: Facts;
  readonly #cache: CacheControl;
  readonly #log: Logger;
  /** Purges from before the store was reached. */
  #owed: (readonly [PurgeKind, string])[] = [];
  /** First keys that unsafe requests made invalid, and are not sent yet. */
  readonly #gone = new Set<string>();
  #timer: NodeJS.Timeout | null = null;

  constructor(facts: Facts, cache: CacheControl, log: Logger) {
    this.#facts = facts;
    this.#cache = cache;
    this.#log = log;
    facts.hear(PURGE_FACT, {
      learn: ({ value }) => {
        const { kind, text, keys } = (value ?? {}) as { kind?: string; text?: unknown; keys?: unknown };
        if (kind === 'keys' && Array.isArray(keys)) {
          for (const key of keys) if (typeof key === 'string') this.#purge('key', key, 0);
        } else if (KINDS.includes(kind as PurgeKind) && typeof text === 'string')
          this.#purge(kind as PurgeKind, text, 0);
      },
      caughtUp: () => {
        const owed = this.#owed;
        this.#owed = [];
        for (const [owedKind, owedText] of owed) void this.purge(owedKind, owedText);
        this.#tellGone();
      },
      missed: () => this.#purge('all', '', 0),
    });
  }

  async purge(kind: PurgeKind, text: string): Promise<boolean> {
    if (this.#facts.areShared) return await this.#facts.tell(PURGE_FACT, randomUUID(), { kind, text }, LEAST_KEPT_MS);
    if (this.#owed.length >= MOST_OWED) this.#owed = [['all', '']];
    else this.#owed.push([kind, text]);
    return false;
  }

  /** Unsafe requests here have made these first keys invalid, which are forgotten here already. */
  gone(keys: readonly string[]): void {
    for (const key of keys) if (this.#gone.size <= MOST_GONE) this.#gone.add(key);
    this.#timer ??= setTimeout(() => this.#tellGone(), GATHER_MS).unref();
  }

  #tellGone(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    // While the store is away they would only pile up as facts.
    if (this.#gone.size === 0 || this.#facts.knownMs === null) return;
    if (this.#gone.size > MOST_GONE) void this.purge('all', '');
    else
      for (const keys of portions(this.#gone))
        void this.#facts.tell(PURGE_FACT, randomUUID(), { kind: 'keys', keys }, LEAST_KEPT_MS);
    this.#gone.clear();
  }

  close(): void {
    this.#tellGone();
  }

  #purge(kind: PurgeKind, text: string, tries: number): void {
    if (purgeHere(this.#cache, kind, text)) return;
    if (tries < MOST_TRIES) setTimeout(() => this.#purge(kind, text, tries + 1), AGAIN_MS).unref();
    else this.#log.error('a purge of another node could not be carried out: the store is busy', { kind });
  }
}

/** So many together that a fact can carry them. */
function* portions(keys: Iterable<string>): Generator<string[]> {
  let portion: string[] = [];
  let bytes = 0;
  for (const key of keys) {
    const more = JSON.stringify(key).length + 1;
    if (bytes + more > BYTES_A_FACT && portion.length > 0) {
      yield portion;
      portion = [];
      bytes = 0;
    }
    portion.push(key);
    bytes += more;
  }
  if (portion.length > 0) yield portion;
}
