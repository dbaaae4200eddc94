/**
 * How old connections may become: each a little less than the limit, so that those of one burst do not all end, and are
 * not all made anew, in the same second.
 */

/** What the youngest ends have of the limit. */
const LEAST_SHARE = 0.9;
/** Multiples of it are spread evenly over 0 to 1, however many there are. */
const GOLDEN = 0.618_033_988_749_895;

let turn = 0;

/** A connection's share of the limit, for all its life. */
export function nextAgeShare(): number {
  turn = (turn + GOLDEN) % 1;
  return LEAST_SHARE + (1 - LEAST_SHARE) * turn;
}

interface Aging {
  readonly openedMs: number;
  readonly ageShare: number;
}

/** `maxAgeMs` 0: there is no limit. */
export function isTooOld(connection: Aging, maxAgeMs: number, nowMs: number): boolean {
  return maxAgeMs > 0 && nowMs - connection.openedMs >= connection.ageShare * maxAgeMs;
}
