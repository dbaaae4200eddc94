/** The drill of `npm run cluster:drill`, one short round of it: 99.95 % of all calls are good. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drill } from '../support/cluster-drill.ts';

test('while the queen is killed and cut off and a version is bad, 99.95 % of all calls are good', async (t) => {
  const faults = ['kill-canary', 'bad-check', 'cut'];
  const { calls, good, missed } = await drill(t, { store: 'PostgreSQL', forMs: 0, say: console.log, faults });
  console.log(`${good} of ${calls} calls good`);
  assert.ok(calls > 1_000, `${calls} calls`);
  assert.ok(good / calls >= 0.9995, JSON.stringify([...missed]));
});
