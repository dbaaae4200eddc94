import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { InstanceHealth } from './monitor.ts';
import { probeReport } from './report.ts';

const health = (id: string, more: Partial<InstanceHealth> = {}): InstanceHealth => ({
  service: 's',
  instance: id,
  url: `http://${id}`,
  healthy: false,
  status: 'unhealthy',
  kind: 'http',
  lastStatus: 503,
  lastReason: 'status 503',
  latencyMs: 1.23456,
  consecutiveSuccesses: 0,
  consecutiveFailures: 4,
  probes: 9,
  failures: 4,
  checkedAtMs: Date.parse('2026-01-02T03:04:05Z'),
  sinceMs: Date.parse('2026-01-02T03:00:00Z'),
  ...more,
});

describe('the report of probes', () => {
  it('has status, reason, latency to the microsecond and times', () => {
    assert.deepEqual(probeReport(health('b')), {
      status: 'unhealthy',
      kind: 'http',
      lastStatus: 503,
      reason: 'status 503',
      latencyMs: 1.235,
      consecutiveSuccesses: 0,
      consecutiveFailures: 4,
      since: '2026-01-02T03:00:00.000Z',
      checkedAt: '2026-01-02T03:04:05.000Z',
    });
  });

  it('is null for an instance that is not probed', () => {
    assert.equal(probeReport(health('a', { status: 'unchecked', kind: null })), null);
  });

  it('has no time for what has not happened yet', () => {
    const report = probeReport(
      health('a', { status: 'unknown', checkedAtMs: null, latencyMs: null, lastStatus: null }),
    )!;
    assert.deepEqual([report.checkedAt, report.latencyMs, report.lastStatus], [null, null, null]);
  });
});
