import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Damping } from './damping.ts';

const SETTINGS = { after: 3, holdMs: 10_000, maxHoldMs: 60_000, windowMs: 600_000 };

describe('damping', () => {
  it('lets the first comebacks in, then holds back twice as long each time, up to the limit', () => {
    const damping = new Damping(SETTINGS, 10);
    const holds = Array.from({ length: 8 }, (_, index) => damping.cameBack('a', index * 1_000));
    assert.deepEqual(holds, [0, 0, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000]);
  });

  it('forgets comebacks that are older than the window', () => {
    const damping = new Damping(SETTINGS, 10);
    for (const nowMs of [0, 1_000, 2_000]) damping.cameBack('a', nowMs);
    assert.equal(damping.count('a', 599_999), 3);
    assert.equal(damping.count('a', 601_000), 1);
    assert.equal(damping.cameBack('a', 610_000), 0);
  });

  it('judges each address by itself', () => {
    const damping = new Damping({ ...SETTINGS, after: 1 }, 10);
    damping.cameBack('a', 0);
    assert.equal(damping.cameBack('b', 0), 10_000);
  });

  it('knows who was here, without holding it against them', () => {
    const damping = new Damping(SETTINGS, 10);
    assert.equal(damping.knows('a'), false);
    damping.left('a');
    assert.deepEqual([damping.knows('a'), damping.count('a', 0)], [true, 0]);
  });

  it('remembers no more addresses than it may, the latest ones', () => {
    const damping = new Damping(SETTINGS, 3);
    for (const key of ['a', 'b', 'c']) damping.left(key);
    damping.cameBack('a', 0);
    damping.left('d');
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].filter((key) => damping.knows(key)),
      ['a', 'c', 'd'],
    );
  });

  it('keeps a bounded number of stamps of an address that never stops', () => {
    const damping = new Damping(SETTINGS, 3);
    for (let time = 0; time < 1_000; time++) damping.cameBack('a', time);
    assert.equal(damping.count('a', 1_000), 32);
    assert.equal(damping.cameBack('a', 1_000), 60_000);
  });
});
