import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HealthState } from './state.ts';
import { initialState, nextState } from './state.ts';

const THRESHOLDS = { healthyThreshold: 2, unhealthyThreshold: 3 };

/** `+` is a good answer, `-` a failure; each takes a second. */
function play(results: string, configuredHealthy = true): HealthState {
  let state = initialState(configuredHealthy, 0);
  [...results].forEach((result, index) => {
    state = nextState(state, { ok: result === '+' }, THRESHOLDS, (index + 1) * 1_000);
  });
  return state;
}

describe('health state', () => {
  const rows = [
    { name: 'holds the configured health before any answer', results: '', status: 'unknown', healthy: true, since: 0 },
    { name: 'is healthy at the first good answer', results: '+', status: 'healthy', healthy: true, since: 1_000 },
    {
      name: 'stays as configured while first failures are few',
      results: '--',
      status: 'unknown',
      healthy: true,
      since: 0,
    },
    {
      name: 'is unhealthy at the third failure in a row',
      results: '---',
      status: 'unhealthy',
      healthy: false,
      since: 3_000,
    },
    { name: 'forgets failures at a good answer', results: '+--+--', status: 'healthy', healthy: true, since: 1_000 },
    { name: 'needs two good answers to come back', results: '---+', status: 'unhealthy', healthy: false, since: 3_000 },
    { name: 'comes back at the second good answer', results: '---++', status: 'healthy', healthy: true, since: 5_000 },
    { name: 'forgets good answers at a failure', results: '---+-+', status: 'unhealthy', healthy: false, since: 3_000 },
    { name: 'keeps its time while nothing changes', results: '+++++', status: 'healthy', healthy: true, since: 1_000 },
    {
      name: 'goes down again after it came back',
      results: '---++---',
      status: 'unhealthy',
      healthy: false,
      since: 8_000,
    },
  ];
  for (const row of rows) {
    it(row.name, () => {
      const state = play(row.results);
      assert.deepEqual([state.status, state.healthy, state.sinceMs], [row.status, row.healthy, row.since]);
    });
  }

  it('brings in an instance configured as unhealthy at its first good answer', () => {
    assert.equal(play('', false).healthy, false);
    assert.equal(play('-', false).healthy, false);
    assert.equal(play('+', false).healthy, true);
  });

  it('counts one kind in a row only', () => {
    assert.deepEqual(
      [play('++-').consecutiveSuccesses, play('++-').consecutiveFailures, play('--+').consecutiveSuccesses],
      [0, 1, 1],
    );
  });
});
