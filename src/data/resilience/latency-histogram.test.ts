import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seeded } from '../balancer/fixtures.suite.ts';
import { LatencyHistogram, MIN_ANSWERS } from './latency-histogram.ts';

describe('latency histogram', () => {
  it('says nothing before it has seen enough', () => {
    const histogram = new LatencyHistogram();
    for (let i = 1; i < MIN_ANSWERS; i++) histogram.record(10);
    assert.equal(histogram.quantileMs(0.95), -1);
    histogram.record(10);
    assert.ok(histogram.quantileMs(0.95) > 0);
  });

  it('is never below a quantile of the sample and at most a quarter above it', () => {
    for (const share of [0.5, 0.9, 0.95, 0.99]) {
      const histogram = new LatencyHistogram();
      const random = seeded(9);
      // Long-tailed, as latencies are.
      const sample = Array.from({ length: 2_000 }, () => 2 * Math.exp(2 * random()) + (random() < 0.02 ? 500 : 0));
      for (const ms of sample) histogram.record(ms);
      const exact = sample.sort((a, b) => a - b)[Math.ceil(share * sample.length) - 1]!;
      const got = histogram.quantileMs(share);
      assert.ok(got >= exact && got <= exact * 1.26, `${share}: got ${got}, exact ${exact}`);
    }
  });

  it('follows a service that became slower', () => {
    const histogram = new LatencyHistogram();
    for (let i = 0; i < 50_000; i++) histogram.record(5);
    for (let i = 0; i < 8_000; i++) histogram.record(80);
    assert.ok(histogram.quantileMs(0.5) >= 80);
  });

  it('takes anything as a latency', () => {
    const histogram = new LatencyHistogram();
    for (const ms of [0, 0.0001, 1e12, -5, 0.003]) for (let i = 0; i < 20; i++) histogram.record(ms);
    assert.ok(Number.isFinite(histogram.quantileMs(1)));
  });
});
