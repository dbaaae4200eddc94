/**
 * Cells in which durations are counted: one for each stretch between two neighbouring bounds of two histograms, the
 * classic one of Prometheus (`LATENCY_BUCKETS`) and its native one (schema 3: eight buckets for each doubling, so one
 * is 9 % wide). Both are exact sums of cells, so a duration is counted once, by one addition.
 *
 * The native one reaches from 61 microseconds (2^-14 s; what is shorter is in its zero bucket) to 68 minutes (2^12 s;
 * what is longer is in its bucket for infinity).
 */

/** Upper bounds in seconds; one more bucket is above them all. */
export const LATENCY_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

export const NATIVE_SCHEMA = 3;
const PER_DOUBLING = 2 ** NATIVE_SCHEMA;
const LOWEST = -14;
const HIGHEST = 12;
/** Up to this a duration is in the zero bucket, in seconds. */
export const ZERO_THRESHOLD: number = 2 ** LOWEST;
const LONGEST = 2 ** HIGHEST;
/** Native bucket `i` holds what is above 2^((i - 1) / 8) and not above 2^(i / 8) seconds. */
const FIRST_NATIVE = LOWEST * PER_DOUBLING + 1;
const LAST_NATIVE = HIGHEST * PER_DOUBLING;
/** Of a cell in the zero bucket. */
export const ZERO_BUCKET: number = FIRST_NATIVE - 1;
/** The bucket behind the last one that has a finite bound: 2^1024 seconds. */
const INFINITY_BUCKET = 1_024 * PER_DOUBLING + 1;

/** The same double for the same bound, whole doublings exactly. */
function nativeBound(index: number): number {
  const doublings = Math.floor(index / PER_DOUBLING);
  return 2 ** doublings * 2 ** ((index - doublings * PER_DOUBLING) / PER_DOUBLING);
}

/** Upper bounds of the cells, in seconds and with the bound itself; one more cell is above them all. */
export const CELL_BOUNDS: Float64Array = Float64Array.from(
  new Set([
    ...LATENCY_BUCKETS,
    ...Array.from({ length: LAST_NATIVE - FIRST_NATIVE + 2 }, (_, i) => nativeBound(ZERO_BUCKET + i)),
  ]),
).sort();
export const CELLS: number = CELL_BOUNDS.length + 1;
const ABOVE = CELL_BOUNDS.length;

/** The bucket of the classic histogram that a cell is in; `LATENCY_BUCKETS.length` is the one above them all. */
export const CLASSIC_OF_CELL: Uint8Array = Uint8Array.from({ length: CELLS }, (_, cell) => {
  const at = LATENCY_BUCKETS.findIndex((bound) => (CELL_BOUNDS[cell] ?? Number.POSITIVE_INFINITY) <= bound);
  return at < 0 ? LATENCY_BUCKETS.length : at;
});

/** The same of the native one: `ZERO_BUCKET`, or the index of a bucket. */
export const NATIVE_OF_CELL: Int16Array = nativeOfCell();

/** Every thread does this when it starts, so in one pass. */
function nativeOfCell(): Int16Array {
  const natives = new Int16Array(CELLS);
  let index = ZERO_BUCKET;
  for (let cell = 0; cell < ABOVE; cell++) {
    while (nativeBound(index) < CELL_BOUNDS[cell]!) index++;
    natives[cell] = index;
  }
  natives[ABOVE] = INFINITY_BUCKET;
  return natives;
}

/*
 * Each doubling is cut into 128 equal parts, which a whole number of 2^-25 s (of 2^-19 s from 64 s on) names by its
 * highest eight bits. A part knows the first cell it is in; at most one bound is inside of it, so one comparison gives
 * the right cell. Few parts have one, so it is foretold well. The numbers are written out below: a constant would be
 * looked up on each call, which takes as long as the rest.
 */
const PARTS = 128;

const firstCell: Uint8Array = cellsOfParts();

function cellsOfParts(): Uint8Array {
  const cells = new Uint8Array((HIGHEST - LOWEST) * PARTS);
  let cell = 0;
  for (let part = 0; part < cells.length; part++) {
    const from = 2 ** (LOWEST + Math.floor(part / PARTS)) * (1 + (part % PARTS) / PARTS);
    while (CELL_BOUNDS[cell]! < from) cell++;
    cells[part] = cell;
  }
  return cells;
}

const ends = CELL_BOUNDS;

/** The cell of a duration in seconds; what is no number or negative counts as nothing. */
export function cellOf(seconds: number): number {
  if (seconds >= 64) return longCell(seconds);
  const units = (seconds * 0x200_0000) | 0;
  // 2^-14 s.
  if (units < 2_048) return 0;
  const shift = 24 - Math.clz32(units);
  // `units >>> shift` is 128 or more, and the lowest doubling has a shift of 4.
  const cell = firstCell[((shift - 5) << 7) + (units >>> shift)]!;
  return seconds > ends[cell]! ? cell + 1 : cell;
}

function longCell(seconds: number): number {
  if (seconds >= LONGEST) return seconds > LONGEST ? ABOVE : ABOVE - 1;
  const units = (seconds * 0x8_0000) | 0;
  const shift = 24 - Math.clz32(units);
  const cell = firstCell[((shift + 1) << 7) + (units >>> shift)]!;
  return seconds > ends[cell]! ? cell + 1 : cell;
}

/** Counts by classic bucket, not cumulative, of counts by cell. */
export function classicBuckets(cells: ArrayLike<number>): number[] {
  const buckets = new Array<number>(LATENCY_BUCKETS.length + 1).fill(0);
  for (let cell = 0; cell < CELLS; cell++) buckets[CLASSIC_OF_CELL[cell]!]! += cells[cell]!;
  return buckets;
}

/** Counts of native buckets that have any, in order of their index, and of the zero bucket. */
export interface NativeBuckets {
  readonly zero: number;
  readonly indexes: readonly number[];
  readonly counts: readonly number[];
}

/** Of counts by cell. */
export function nativeBuckets(cells: ArrayLike<number>): NativeBuckets {
  let zero = 0;
  const indexes: number[] = [];
  const counts: number[] = [];
  for (let cell = 0; cell < CELLS; cell++) {
    const count = cells[cell]!;
    if (count === 0) continue;
    const index = NATIVE_OF_CELL[cell]!;
    if (index === ZERO_BUCKET) zero += count;
    else if (indexes.at(-1) === index) counts[counts.length - 1]! += count;
    else {
      indexes.push(index);
      counts.push(count);
    }
  }
  return { zero, indexes, counts };
}
