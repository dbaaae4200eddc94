import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FaultKind } from '../../base/errors.ts';
import { FAULTS } from '../../base/errors.ts';
import { RETRIES, seeded } from '../balancer/fixtures.suite.ts';
import type { FailedAttempt, RetryRequest } from './retry.ts';
import { backoffMs, retryDelayMs } from './retry.ts';

const GET: RetryRequest = { method: 'GET', hasIdempotencyKey: false, bodyReplayable: true };
const POST: RetryRequest = { ...GET, method: 'POST' };

function failed(fault: FaultKind | null, more: Partial<FailedAttempt> = {}): FailedAttempt {
  return { attemptsMade: 1, fault, status: 0, reusedConnection: false, retryAfterSeconds: -1, ...more };
}

describe('what may be sent again', () => {
  const reset = failed(FAULTS.upstreamReset);
  const cases: { name: string; request: RetryRequest; attempt: FailedAttempt; want: boolean }[] = [
    { name: 'GET after a reset', request: GET, attempt: reset, want: true },
    { name: 'POST after a reset', request: POST, attempt: reset, want: false },
    {
      name: 'POST with an Idempotency-Key after a reset',
      request: { ...POST, hasIdempotencyKey: true },
      attempt: reset,
      want: true,
    },
    { name: 'POST of which nothing was sent', request: POST, attempt: failed(FAULTS.connectRefused), want: true },
    {
      name: 'POST after a reset of a reused connection',
      request: POST,
      attempt: failed(FAULTS.upstreamReset, { reusedConnection: true }),
      want: false,
    },
    {
      name: 'a body that cannot be sent again',
      request: { ...GET, bodyReplayable: false },
      attempt: failed(FAULTS.connectRefused),
      want: false,
    },
    { name: 'a fault that is not listed', request: GET, attempt: failed(FAULTS.upstreamMalformed), want: false },
    { name: 'a truncated answer', request: GET, attempt: failed(FAULTS.upstreamTruncated), want: false },
    { name: 'a total timeout', request: GET, attempt: failed(FAULTS.totalTimeout), want: false },
    { name: 'GET after a listed status', request: GET, attempt: failed(null, { status: 503 }), want: true },
    { name: 'GET after another status', request: GET, attempt: failed(null, { status: 500 }), want: false },
    { name: 'POST after a listed status', request: POST, attempt: failed(null, { status: 503 }), want: false },
    {
      name: 'POST with an Idempotency-Key after a listed status',
      request: { ...POST, hasIdempotencyKey: true },
      attempt: failed(null, { status: 503 }),
      want: true,
    },
    { name: 'the last attempt allowed', request: GET, attempt: { ...reset, attemptsMade: 2 }, want: true },
    { name: 'one more than allowed', request: GET, attempt: { ...reset, attemptsMade: 3 }, want: false },
  ];
  for (const { name, request, attempt, want } of cases) {
    it(`${name}: ${want ? 'yes' : 'no'}`, () => {
      assert.equal(retryDelayMs(RETRIES, request, attempt, seeded(1)) >= 0, want);
    });
  }

  it('nothing, with no attempts configured', () => {
    const stale = failed(FAULTS.upstreamReset, { reusedConnection: true });
    assert.equal(retryDelayMs({ ...RETRIES, attempts: 0 }, GET, stale, seeded(1)), -1);
  });

  it('at once when a reused connection was lost, whatever faults are listed', () => {
    const stale = failed(FAULTS.upstreamReset, { reusedConnection: true });
    assert.equal(
      retryDelayMs({ ...RETRIES, faults: [] }, GET, stale, () => 0.99),
      0,
    );
  });
});

describe('an instance whose connection pool is full', () => {
  it('sends to another one at once, whatever the method and the faults listed: nothing was sent', () => {
    for (const fault of [FAULTS.overloaded, FAULTS.queueTimeout])
      assert.equal(
        retryDelayMs({ ...RETRIES, faults: [] }, POST, failed(fault), () => 0.99),
        0,
      );
  });
});

describe('the pause', () => {
  it('is anywhere between nothing and a step that doubles up to its limit', () => {
    const most = (attempt: number): number => backoffMs({ ...RETRIES, backoffBaseMs: 100 }, attempt, () => 0.999_999);
    assert.deepEqual([1, 2, 3, 4, 5, 9].map(most), [99, 199, 399, 799, 999, 999]);
    assert.equal(
      backoffMs(RETRIES, 5, () => 0),
      0,
    );
  });

  it('spreads callers evenly over the step', () => {
    const random = seeded(3);
    const quarters = [0, 0, 0, 0];
    for (let i = 0; i < 4_000; i++)
      quarters[Math.floor(backoffMs({ ...RETRIES, backoffBaseMs: 400 }, 1, random) / 100)]!++;
    for (const count of quarters) assert.ok(Math.abs(count - 1_000) < 5 * Math.sqrt(750), `got ${quarters}`);
  });

  it('is what Retry-After asks for, if that is within the longest pause', () => {
    const at = (retryAfterSeconds: number): number =>
      retryDelayMs({ ...RETRIES, backoffMaxMs: 2_000 }, GET, failed(null, { status: 503, retryAfterSeconds }), () => 0);
    assert.equal(at(-1), 0);
    assert.equal(at(2), 2_000);
    assert.equal(at(3), -1, 'sooner than asked would be against its word');
  });
});
