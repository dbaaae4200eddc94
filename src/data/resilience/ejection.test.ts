import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FAULTS } from '../../base/errors.ts';
import { Bench, EJECTION, instances, seeded } from '../balancer/fixtures.suite.ts';
import type { Endpoint } from '../balancer/service.ts';
import type { EjectionSettings } from '../contract/snapshot.ts';
import { outlierLimit } from './ejection.ts';

function bench(more: Partial<EjectionSettings> = {}, count = 4, slowStartMs = 0): Bench {
  return new Bench({
    instances: instances(count),
    resilience: { ejection: { ...EJECTION, ...more }, slowStartMs },
  });
}

/** Requests until the instance of the slot has got `count`, which it answers with the status; others answer 200. */
function respond(one: Bench, slot: number, status: number, count: number): void {
  for (let left = count; left > 0; ) {
    const endpoint = one.pick();
    const isIt = endpoint.settings.slot === slot;
    if (isIt) left--;
    one.answer(endpoint, isIt ? status : 200);
  }
}

function ejected(one: Bench): number[] {
  return one.service.snapshotState().instances.flatMap((state, i) => (state.ejected ? [i + 1] : []));
}

describe('consecutive failures', () => {
  it('eject an instance at the configured number in a row', () => {
    const one = bench({ consecutiveFaults: 5 });
    respond(one, 2, 500, 4);
    assert.deepEqual(ejected(one), []);
    respond(one, 2, 500, 1);
    assert.deepEqual(ejected(one), [2]);
    assert.equal(one.spread(300).has('svc@10.0.0.2:80'), false);
    assert.equal(one.changes.length, 1);
    assert.match(one.changes[0]!.reason, /^5 failures in a row; out for 10000 ms$/);
  });

  it('begin anew with each good answer', () => {
    const one = bench({ consecutiveFaults: 5 });
    for (let i = 0; i < 10; i++) {
      respond(one, 2, 500, 4);
      respond(one, 2, 200, 1);
    }
    assert.deepEqual(ejected(one), []);
  });

  it('count faults of the upstream, and nothing that the caller or the gateway did', () => {
    const one = bench({ consecutiveFaults: 5 }, 2);
    const onTwo = (act: (endpoint: Endpoint<never>) => void): void => {
      for (let left = 5; left > 0; ) {
        const endpoint = one.pick();
        if (endpoint.settings.slot !== 2) one.answer(endpoint);
        else {
          act(endpoint as Endpoint<never>);
          left--;
        }
      }
    };
    onTwo((endpoint) => one.service.finish(endpoint, 0, FAULTS.downstreamAborted, 1, false));
    onTwo((endpoint) => one.service.finish(endpoint, 0, null, 1, true));
    onTwo((endpoint) => one.service.finish(endpoint, 0, FAULTS.queueTimeout, 1, false));
    assert.deepEqual(ejected(one), []);
    onTwo((endpoint) => one.service.finish(endpoint, 0, FAULTS.connectRefused, 1, false));
    assert.deepEqual(ejected(one), [2]);
  });

  it('count over all workers', () => {
    const one = bench({ consecutiveFaults: 6 }, 2);
    const other = new Bench(
      { instances: instances(2), resilience: { ejection: { ...EJECTION, consecutiveFaults: 6 } } },
      {},
      one,
    );
    respond(one, 2, 500, 3);
    respond(other, 2, 500, 3);
    assert.deepEqual(ejected(one), [2]);
    assert.equal(one.spread(20).size, 1, 'the other worker sees it at its next pick');
    assert.deepEqual([one.changes.length, other.changes.length], [0, 1], 'told by the one that did it');
  });
});

describe('the time out', () => {
  it('ends by itself', () => {
    const one = bench({ baseEjectionMs: 10_000 });
    respond(one, 2, 500, 5);
    one.advance(9_990);
    assert.equal(one.spread(40).has('svc@10.0.0.2:80'), false);
    one.advance(10);
    assert.equal(one.spread(40).get('svc@10.0.0.2:80'), 10);
    assert.equal(one.changes.at(-1)!.change, 'returned');
  });

  it('grows by the base with each relapse up to its limit', () => {
    const one = bench({ baseEjectionMs: 10_000, maxEjectionMs: 35_000 });
    const times: number[] = [];
    for (let i = 0; i < 5; i++) {
      respond(one, 2, 500, 5);
      const state = one.service.snapshotState().instances[1]!;
      times.push(state.ejectedForMs);
      one.advance(state.ejectedForMs);
      one.spread(4);
    }
    assert.deepEqual(times, [10_000, 20_000, 30_000, 35_000, 35_000]);
  });

  it('is the first again after having worked for as long as it was out', () => {
    const one = bench({ baseEjectionMs: 10_000 });
    respond(one, 2, 500, 5);
    one.advance(20_000);
    one.spread(8);
    respond(one, 2, 500, 5);
    assert.equal(one.service.snapshotState().instances[1]!.ejectedForMs, 10_000);
  });

  it('is followed by a slow start', () => {
    const one = bench({ baseEjectionMs: 10_000 }, 4, 20_000);
    respond(one, 2, 500, 5);
    one.advance(10_000);
    const early = one.spread(2_000).get('svc@10.0.0.2:80') ?? 0;
    one.advance(20_000);
    const late = one.spread(2_000).get('svc@10.0.0.2:80') ?? 0;
    assert.ok(early < 60, `right after its return it got ${early} of 2000`);
    assert.equal(late, 500);
  });
});

describe('how many may be out', () => {
  const cases = [
    { instances: 10, ratio: 0.3, want: 3 },
    { instances: 10, ratio: 0.05, want: 1 },
    { instances: 3, ratio: 0.1, want: 1 },
    { instances: 2, ratio: 1, want: 1 },
    { instances: 4, ratio: 1, want: 3 },
    { instances: 1, ratio: 1, want: 0 },
    { instances: 4, ratio: 0, want: 0 },
  ];
  for (const { instances: count, ratio, want } of cases) {
    it(`${want} of ${count} at a share of ${ratio}`, () => {
      const one = bench({ maxEjectedRatio: ratio }, count);
      for (let i = 0; i < 400; i++) one.answer(one.pick(), 500);
      assert.equal(ejected(one).length, want);
    });
  }

  it('never the last that works, when probes took the others down', () => {
    const one = bench({ maxEjectedRatio: 1 }, 2);
    one.table.setHealthy(1, false);
    for (let i = 0; i < 50; i++) one.answer(one.pick(), 500);
    assert.deepEqual(ejected(one), []);
  });
});

describe('error ratio against peers', () => {
  const rates: Partial<EjectionSettings> = { consecutiveFaults: 0, deviationFactor: 3, intervalMs: 10_000 };

  /** Ten seconds of random errors, then the first answer of the next interval. */
  function interval(one: Bench, ratios: readonly number[], requests: number): void {
    const random = seeded(5);
    for (let i = 0; i < requests; i++) {
      const endpoint = one.pick();
      one.answer(endpoint, random() < ratios[endpoint.settings.slot - 1]! ? 500 : 200);
      one.advance(10_000 / requests);
    }
    one.answer(one.pick());
  }

  it('ejects the one of three that stands out', () => {
    const one = bench(rates, 3);
    interval(one, [0.01, 0.3, 0.01], 600);
    assert.deepEqual(ejected(one), [2]);
    assert.match(one.changes[0]!.reason, /^error ratio 0\.\d+ is above its peers' limit of 0\.\d+/);
  });

  it('ejects nobody when all are equally bad', () => {
    const one = bench(rates, 3);
    interval(one, [0.4, 0.4, 0.4], 600);
    assert.deepEqual(ejected(one), []);
  });

  it('ejects nobody for a difference that chance makes', () => {
    const one = bench(rates, 3);
    interval(one, [0.02, 0.03, 0.02], 600);
    assert.deepEqual(ejected(one), []);
  });

  it('does not judge an instance by fewer requests than configured', () => {
    const one = bench({ ...rates, minimumRequests: 100 }, 3);
    interval(one, [0, 1, 0], 240);
    assert.deepEqual(ejected(one), []);
  });

  it('does not hold the errors from before its return against an instance', () => {
    const one = bench({ ...rates, baseEjectionMs: 1_000 }, 3);
    interval(one, [0, 0.5, 0], 300);
    assert.deepEqual(ejected(one), [2]);
    one.advance(1_000);
    interval(one, [0, 0, 0], 300);
    assert.deepEqual(ejected(one), []);
  });

  it('widens its limit with the spread of the peers and with small samples', () => {
    assert.ok(Math.abs(outlierLimit([0, 0, 0], 100, 3) - 0.03) < 1e-9, 'a hundredth is the least spread');
    assert.ok(Math.abs(outlierLimit([0.1, 0.3], 10_000, 2) - 0.4) < 1e-9, 'peers differ by 0.1');
    assert.ok(Math.abs(outlierLimit([0.2, 0.2], 100, 3) - 0.32) < 1e-9, 'chance of a sample of 100');
  });
});
