/** Rates on the page of services, from the counts of two readings. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

// The console is plain JavaScript for browsers, without types.
const { InstanceRates } = await import('../../console/instance-rates.js' as string);

type Counts = readonly [requests: number, errors: number, seconds: number];
const UNKNOWN = { perSecond: null, share: null, errors: null, meanMs: null };

/** A reading at a time in milliseconds: counts by instance, of a service that has so many. */
function reading(at: number, counts: Readonly<Record<string, Counts>>, total = Object.keys(counts).length) {
  const instances = Object.entries(counts).map(([id, [requests, errors, seconds]]) => ({
    id,
    traffic: { requests, errors, seconds },
  }));
  return { at, services: [{ instances, total }] };
}

test('rates are of the time between two readings of the instance', () => {
  const rates = new InstanceRates();
  rates.take(reading(1_000, { a: [100, 10, 5], b: [50, 0, 1] }));
  assert.deepEqual(rates.of('a'), UNKNOWN);
  const next = reading(3_000, { a: [130, 13, 8], b: [60, 0, 1.1] });
  rates.take(next);
  rates.take(next);
  assert.deepEqual(rates.of('a'), { perSecond: 15, share: 75, errors: 10, meanMs: 100 });
  assert.equal(rates.of('b').share, 25);
  rates.take(reading(5_000, { a: [130, 13, 8], b: [70, 0, 1.2] }));
  assert.deepEqual(rates.of('a'), { ...UNKNOWN, perSecond: 0 });
});

test('an instance that a search hid for a minute has no rate of two seconds when it is back', () => {
  const rates = new InstanceRates();
  rates.take(reading(1_000, { a: [0, 0, 0], b: [0, 0, 0] }));
  rates.take(reading(3_000, { a: [10, 0, 1], b: [10, 0, 1] }));
  for (let at = 5_000; at < 65_000; at += 2_000) rates.take(reading(at, { a: [20, 0, 1] }, 2));
  assert.equal(rates.of('a').share, null, 'while one is left out a share is not known');
  assert.equal(rates.of('a').perSecond, 0);
  rates.take(reading(65_000, { a: [30, 0, 2], b: [6_000, 0, 60] }));
  assert.deepEqual(rates.of('b'), UNKNOWN);
  assert.deepEqual([rates.of('a').perSecond, rates.of('a').share], [5, null]);
  rates.take(reading(67_000, { a: [40, 0, 3], b: [6_010, 0, 61] }));
  assert.deepEqual([rates.of('b').perSecond, rates.of('b').share], [5, 50]);
});

test('counts that fell are those of another process: nothing is said of the time before', () => {
  const rates = new InstanceRates();
  rates.take(reading(1_000, { a: [1_000, 3, 9] }));
  rates.take(reading(3_000, { a: [4, 0, 1] }));
  assert.deepEqual(rates.of('a'), UNKNOWN);
  rates.take(reading(5_000, { a: [8, 1, 2] }));
  assert.deepEqual(rates.of('a'), { perSecond: 2, share: 100, errors: 25, meanMs: 250 });
});

test('an instance of two services has the same rates in both', () => {
  const rates = new InstanceRates();
  const both = (at: number, requests: number) => ({
    at,
    services: [1, 2].flatMap(() => reading(at, { a: [requests, 0, requests] }).services),
  });
  rates.take(both(1_000, 0));
  rates.take(both(3_000, 10));
  assert.deepEqual(rates.of('a'), { perSecond: 5, share: 100, errors: 0, meanMs: 1_000 });
});
