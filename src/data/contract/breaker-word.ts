/**
 * Opens and closes circuit breakers from outside: what operators do by hand. A breaker is one word in shared memory
 * (resilience/breaker.ts owns its meaning and draws it), so the main thread needs no worker for it. Called by
 * control/overrides.ts.
 */
import { BUCKET_WORDS, INSTANCE, instanceAt, MAX_BREAKER_BUCKETS, SERVICE, serviceAt } from './instance-layout.ts';
import type { InstanceTable } from './instance-table.ts';
import { TICK_MS } from './instance-table.ts';

const CLOSED = 0;
const OPEN = 1;
/** What is under way counts for the round that it began in, so each change by hand begins another. */
const ROUND_SHIFT = 22;

export interface BreakerPlace {
  /** Offset of the breaker word, which the time of its last change follows. */
  readonly wordAt: number;
  readonly windowAt: number;
  /** Whose list of usable instances is stale after a change. */
  readonly serviceSlot: number;
}

export function serviceBreakerPlace(slot: number): BreakerPlace {
  const at = serviceAt(slot);
  return { wordAt: at + SERVICE.breakerWord, windowAt: at + SERVICE.breakerWindow, serviceSlot: slot };
}

export function instanceBreakerPlace(slot: number, serviceSlot: number): BreakerPlace {
  const at = instanceAt(slot);
  return { wordAt: at + INSTANCE.breakerWord, windowAt: at + INSTANCE.breakerWindow, serviceSlot };
}

/**
 * Refuses requests for `forMs` from now, then lets probes through as after any opening. An open breaker waits its reset
 * timeout from the time of its last change on, so that time is put so far ahead that both end together.
 */
export function forceOpen(table: InstanceTable, place: BreakerPlace, forMs: number, resetTimeoutMs: number): void {
  const ahead = Math.round((forMs - resetTimeoutMs) / TICK_MS);
  change(table, place, OPEN, (table.nowTick() + ahead) | 0 || 1);
}

/** Closed, with an empty window: what failed before does not count any more. */
export function resetBreaker(table: InstanceTable, place: BreakerPlace): void {
  const words = MAX_BREAKER_BUCKETS * BUCKET_WORDS;
  for (let word = 0; word < words; word++) Atomics.store(table.words, place.windowAt + word, 0);
  change(table, place, CLOSED, table.nowTick());
}

function change(table: InstanceTable, { wordAt, serviceSlot }: BreakerPlace, state: number, since: number): void {
  const { words } = table;
  for (;;) {
    const word = Atomics.load(words, wordAt);
    const next = (((word >>> ROUND_SHIFT) + 1) << ROUND_SHIFT) | state | 0;
    Atomics.store(words, wordAt + 1, since);
    if (Atomics.compareExchange(words, wordAt, word, next) === word) break;
  }
  table.touch(serviceSlot);
}
