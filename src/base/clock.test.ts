import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from './clock.ts';

test('the time of day is whole milliseconds, close to what the system says, also when carried on', () => {
  for (let i = 0; i < 200_000; i++) {
    const before = Date.now();
    const wallMs = systemClock.wallMs();
    const after = Date.now();
    assert.ok(Number.isInteger(wallMs));
    assert.ok(wallMs >= before - 2 && wallMs <= after + 2, `${wallMs} is not from ${before} to ${after}`);
  }
});
