import assert from 'node:assert/strict';
import { it } from 'node:test';
import { candidates, REQUEST } from '../fixtures.suite.ts';
import { algorithmSuite } from './algorithms.suite.ts';
import { random } from './random.ts';

algorithmSuite(random, { options: {} });

it('maps the whole range of a draw onto the weights', () => {
  const list = candidates(1, 2, 1);
  const at = (draw: number): number => random.create({}, () => draw).pick(list, REQUEST);
  assert.deepEqual([0, 0.249, 0.25, 0.749, 0.75, 0.999_999].map(at), [0, 0, 1, 1, 2, 2]);
});
