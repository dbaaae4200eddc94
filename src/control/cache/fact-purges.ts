/**
 * Purges that the nodes of a cluster tell each other through its store (control/facts.ts), where there is no second
 * tier in Redis. Each node forgets what it hears of; one that was away for longer than purges are kept forgets all.
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

/** Tells other gateways of a purge. */
export interface PurgeShare {
  /** True: the others hear of it. False: when what carries it is back. */
  purge(kind: PurgeKind, text: string): Promise<boolean>;
}

export class FactPurges implements PurgeShare {
  readonly #facts: Facts;
  readonly #cache: CacheControl;
  readonly #log: Logger;

  constructor(facts: Facts, cache: CacheControl, log: Logger) {
    this.#facts = facts;
    this.#cache = cache;
    this.#log = log;
    facts.hear(PURGE_FACT, {
      learn: ({ value }) => {
        const { kind, text } = (value ?? {}) as { kind?: PurgeKind; text?: unknown };
        if (kind !== undefined && KINDS.includes(kind) && typeof text === 'string') this.#purge(kind, text, 0);
      },
      missed: () => this.#purge('all', '', 0),
    });
  }

  purge(kind: PurgeKind, text: string): Promise<boolean> {
    return this.#facts.tell(PURGE_FACT, randomUUID(), { kind, text }, LEAST_KEPT_MS);
  }

  #purge(kind: PurgeKind, text: string, tries: number): void {
    if (purgeHere(this.#cache, kind, text)) return;
    if (tries < MOST_TRIES) setTimeout(() => this.#purge(kind, text, tries + 1), AGAIN_MS).unref();
    else this.#log.error('a purge of another node could not be carried out: the store is busy', { kind });
  }
}
