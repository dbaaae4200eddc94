/**
 * Long work done beside other work: a generator that yields wherever it may be interrupted, run either at once or a
 * slice at a time, with a turn of the event loop between two slices, in which whatever has come meanwhile is done.
 */
import { setImmediate as turn } from 'node:timers/promises';

/** Work that gives a `Result` in the end. Between two yields it should take well below a millisecond. */
export type Steps<Result> = Generator<undefined, Result, undefined>;

/**
 * How long a slice takes, in milliseconds. Other work waits at most this and one step; a request does so once for each
 * time that something of it arrives, from the client and from the service.
 */
const SLICE_MS = 1;

export function atOnce<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** Work that ends after less than this is not worth a turn of its own. */
const SHORT_MS = 0.2;

/**
 * The first slice runs before this returns. Rejects with what the work throws. Behind the last slice there is a turn
 * too: the caller goes on with other work, which would make one long slice of the two.
 */
export async function inSlices<Result>(steps: Steps<Result>): Promise<Result> {
  for (;;) {
    const begin = performance.now();
    let now: number;
    do {
      const { done, value } = steps.next();
      now = performance.now();
      if (done !== true) continue;
      if (now - begin > SHORT_MS) await turn();
      return value;
    } while (now - begin < SLICE_MS);
    await turn();
  }
}

/** `change` of each item, a step for each. */
export function* mapSteps<Item, Result>(
  items: readonly Item[],
  change: (item: Item, index: number) => Result,
): Steps<Result[]> {
  const results: Result[] = [];
  for (let i = 0; i < items.length; i++) {
    results.push(change(items[i]!, i));
    yield;
  }
  return results;
}

/** Items that are sorted in one step. */
const RUN = 256;
/** Items that are merged in one step. */
const MERGED = 1_024;

/** As `toSorted`, stable. */
export function* sortSteps<Item>(items: readonly Item[], compare: (a: Item, b: Item) => number): Steps<Item[]> {
  let runs: Item[][] = [];
  for (let at = 0; at < items.length; at += RUN) {
    runs.push(items.slice(at, at + RUN).sort(compare));
    yield;
  }
  while (runs.length > 1) {
    const merged: Item[][] = [];
    for (let i = 0; i < runs.length; i += 2) {
      const second = runs[i + 1];
      merged.push(second === undefined ? runs[i]! : yield* mergeSteps(runs[i]!, second, compare));
    }
    runs = merged;
  }
  return runs[0] ?? [];
}

function* mergeSteps<Item>(
  first: readonly Item[],
  second: readonly Item[],
  compare: (a: Item, b: Item) => number,
): Steps<Item[]> {
  const merged: Item[] = [];
  let a = 0;
  let b = 0;
  while (a < first.length && b < second.length) {
    merged.push(compare(first[a]!, second[b]!) <= 0 ? first[a++]! : second[b++]!);
    if (merged.length % MERGED === 0) yield;
  }
  for (; a < first.length; a++) merged.push(first[a]!);
  for (; b < second.length; b++) merged.push(second[b]!);
  return merged;
}
