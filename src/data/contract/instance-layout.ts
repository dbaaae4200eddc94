/**
 * Where each word of the instance table lies. All words are Int32. A record starts on a cache line (16 words) and its
 * first line holds what every request writes, the second what is mostly read, so that readers do not wait for writers.
 * Only data/contract/instance-table.ts and the parts of the data plane that own a group of words import this file.
 *
 *   header | services: 1,024 records | instances: 8,192 records | banks: one per worker
 *
 * The buffer is some 11 MB of address space; the system gives memory only to pages that are written.
 */
import { MAX_INSTANCES, MAX_SERVICES, MAX_WORKERS } from './shared.ts';

/** Most buckets of a breaker's rolling window. */
export const MAX_BREAKER_BUCKETS = 60;
/** Most probes that a half-open breaker may let through: ten bits of its word. */
export const MAX_HALF_OPEN_PROBES = 1_023;
/** Words of one bucket of a rolling window: epoch, total, marked (errors, or retries). */
export const BUCKET_WORDS = 3;

const BREAKER_WINDOW_WORDS = MAX_BREAKER_BUCKETS * BUCKET_WORDS;

/** Header: magic word, then the process-wide start as a Float64 at byte 8. */
export const MAGIC_AT = 0;
export const MAGIC = 0x67_68_69_31;
export const START_FLOAT_AT = 1;
const HEADER_WORDS = 16;

/** Words of a service record. */
export const SERVICE = {
  inFlight: 0,
  waiting: 1,
  /** Counts up with every change that makes a list of usable instances stale. */
  version: 16,
  tag: 17,
  breakerWord: 18,
  breakerSince: 19,
  /** Interval that the error-rate comparison was last done for. */
  ejectionEpoch: 20,
  counters: 32,
  budgetWindow: 48,
  connections: 80,
  breakerWindow: 96,
  size: roundedUp(96 + BREAKER_WINDOW_WORDS),
} as const;

/** Seconds that the retry budget looks back over, one bucket each. */
export const BUDGET_BUCKETS = 10;
export const BUDGET_BUCKET_MS = 1_000;

/** Words of an instance record. */
export const INSTANCE = {
  inFlight: 0,
  consecutiveFaults: 1,
  /** Two buckets: this interval and the one before. */
  ejectionWindow: 2,
  tag: 16,
  service: 17,
  health: 18,
  ejectedUntil: 19,
  /** How often in a row it was ejected; the ejection time grows with it. */
  ejectionStreak: 20,
  /** When it came back, for slow start; 0 for never. */
  recoveredAt: 21,
  breakerWord: 22,
  breakerSince: 23,
  ejections: 24,
  breakerOpenings: 25,
  breakerWindow: 32,
  size: roundedUp(32 + BREAKER_WINDOW_WORDS),
} as const;

export const EJECTION_BUCKETS = 2;

/** Bits of the health word. `DOWN` is the prober's (or the configuration's), `EJECTED` the workers'. */
export const DOWN = 1;
export const DRAINING = 2;
export const EJECTED = 4;

const SERVICES_AT = HEADER_WORDS;
const INSTANCES_AT = SERVICES_AT + MAX_SERVICES * SERVICE.size;
const BANKS_AT = INSTANCES_AT + MAX_INSTANCES * INSTANCE.size;

/** One worker's own counts: in flight by instance, in flight by service, waiting by service. */
export const BANK = {
  instances: 0,
  services: MAX_INSTANCES,
  waiting: MAX_INSTANCES + MAX_SERVICES,
  size: MAX_INSTANCES + 2 * MAX_SERVICES,
} as const;

export const TABLE_BYTES: number = (BANKS_AT + MAX_WORKERS * BANK.size) * 4;

/** To whole cache lines of 16 words. */
function roundedUp(words: number): number {
  return (words + 15) & ~15;
}

export function serviceAt(slot: number): number {
  return SERVICES_AT + slot * SERVICE.size;
}

export function instanceAt(slot: number): number {
  return INSTANCES_AT + slot * INSTANCE.size;
}

export function bankAt(worker: number): number {
  return BANKS_AT + worker * BANK.size;
}
