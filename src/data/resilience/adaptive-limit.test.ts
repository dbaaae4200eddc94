import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seeded } from '../balancer/fixtures.suite.ts';
import { AdaptiveLimit } from './adaptive-limit.ts';

interface Upstream {
  /** Time that a request takes when it need not wait. */
  serviceMs: number;
  /** Requests that are worked on at once; others queue up. */
  places: number;
}

/**
 * A closed loop against an upstream with a queue of its own: callers always use the whole limit, and each answer takes
 * as long as the upstream's queue makes it. Gives latency and limit at the end.
 */
function saturate(limit: AdaptiveLimit, upstream: Upstream, fromMs: number, forMs: number): { ms: number } {
  let nowMs = fromMs;
  let ms = upstream.serviceMs;
  while (nowMs < fromMs + forMs) {
    const inFlight = Math.floor(limit.limit);
    const waves = Math.max(1, inFlight / upstream.places);
    ms = upstream.serviceMs * waves;
    // One wave of answers.
    const answers = Math.min(inFlight, upstream.places);
    for (let i = 0; i < answers; i++) limit.record(ms, false, inFlight, nowMs + (upstream.serviceMs * i) / answers);
    nowMs += upstream.serviceMs;
  }
  return { ms };
}

describe('adaptive limit', () => {
  it('settles near what the upstream can work on at once, with bounded queueing', () => {
    for (const places of [10, 40, 160]) {
      const limit = new AdaptiveLimit(seeded(1));
      const { ms } = saturate(limit, { serviceMs: 10, places }, 0, 20_000);
      assert.ok(limit.limit >= places, `limit ${limit.limit} leaves some of ${places} places idle`);
      assert.ok(ms <= 10 * 2.5, `${places} places: latency ${ms} ms of 10 ms`);
    }
  });

  it('does not creep up over an hour of saturation', () => {
    const limit = new AdaptiveLimit(seeded(1));
    const upstream = { serviceMs: 10, places: 40 };
    let worst = 0;
    for (let minute = 0; minute < 60; minute++) {
      saturate(limit, upstream, minute * 60_000, 60_000);
      worst = Math.max(worst, limit.limit);
    }
    assert.ok(worst <= 40 * 2.5, `the limit went up to ${worst} for 40 places`);
    assert.ok(limit.baselineMs <= 11, `the baseline went up to ${limit.baselineMs} ms`);
  });

  it('follows an upstream that loses most of its places, and back', () => {
    const limit = new AdaptiveLimit(seeded(1));
    saturate(limit, { serviceMs: 10, places: 80 }, 0, 20_000);
    saturate(limit, { serviceMs: 10, places: 8 }, 20_000, 20_000);
    assert.ok(limit.limit <= 8 * 3, `limit ${limit.limit} for 8 places`);
    saturate(limit, { serviceMs: 10, places: 80 }, 40_000, 40_000);
    assert.ok(limit.limit >= 80, `limit ${limit.limit} for 80 places`);
  });

  it('takes an upstream that became slower for good as the new normal', () => {
    const limit = new AdaptiveLimit(seeded(1));
    saturate(limit, { serviceMs: 10, places: 40 }, 0, 20_000);
    saturate(limit, { serviceMs: 30, places: 40 }, 20_000, 120_000);
    assert.ok(limit.limit >= 40, `limit ${limit.limit} for 40 places`);
  });

  it('is not raised by traffic that does not use it', () => {
    const limit = new AdaptiveLimit(seeded(1));
    const before = limit.limit;
    for (let ms = 0; ms < 60_000; ms += 5) limit.record(10, false, 2, ms);
    assert.equal(limit.limit, before);
  });

  it('is cut by timeouts, but never below a few', () => {
    const limit = new AdaptiveLimit(seeded(1));
    for (let ms = 0; ms < 2_000; ms += 5) limit.record(10, false, 20, ms);
    const before = limit.limit;
    for (let ms = 2_000; ms < 3_000; ms += 5) limit.record(1_000, true, 20, ms);
    assert.ok(limit.limit < before * 0.6, `${before} became ${limit.limit}`);
    for (let ms = 3_000; ms < 60_000; ms += 5) limit.record(1_000, true, 20, ms);
    assert.equal(limit.limit, 4);
  });

  it('is not cut by one slow answer in fifty', () => {
    const limit = new AdaptiveLimit(seeded(1));
    const random = seeded(2);
    for (let ms = 0; ms < 20_000; ms += 2) {
      limit.record(random() < 0.02 ? 2_000 : 10, false, Math.floor(limit.limit), ms);
    }
    assert.ok(limit.limit >= 100, `limit ${limit.limit}`);
  });
});
