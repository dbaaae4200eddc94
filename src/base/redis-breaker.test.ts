import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RedisBreaker } from './redis-breaker.ts';

/** `random` 1: every open time is the whole of what it may be, and no ramping decision goes through. */
const breaker = (random = 1, ramps = true): RedisBreaker => new RedisBreaker(() => random, ramps);

test('three failures in a row open it, with successes in between they do not', () => {
  const one = breaker();
  for (let i = 0; i < 10; i++) {
    one.failed(i);
    one.failed(i);
    one.succeeded(i);
  }
  assert.equal(one.ask(10), 'yes');
  for (let i = 0; i < 3; i++) one.failed(10);
  assert.equal(one.ask(10), 'no');
});

test('after its time one decision probes, the others stay away until the probe is answered', () => {
  const one = breaker();
  for (let i = 0; i < 3; i++) one.failed(0);
  assert.equal(one.ask(499), 'no');
  assert.equal(one.ask(500), 'probe');
  assert.equal(one.ask(500), 'no');
  one.failed(510);
  assert.equal(one.ask(1_509), 'no', 'twice as long now');
  assert.equal(one.ask(1_510), 'probe');
});

test('decisions come back as a growing share over a second', () => {
  const share = (random: number): number[] => {
    const one = breaker(random);
    for (let i = 0; i < 3; i++) one.failed(0);
    one.ask(1_000);
    one.succeeded(1_000);
    return [0, 200, 500, 800, 999].filter((after) => one.ask(1_000 + after) === 'yes');
  };
  assert.deepEqual(share(0.05), [0, 200, 500, 800, 999]);
  assert.deepEqual(share(0.4), [500, 800, 999]);
  assert.deepEqual(share(0.9), [999]);
  const direct = breaker(1, false);
  for (let i = 0; i < 3; i++) direct.failed(0);
  direct.ask(1_000);
  direct.succeeded(1_000);
  assert.equal(direct.ask(1_000), 'yes');
});

test('a failure while they come back opens it again, for longer; a second without ends it', () => {
  const one = breaker();
  for (let i = 0; i < 3; i++) one.failed(0);
  one.ask(500);
  one.succeeded(500);
  assert.equal(one.state, 'ramping');
  one.failed(600);
  assert.equal(one.state, 'open');
  assert.equal(one.ask(1_599), 'no');
  assert.equal(one.ask(1_600), 'probe');
  one.succeeded(1_600);
  assert.equal(one.ask(2_600), 'yes');
  assert.equal(one.state, 'closed');
  for (let i = 0; i < 3; i++) one.failed(3_000);
  assert.equal(one.ask(3_500), 'probe', 'back to half a second');
});

test('open times differ by chance, between a half and the whole', () => {
  const least = breaker(0);
  for (let i = 0; i < 3; i++) least.failed(0);
  assert.equal(least.ask(249), 'no');
  assert.equal(least.ask(250), 'probe');
});
