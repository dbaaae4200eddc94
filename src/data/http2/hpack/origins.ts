/**
 * Where a field line comes from, as a number: an entry of the static table by its index, one that a decoder has put into
 * its dynamic table by a number that no other line of this thread gets. Two lines of the same origin are the same line,
 * so that an encoder which has met one of them finds it in its table without looking at a byte. 0: it is not known.
 */
import { STATIC_COUNT } from './static-table.ts';

let next = STATIC_COUNT + 1;

export function newOrigin(): number {
  return next++;
}
