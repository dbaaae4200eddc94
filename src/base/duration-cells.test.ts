import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  CELL_BOUNDS,
  CELLS,
  CLASSIC_OF_CELL,
  cellOf,
  classicBuckets,
  LATENCY_BUCKETS,
  NATIVE_OF_CELL,
  nativeBuckets,
  ZERO_BUCKET,
  ZERO_THRESHOLD,
} from './duration-cells.ts';

/** The next double above and below. */
function neighbours(value: number): [below: number, above: number] {
  const double = new Float64Array([value]);
  const bits = new BigInt64Array(double.buffer);
  bits[0]! -= 1n;
  const below = double[0]!;
  bits[0]! += 2n;
  return [below, double[0]!];
}

const slow = (seconds: number): number => {
  const at = CELL_BOUNDS.findIndex((bound) => seconds <= bound);
  return at < 0 ? CELL_BOUNDS.length : at;
};

describe('cells of durations', () => {
  it('end with their bounds, to the last bit, wherever a duration falls', () => {
    assert.equal(CELLS, new Set([...CELL_BOUNDS]).size + 1);
    for (const [cell, bound] of CELL_BOUNDS.entries()) {
      const [below, above] = neighbours(bound);
      assert.deepEqual([below, bound, above].map(cellOf), [cell, cell, cell + 1], `${bound}`);
    }
    for (let seconds = 1e-7; seconds < 1e6; seconds *= 1.0007)
      assert.equal(cellOf(seconds), slow(seconds), `${seconds}`);
    for (let part = 0; part < 26 * 256; part++) {
      const edge = 2 ** (-14 + (part >> 8)) * (1 + (part & 255) / 256);
      for (const seconds of [edge, ...neighbours(edge)]) assert.equal(cellOf(seconds), slow(seconds), `${seconds}`);
    }
  });

  it('take what is no duration as none', () => {
    for (const odd of [0, -0, -1, -1e-9, -1e9, Number.NaN, Number.NEGATIVE_INFINITY, 5e-324])
      assert.equal(cellOf(odd), 0, `${odd}`);
    assert.equal(cellOf(Number.POSITIVE_INFINITY), CELLS - 1);
  });

  it('are each in one bucket of the classic and one of the native histogram', () => {
    for (let seconds = 1e-6; seconds < 1e4; seconds *= 1.003) {
      const cell = cellOf(seconds);
      const classic = LATENCY_BUCKETS.findIndex((bound) => seconds <= bound);
      assert.equal(CLASSIC_OF_CELL[cell], classic < 0 ? LATENCY_BUCKETS.length : classic);
      const native = NATIVE_OF_CELL[cell]!;
      if (seconds <= ZERO_THRESHOLD) assert.equal(native, ZERO_BUCKET);
      else if (seconds > 4_096) assert.equal(native, 1_024 * 8 + 1);
      else assert.ok(2 ** ((native - 1) / 8) < seconds && seconds <= 2 ** (native / 8) * (1 + 1e-15), `${seconds}`);
    }
  });

  it('add up to both histograms', () => {
    const cells = new Float64Array(CELLS);
    const durations = [0.00001, 0.001, 0.0010001, 0.0011, 0.25, 0.2500001, 3, 11, 90, 5_000];
    for (const seconds of durations) cells[cellOf(seconds)]! += 1;
    assert.deepEqual(classicBuckets(cells), [2, 2, 0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 3]);
    const { zero, indexes, counts } = nativeBuckets(cells);
    assert.equal(zero, 1);
    // 0.001, 0.0010001 and 0.0011 are in two buckets: the classic bound between them divides one of them.
    assert.deepEqual(
      indexes.map((index, i) => [index, counts[i]]),
      [
        [-79, 2],
        [-78, 1],
        [-16, 1],
        [-15, 1],
        [13, 1],
        [28, 1],
        [52, 1],
        [8_193, 1],
      ],
    );
  });
});
