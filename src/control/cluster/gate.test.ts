/** When the gate of a rollout closes, and when it must not. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { binomial, fisher, type GateSample, judge, since } from './gate.ts';

const SETTINGS = { minRequests: 50, significance: 0.01, latencyRatio: 2 };
const NONE = Array.from({ length: 14 }, () => 0);
/** All requests in one bucket of the latency histogram. */
const at = (bucket: number, count: number) => NONE.with(bucket, count);

describe('fisher', () => {
  // Worked out in whole numbers: the sum of C(n, k) C(m, a + b - k) over k >= a, by C(n + m, a + b).
  for (const [a, n, b, m, want] of [
    [3, 4, 1, 4, 0.24285714285714285],
    [10, 50, 1, 50, 0.0038901956313959884],
    [0, 100, 0, 100, 1],
    [5, 1_000, 5, 1_000, 0.6233555730949242],
    [40, 200, 20, 400, 2.5784212349925456e-8],
  ] as const)
    test(`${a} of ${n} against ${b} of ${m}`, () => {
      const got = fisher(a, n, b, m);
      assert.ok(Math.abs(got - want) <= want * 1e-5, `got ${got}, want ${want}`);
    });
});

describe('binomial', () => {
  // Worked out in whole numbers: the sum of C(n, k) 19^(n - k) over k, by 20^n.
  for (const [k, n, want] of [
    [5, 5, 3.125e-7],
    [3, 10, 0.0115035644],
    [0, 7, 1],
  ] as const)
    test(`${k} or more of ${n} at 5 %`, () => {
      const got = binomial(k, n, 0.05);
      assert.ok(Math.abs(got - want) <= want * 1e-6, `got ${got}, want ${want}`);
    });
});

const failing = (faults: number, requests: number) => ({ requests, faults, buckets: NONE });

describe('judge with little traffic', () => {
  for (const { name, canary, others, before = null, closed, unjudged } of [
    { name: '49 of 49 against 0 of 49', canary: failing(49, 49), others: failing(0, 49), closed: true },
    { name: '10 of 10 against 0 of 10', canary: failing(10, 10), others: failing(0, 10), closed: true },
    { name: '10 of 10 where nobody else has traffic', canary: failing(10, 10), others: failing(0, 0), closed: true },
    { name: '6 of 12 against 0 of 40', canary: failing(6, 12), others: failing(0, 40), closed: true },
    { name: '2 of 2 against 0 of 1,000: one client', canary: failing(2, 2), others: failing(0, 1_000), unjudged: true },
    { name: '1 of 50 against 0 of 9,000: one connection', canary: failing(1, 50), others: failing(0, 9_000) },
    {
      name: '10 of 10 against 10 of 10: it is not the version',
      canary: failing(10, 10),
      others: failing(10, 10),
      unjudged: true,
    },
    { name: '60 of 100 against 6 of 10: it is not the version', canary: failing(60, 100), others: failing(6, 10) },
    { name: '0 of 49', canary: failing(0, 49), others: failing(0, 1_000), unjudged: true },
    {
      name: 'all run it and a tenth fails, as before',
      canary: failing(100, 1_000),
      others: failing(0, 0),
      before: failing(50, 500),
    },
    {
      name: 'all run it and a third fails, before none did',
      canary: failing(300, 1_000),
      others: failing(0, 0),
      before: failing(0, 500),
      closed: true,
    },
    {
      name: 'all run it and 0.3 % fail, 0.1 % before: that is another time',
      canary: failing(300, 100_000),
      others: failing(0, 0),
      before: failing(50, 50_000),
    },
  ] as {
    name: string;
    canary: GateSample;
    others: GateSample;
    before?: GateSample;
    closed?: boolean;
    unjudged?: boolean;
  }[])
    test(`${name}: ${closed === true ? 'closed' : unjudged === true ? 'not judged' : 'open'}`, () => {
      const verdict = judge(canary, others, SETTINGS, before);
      assert.deepEqual(
        [verdict.closed !== null, verdict.unjudged !== null],
        [closed ?? false, unjudged ?? false],
        JSON.stringify(verdict),
      );
    });
});

describe('judge', () => {
  for (const { name, canary, others, closed } of [
    {
      name: 'stays open for a 99th percentile far above the others, below the least number of requests',
      canary: { requests: 49, faults: 0, buckets: at(8, 49) },
      others: { requests: 1_000, faults: 0, buckets: at(3, 1_000) },
      closed: null,
    },
    {
      name: 'closes for many faults here and few elsewhere',
      canary: { requests: 200, faults: 30, buckets: NONE },
      others: { requests: 2_000, faults: 5, buckets: NONE },
      closed: /30 of 200 requests/,
    },
    {
      name: 'stays open when all fail alike: it is not the version',
      canary: { requests: 200, faults: 60, buckets: NONE },
      others: { requests: 2_000, faults: 640, buckets: NONE },
      closed: null,
    },
    {
      name: 'closes for a 99th percentile far above the others',
      canary: { requests: 200, faults: 0, buckets: at(8, 200) },
      others: { requests: 2_000, faults: 0, buckets: at(3, 2_000) },
      closed: /99th percentile/,
    },
    {
      name: 'stays open for one slow request of few: that is luck',
      canary: { requests: 60, faults: 0, buckets: at(3, 59).with(8, 1) },
      others: { requests: 2_000, faults: 0, buckets: at(3, 2_000) },
      closed: null,
    },
    {
      name: 'closes for one slow request in twenty where the others have none',
      canary: { requests: 200, faults: 0, buckets: at(3, 190).with(8, 10) },
      others: { requests: 2_000, faults: 0, buckets: at(3, 2_000) },
      closed: /99th percentile/,
    },
    {
      name: 'stays open for twice as long where both are quick',
      canary: { requests: 200, faults: 0, buckets: at(3, 200) },
      others: { requests: 2_000, faults: 0, buckets: at(1, 2_000) },
      closed: null,
    },
    {
      name: 'closes for a share of faults where nobody else has traffic',
      canary: { requests: 100, faults: 20, buckets: NONE },
      others: { requests: 0, faults: 0, buckets: NONE },
      closed: /20.0 %/,
    },
  ])
    test(name, () => {
      const got = judge(canary, others, SETTINGS).closed;
      if (closed === null) assert.equal(got, null);
      else assert.match(got ?? '', closed);
    });
});

test('counters that fell are those of a process that started anew', () => {
  const before = { requests: 1_000, faults: 10, buckets: [500, 500], workerRestarts: 0 };
  assert.deepEqual(since(before, { requests: 1_100, faults: 12, buckets: [550, 550], workerRestarts: 0 }), {
    requests: 100,
    faults: 2,
    buckets: [50, 50],
  });
  assert.equal(since(before, { requests: 7, faults: 1, buckets: [7, 0], workerRestarts: 0 }).requests, 7);
});
