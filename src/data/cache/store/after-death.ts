/**
 * What main does when a worker is gone: what it read and filled is taken back, and its fills end for those who wait. If
 * it died inside the lock of the store, lists may be half changed, and all that nobody reads is made anew.
 */
import type { Entries, Entry } from './entries.ts';
import {
  ABORTED,
  BEFORE,
  BODY_BYTES,
  DYING,
  EMPTY,
  FILLING,
  FIRST_CHUNK,
  FLAGS,
  FREE_ENTRIES,
  FRESH_ENTRY,
  IS_DOOMED,
  KIND,
  LIVE_ENTRIES,
  RESETS,
} from './layout.ts';

/** Under the lock. `named`: what it had pinned. */
export function takeBack(entries: Entries, worker: number, named: readonly Entry[]): void {
  const { words } = entries;
  for (const entry of named) entries.free(entry);
  for (let entry = 1; entry < words[FRESH_ENTRY]!; entry++) {
    const at = entries.at(entry);
    const kind = words[at]! & KIND;
    if (kind !== FILLING && kind !== DYING) continue;
    const wasFilledByIt = endFillOf(entries, worker, at, kind);
    if (kind === FILLING) {
      if (wasFilledByIt) entries.doom(entry, at);
      continue;
    }
    // What it could not free itself any more.
    entries.unlink(entry, at);
    entries.free(entry);
  }
}

/** Those who wait for it see that nobody will write more. False: it was not this worker's to fill. */
function endFillOf(entries: Entries, worker: number, at: number, kind: number): boolean {
  const { words } = entries;
  // Of what is dying only that is still written to which was taken away while it was filled.
  if (words[at + BEFORE] !== worker + 1 || (kind === DYING && (words[at + FLAGS]! & IS_DOOMED) === 0)) return false;
  Atomics.store(words, at + BODY_BYTES, ABORTED);
  entries.progress(at);
  return true;
}

/** Under the lock that it held. What others read or fill keeps its chunks until they are done. */
export function rebuild(entries: Entries, worker: number): void {
  const { words, layout, chains, pins } = entries;
  words.fill(0, layout.heads, layout.heads + layout.buckets);
  words[RESETS]!++;
  entries.queues.clear();
  words[LIVE_ENTRIES] = 0;
  words[FREE_ENTRIES] = 0;
  const kept = new Set<number>();
  for (let entry = 1; entry < words[FRESH_ENTRY]!; entry++) {
    const at = entries.at(entry);
    const kind = words[at]! & KIND;
    if (kind === FILLING || kind === DYING) endFillOf(entries, worker, at, kind);
    if (kind !== EMPTY && pins.names(entry)) {
      if (kind === FILLING) {
        words[at + FLAGS]! |= IS_DOOMED;
        entries.progress(at);
      }
      entries.setKind(at, DYING);
      for (let chunk = words[at + FIRST_CHUNK]!; chunk !== 0 && !kept.has(chunk); chunk = chains.next(chunk))
        kept.add(chunk);
      continue;
    }
    words[at + FIRST_CHUNK] = 0;
    entries.setKind(at, EMPTY);
    entries.give(entry);
  }
  chains.rebuild(kept);
}
