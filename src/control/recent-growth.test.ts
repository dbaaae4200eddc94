import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RecentGrowth } from './recent-growth.ts';

test('what a count grew by is known for five minutes', () => {
  let count = 100;
  const growth = new RecentGrowth(() => count);
  assert.equal(growth.lately, 0);
  growth.look();
  assert.equal(growth.lately, 0, 'what was before the start is not lately');
  count += 7;
  assert.equal(growth.lately, 7);
  for (let half = 0; half < 9; half++) growth.look();
  assert.equal(growth.lately, 7, 'looked at ten times');
  growth.look();
  assert.equal(growth.lately, 0);
});
