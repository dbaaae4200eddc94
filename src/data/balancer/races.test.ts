import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { createInstanceTable, InstanceTable } from '../contract/instance-table.ts';
import { readServiceState } from '../contract/service-state.ts';
import { settings } from './fixtures.suite.ts';
import type { RaceStart } from './races.suite.ts';

// The same numbers as in races.suite.ts, which cannot be imported outside of a worker.
const WORKERS = 3;
const COUNTS = 60_000;
const ROUNDS = 400;
const PROBES = 3;
const LIMIT = 5;
const TALLY = 3;
const WORST = 4;
const WRONG = 5;

function spawn(parts: Pick<RaceStart, 'scenario' | 'index' | 'table' | 'common'>): Worker {
  const workerData: RaceStart = { ...parts, workers: WORKERS };
  return new Worker(new URL('./races.suite.ts', import.meta.url), { workerData });
}

/** Runs the scenario in all workers; gives what each returned. */
async function race(scenario: RaceStart['scenario']) {
  const table = createInstanceTable();
  const common = new SharedArrayBuffer(64);
  const ends = Array.from({ length: WORKERS }, async (_, index) => {
    const worker = spawn({ scenario, index, table, common });
    const [result] = (await once(worker, 'message')) as [number];
    await worker.terminate();
    return result;
  });
  const results = await Promise.all(ends);
  return {
    results,
    sum: results.reduce((a, b) => a + b, 0),
    common: new Int32Array(common),
    table: new InstanceTable(table),
  };
}

describe('several threads on one table', () => {
  it('never hold more places of an instance than its limit, and give all back', async () => {
    const { sum, common, table } = await race('limit');
    assert.ok(common[WORST]! <= LIMIT, `${common[WORST]} held at once`);
    assert.ok(sum > 0);
    assert.equal(table.instanceInFlight(1), 0);
    for (let worker = 0; worker < WORKERS; worker++) table.clearWorker(worker);
    assert.equal(table.instanceInFlight(1), 0, 'no bank holds anything');
  });

  it('let exactly as many probes through a half-open breaker as it may, each time it is probed', async () => {
    const { sum, common } = await race('probes');
    assert.ok(common[WORST]! <= PROBES, `${common[WORST]} probes in one round`);
    // In the first round the breaker is still closed, and nothing is a probe.
    assert.equal(sum, PROBES * (ROUNDS - 1));
    assert.equal(common[WRONG], 1, 'the first round apart, each ended in the state that its probes meant');
  });

  it('take no more from the retry budget than its share of all requests', async () => {
    const { sum } = await race('budget');
    const share = 0.2 * WORKERS * COUNTS;
    assert.ok(sum <= share && sum >= share - WORKERS, `took ${sum} of ${share}`);
  });

  it('lose no count when a period begins', async () => {
    const { results } = await race('window');
    assert.deepEqual(results, Array(WORKERS).fill(WORKERS * COUNTS));
  });

  it('never eject more than the largest share, and tell of each ejection once', async () => {
    const { sum, common } = await race('ejection');
    assert.ok(common[WORST]! <= 2, `${common[WORST]} of 4 were out`);
    assert.equal(sum, common[TALLY]);
    assert.ok(sum > ROUNDS, `only ${sum} ejections in ${ROUNDS} rounds`);
  });

  it('leave nothing in flight when one is stopped at any moment', async () => {
    for (let i = 0; i < 12; i++) {
      const buffer = createInstanceTable();
      const table = new InstanceTable(buffer);
      const worker = spawn({ scenario: 'endless', index: 7, table: buffer, common: new SharedArrayBuffer(64) });
      await once(worker, 'message');
      table.enterInstance(1, 0, 0);
      while (table.serviceInFlight(1) < 1_000 * (i + 1)) await new Promise((resolve) => setTimeout(resolve, 1));
      await worker.terminate();
      table.clearWorker(7);
      const { inFlight, instances } = readServiceState(table, settings());
      assert.deepEqual([inFlight, instances[0]!.inFlight], [0, 1], 'only what the living hold');
    }
  });
});
