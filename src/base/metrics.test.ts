import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CELLS, classicBuckets } from './duration-cells.ts';
import { createMetricsBuffer, MetricsBank } from './metrics.ts';
import { MetricsReader } from './metrics-reader.ts';

const shape = { workers: 2, routes: 3, instances: 3 };

function parts() {
  const buffer = createMetricsBuffer(shape);
  return {
    reader: new MetricsReader(buffer),
    banks: [new MetricsBank(buffer, 0), new MetricsBank(buffer, 1)] as const,
  };
}

const buckets = (add: (cells: Float64Array) => void): number[] => {
  const cells = new Float64Array(CELLS);
  add(cells);
  return classicBuckets(cells);
};

describe('numbers of the workers', () => {
  it('are the sums of what each counted, of each route and instance apart', () => {
    const { reader, banks } = parts();
    banks[0].route(1, 200, 0.002, 3, 10);
    banks[1].route(1, 503, 20, 0, 5);
    banks[1].route(2, 299, 0.5, 1, 1);
    banks[0].instance(1, 200, 0.0004);
    banks[0].instance(1, 0, 0);
    const { byStatus, total, sumSeconds, bytesIn, bytesOut } = reader.route(1);
    assert.deepEqual(
      [[...byStatus], total, sumSeconds, bytesIn, bytesOut],
      [
        [
          ['200', 1],
          ['503', 1],
        ],
        2,
        20.002,
        3,
        15,
      ],
    );
    assert.deepEqual([...reader.route(2).byStatus], [['2xx', 1]]);
    assert.deepEqual(
      buckets((cells) => reader.addRouteCells(1, cells)),
      [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    );
    assert.deepEqual(
      buckets((cells) => reader.addInstanceCells(1, cells)),
      [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    );
    assert.deepEqual([reader.instance(1).total, reader.instance(1).faults], [1, 1]);
    assert.deepEqual([reader.number('bytes_received'), reader.number('bytes_sent')], [4, 16]);
    const sum = { requests: 0, errors: 0, seconds: 0 };
    assert.deepEqual([reader.addRoute(0, sum), reader.addRoute(1, sum), reader.addRoute(2, sum)], [false, true, true]);
    assert.deepEqual(sum, { requests: 3, errors: 1, seconds: 20.502 });
  });

  it('of a slot that gets another owner begin at nothing, durations too, and neighbours keep theirs', () => {
    const { reader, banks } = parts();
    for (const slot of [1, 2]) {
      banks[0].route(slot, 200, 1, 1, 1);
      banks[1].route(slot, 200, 1, 1, 1);
      banks[0].instance(slot, 200, 1);
    }
    reader.clearRoute(1);
    reader.clearInstance(2);
    assert.equal(reader.route(1).total, 0);
    assert.equal(
      buckets((cells) => reader.addRouteCells(1, cells)).some((count) => count > 0),
      false,
    );
    assert.equal(buckets((cells) => reader.addRouteCells(2, cells))[9], 2);
    assert.equal(
      buckets((cells) => reader.addInstanceCells(2, cells)).some((count) => count > 0),
      false,
    );
    assert.equal(buckets((cells) => reader.addInstanceCells(1, cells))[9], 1);
  });

  it('of a slot that is none are counted with the rest', () => {
    const { reader, banks } = parts();
    banks[0].route(shape.routes, 200, 1, 0, 0);
    banks[0].instance(99, 200, 1);
    assert.deepEqual([reader.route(0).total, reader.instance(0).total], [1, 1]);
  });
});
