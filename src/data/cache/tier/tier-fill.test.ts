/** Which of several gateways fetches, at the moments that no test through sockets can choose. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { FakeClock } from '../../../base/clock.ts';
import type { CachedRoute } from '../cached-route.ts';
import type { KeyRequest } from '../keys.ts';
import type { LockAnswer } from './fill-lock.ts';
import type { RedisTier } from './redis-tier.ts';
import { TierFill } from './tier-fill.ts';
import type { TierObject } from './tier-value.ts';

const clock = new FakeClock();
const fresh = (forS: number): TierObject =>
  ({ terms: { freshUntilMs: clock.wallMs() + forS * 1_000, staleWhileRevalidateS: 0 } }) as TierObject;

/** A tier whose every answer is the test's, in order. */
async function filled(reads: readonly (TierObject | null)[], answers: readonly LockAnswer[]) {
  const left = { reads: [...reads], answers: [...answers] };
  const said: string[] = [];
  const results: string[] = [];
  const lock = { hold: () => void said.push('hold'), end: (passMs: number) => void said.push(`end ${passMs}`) };
  const tier = {
    read(...args: unknown[]) {
      const done = args.at(-1) as (result: string, ticket: object, object: TierObject | null) => void;
      said.push('read');
      const object = left.reads.shift() ?? null;
      setImmediate(() => done(object === null ? 'miss' : 'hit', { version: { seen: '', vary: null } }, object));
      return true;
    },
    take(_lock: unknown, done: (answer: LockAnswer) => void) {
      said.push('take');
      const answer = left.answers.shift()!;
      setImmediate(() => done(answer));
      return true;
    },
    lockOf: () => lock,
  };
  const route = {
    settings: { waitMs: 60_000, key: { user: false, plan: false, headers: [], cookies: [] } },
    cache: { clock },
    counts: { tierRead: () => {}, tierLock: (result: string) => void results.push(result) },
  };
  const request = { elsewhere: null } as unknown as KeyRequest;
  const fill = new TierFill(tier as unknown as RedisTier, route as unknown as CachedRoute, request, 'key');
  const object = await new Promise<TierObject | null>((resolve) => assert.ok(fill.read(resolve)));
  await delay(1);
  fill.end(0);
  return { object, said, results };
}

test('who has waited and gets the lock looks once more: what was written in between is not fetched again', async () => {
  const written = fresh(60);
  const { object, said, results } = await filled([null, null, written], ['held', 'taken']);
  assert.equal(object, written);
  assert.deepEqual(said, ['read', 'take', 'read', 'take', 'hold', 'read', 'end 0']);
  assert.deepEqual(results, ['waited']);
});

test('where nothing was written it fetches, with what there is of use for that', async () => {
  const stale = fresh(-1);
  const { object, said, results } = await filled([stale, stale, stale], ['held', 'taken']);
  assert.equal(object, stale);
  assert.deepEqual(said, ['read', 'take', 'read', 'take', 'hold', 'read', 'end 0']);
  assert.deepEqual(results, ['taken']);
});

test('who gets the lock at once asks Redis nothing more', async () => {
  const { object, said, results } = await filled([null], ['taken']);
  assert.equal(object, null);
  assert.deepEqual(said, ['read', 'take', 'hold', 'end 0']);
  assert.deepEqual(results, ['taken']);
});
