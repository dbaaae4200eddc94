import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FAULTS } from '../../base/errors.ts';
import { BREAKER } from '../balancer/fixtures.suite.ts';
import { isTimeout, OutcomeRules } from './outcome.ts';

describe('the outcome of an attempt', () => {
  it('is a failure for every 5xx when no breaker says otherwise', () => {
    const rules = new OutcomeRules(null);
    for (const [status, want] of [
      [200, false],
      [404, false],
      [429, false],
      [499, false],
      [500, true],
      [503, true],
      [599, true],
    ] as const) {
      assert.equal(rules.hasFailed(status, null, 1), want, `status ${status}`);
    }
  });

  it('is a failure for the statuses that the breaker names, and no others', () => {
    const rules = new OutcomeRules({ ...BREAKER, errorStatuses: [429, 503] });
    assert.equal(rules.hasFailed(429, null, 1), true);
    assert.equal(rules.hasFailed(500, null, 1), false);
  });

  it('is a failure when it took longer than the breaker allows', () => {
    const rules = new OutcomeRules({ ...BREAKER, timeoutMs: 3_000 });
    assert.equal(rules.hasFailed(200, null, 3_000), false);
    assert.equal(rules.hasFailed(200, null, 3_001), true);
    assert.equal(new OutcomeRules(BREAKER).hasFailed(200, null, 1e9), false, '0 turns it off');
  });

  it('says nothing about the upstream unless the upstream made it', () => {
    const rules = new OutcomeRules(null);
    for (const fault of Object.values(FAULTS)) {
      const want = fault.side !== 'upstream' || fault.phase === 'pick' || fault === FAULTS.upstreamIdleTimeout;
      assert.equal(rules.saysNothing(fault, false), want, fault.reason);
    }
    assert.equal(rules.saysNothing(null, true), true);
    assert.equal(rules.saysNothing(null, false), false);
  });

  it('shows overload by timeouts only', () => {
    const timeouts = Object.values(FAULTS).filter(isTimeout);
    assert.deepEqual(
      timeouts.map((fault) => fault.reason),
      ['connect_timeout', 'first_byte_timeout', 'total_timeout', 'upstream_idle_timeout'],
    );
  });
});
