/**
 * What every balancing algorithm must do, whatever it is for. Each algorithm's test runs it, and so may the test of one
 * that a user wrote. Bounds are five standard deviations of a binomial count, with a seeded generator.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Balancer, BalancerDefinition } from '../../contract/balancer.ts';
import type { FakeCandidate } from '../fixtures.suite.ts';
import { assertShare, candidates, request, seeded } from '../fixtures.suite.ts';

export interface SuiteOptions<Options> {
  readonly options: Options;
  /** False for an algorithm that is meant to be uneven. Default true. */
  readonly even?: boolean;
}

/** Requests of many callers, each with its own key of every kind. */
export function callers(count: number): ReturnType<typeof request>[] {
  return Array.from({ length: count }, (_, i) =>
    request({
      address: `198.51.${(i >> 8) & 255}.${i & 255}`,
      path: `/items/${i}`,
      query: `a=1&key=k${i}`,
      subject: `user-${i}`,
      headers: { 'x-key': `h${i}` },
      cookies: { key: `c${i}` },
    }),
  );
}

/**
 * Twenty requests are in flight at any time; the oldest ends when a new one begins. Gives the picks of each candidate.
 */
export function closedLoop(balancer: Balancer, list: readonly FakeCandidate[], picks: number): number[] {
  const counts = list.map(() => 0);
  const inFlight: number[] = [];
  for (const by of callers(picks)) {
    if (inFlight.length === 20) list[inFlight.shift()!]!.inFlight--;
    const index = balancer.pick(list, by);
    assert.ok(Number.isInteger(index) && index >= 0 && index < list.length, `got the index ${index}`);
    list[index]!.inFlight++;
    counts[index]!++;
    inFlight.push(index);
  }
  return counts;
}

export function algorithmSuite<Options>(
  definition: BalancerDefinition<Options>,
  { options, even = true }: SuiteOptions<Options>,
): void {
  const create = (seed = 1): Balancer => definition.create(options, seeded(seed));

  describe(`${definition.name} keeps the contract of an algorithm`, () => {
    it('takes the only candidate there is', () => {
      const balancer = create();
      for (const by of callers(50)) assert.equal(balancer.pick(candidates(1), by), 0);
    });

    it('stays inside a list that grows and shrinks from call to call', () => {
      const balancer = create();
      const all = candidates(1, 2, 3, 4, 5, 6, 7, 8);
      for (const [i, by] of callers(500).entries()) {
        const list = all.slice(i % 5, (i % 5) + 1 + (i % 3));
        const index = balancer.pick(list, by);
        assert.ok(Number.isInteger(index) && index >= 0 && index < list.length, `got ${index} of ${list.length}`);
      }
    });

    it('picks the same from the same seed', () => {
      assert.deepEqual(
        closedLoop(create(3), candidates(1, 2, 3), 300),
        closedLoop(create(3), candidates(1, 2, 3), 300),
      );
    });

    it('takes weights close to nothing', () => {
      closedLoop(create(), candidates(1e-6, 1e-6, 1e-6), 100);
    });

    if (even) {
      it('gives equal candidates equal shares, within five standard deviations', () => {
        const picks = 9_000;
        const counts = closedLoop(create(), candidates(1, 1, 1), picks);
        for (const [i, count] of counts.entries()) assertShare(count, picks, 1 / 3, `candidate ${i}`);
      });
    }

    if (definition.weighted === true && even) {
      it('gives shares by weight, within five standard deviations and two in a hundred', () => {
        const picks = 12_000;
        const counts = closedLoop(create(), candidates(1, 2, 3), picks);
        for (const [i, count] of counts.entries()) {
          const share = (i + 1) / 6;
          const bound = 5 * Math.sqrt(picks * share * (1 - share)) + 0.02 * picks;
          assert.ok(Math.abs(count - picks * share) <= bound, `weight ${i + 1}: ${count} of ${picks}`);
        }
      });

      it('hardly uses a candidate that has just begun its slow start', () => {
        const counts = closedLoop(create(), candidates(1, 1, 0.05), 6_000);
        assert.ok(counts[2]! <= 0.06 * 6_000, `weight 0.05 of 2.05 got ${counts[2]} of 6000`);
      });
    }
  });
}
