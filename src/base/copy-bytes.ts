/**
 * Copies the parts of a head (names, values, lines). Most are so short that a loop is cheaper than a call out of
 * JavaScript.
 */
const LOOP_BYTES = 32;

/** Copies `from`, from `start` up to `end`, into `to` at `at`. The caller has made room. */
export function copyBytes(from: Buffer, start: number, end: number, to: Buffer, at: number): void {
  if (end - start > LOOP_BYTES) from.copy(to, at, start, end);
  else for (let i = start; i < end; i++) to[at++] = from[i]!;
}
