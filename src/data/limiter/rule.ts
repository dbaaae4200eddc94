/**
 * One limit, compiled: how a state word of the table is read and what a charge makes of it. Pure arithmetic; table.ts
 * does the sharing. A live word has 31 bits.
 *
 *   gcra     the theoretical arrival time (TAT), modulo 2^31, in units of the rule: one request is worth `units` of
 *            them, exactly, so that no rounding gains or loses a request. `level` is what has not drained yet.
 *   fixed    7 bits of the window's number, 24 bits of count; windows are aligned to the time of day
 *   sliding  the same, one cell for even and one for odd windows: the last window counts by the share that overlaps
 */

import type { KeyHash } from '../../base/key-hash.ts';
import { type Algorithm, MAX_LIMIT, type RuleSpec, ruleProblem } from '../contract/limits.ts';

/** More for a while: the limit times `factor`, then plus `extra`. */
export interface Boost {
  readonly factor: number;
  readonly extra: number;
}

/** A live word, without the sign bit that marks free cells. */
export const WORD_MASK = 0x7fffffff;
const COUNT_BITS = 24;
const COUNT_MASK = 0xffffff;
const WINDOW_MASK = 0x7f;
/** Highest level of a GCRA word: far enough below 2^30 that a difference of two words has a sign. */
const MAX_LEVEL = 2 ** 29;
const NO_BOOST: Boost = { factor: 1, extra: 0 };

export class Rule {
  readonly algorithm: Algorithm;
  readonly spec: RuleSpec;
  /** Sent to callers: units per window, with the boost. */
  readonly limit: number;
  readonly windowMs: number;
  /** Tells the rule from others wherever counters are kept; a boost does not change it. */
  readonly id: string;
  /** Mixed into the key, so that two rules of one caller have two cells. */
  readonly seedA: number;
  readonly seedB: number;

  // gcra
  readonly unitsPerMs: number;
  readonly msPerUnit: number;
  /** How many units one request of the plain rule is. */
  readonly scale: number;
  /** What one request adds to the level. */
  readonly units: number;
  /** Highest level that a request may leave behind. */
  readonly tolerance: number;

  /**
   * `scope` and `by` say whose counter it is; rules with the same scope, key and numbers share their cells, also
   * across reloads. A boosted rule shares the cells of the plain one, so an occasion neither forgets nor forgives.
   */
  constructor(spec: RuleSpec, scope: string, by: string, hash: KeyHash, boost: Boost = NO_BOOST) {
    const problem = ruleProblem(spec);
    if (problem !== undefined) throw new TypeError(problem);
    this.spec = spec;
    this.algorithm = spec.algorithm;
    this.windowMs = spec.windowMs;
    this.limit = boosted(spec.limit, boost);
    this.id = `${scope}\n${by}\n${spec.algorithm}\n${spec.limit}/${spec.windowMs}/${spec.burst}`;
    hash.text(this.id);
    this.seedA = hash.a;
    this.seedB = hash.b;

    const burst = boosted(spec.burst, boost);
    const bits = unitBits(spec, Math.max(burst, this.limit));
    this.unitsPerMs = (2 ** bits * spec.limit) / spec.windowMs;
    this.msPerUnit = 1 / this.unitsPerMs;
    this.scale = 2 ** bits;
    this.units = Math.ceil(this.scale / boost.factor);
    this.tolerance = burst * this.units;
  }

  /** A moment of the table in the rule's units, modulo 2^31. */
  unitsAt(nowMs: number): number {
    const units = Math.floor(nowMs * this.unitsPerMs);
    return (units - Math.floor(units / 2147483648) * 2147483648) | 0;
  }

  /** The number of the window that a moment is in. `alignMs` is the time of day at the table's start. */
  windowAt(nowMs: number, alignMs: number): number {
    return Math.floor((nowMs + alignMs) / this.windowMs);
  }
}

/** What of a GCRA word has not drained yet. */
export function levelOf(word: number, nowUnits: number): number {
  const level = ((word - nowUnits) << 1) >> 1;
  return Math.max(level, 0);
}

export function wordOfLevel(level: number, nowUnits: number): number {
  return (nowUnits + Math.min(level, MAX_LEVEL)) & WORD_MASK;
}

/** The count of a window in a fixed or sliding word; a word of an older window counts nothing. */
export function countOf(word: number, window: number): number {
  return word >>> COUNT_BITS === (window & WINDOW_MASK) ? word & COUNT_MASK : 0;
}

/** How many windows the word is ahead of this one, when another thread's clock reading is newer than ours. */
export function windowsAhead(word: number, window: number): number {
  const ahead = ((word >>> COUNT_BITS) - window) & WINDOW_MASK;
  // A live word is never more than two windows old, so the other half of the circle can only be the future.
  return ahead < 64 ? ahead : 0;
}

export function wordOfCount(count: number, window: number): number {
  return ((window & WINDOW_MASK) << COUNT_BITS) | Math.min(count, COUNT_MASK);
}

function boosted(value: number, boost: Boost): number {
  return Math.min(MAX_LIMIT, Math.max(1, Math.floor(value * boost.factor) + boost.extra));
}

/**
 * As fine as the word allows: 4,096 units a request where there is room, never finer than 0.1 microseconds. It must not
 * depend on a boost, or the boosted rule would misread the cells of the plain one; hence the headroom of 16.
 */
function unitBits(spec: RuleSpec, most: number): number {
  let bits = 12;
  const largest = Math.max(spec.limit, spec.burst) * 16;
  while (bits > 0 && (largest * 2 ** bits > MAX_LEVEL || (2 ** bits * spec.limit) / spec.windowMs > 10_000)) bits--;
  if (most * 2 ** bits > MAX_LEVEL) throw new TypeError(`a boost to ${most} is more than 16 times the limit`);
  return bits;
}
