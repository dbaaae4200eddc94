/** What one node tells the others of its cache, over facts that are caught here. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../../../test/support/until.ts';
import { createLogger } from '../../base/log.ts';
import type { CacheControl } from '../../data/contract/cache.ts';
import { Facts } from '../facts.ts';
import { FactPurges } from './fact-purges.ts';

interface Told {
  readonly kind: string;
  readonly text?: string;
  readonly keys?: readonly string[];
}

function bench() {
  const facts = new Facts();
  facts.expectCarrier();
  const told: Told[] = [];
  const state: { readMs: number | null } = { readMs: 0 };
  const carrier = {
    tell: async (_topic: string, _key: string, value: unknown) => {
      assert.ok(JSON.stringify(value).length <= 64 * 1024, 'a fact carries it');
      told.push(value as Told);
      return true;
    },
    replay: () => {},
    catchUp: async () => true,
    isWaiting: () => false,
    get readMs() {
      return state.readMs;
    },
  };
  const purged: string[] = [];
  const cache = {
    purgeAll: () => purged.push('all') > 0,
    purgeKey: (key: string) => purged.push(key) > 0,
  } as unknown as CacheControl;
  const purges = new FactPurges(facts, cache, createLogger('silent'));
  return { facts, carrier, told, state, purged, purges };
}

const keys = (count: number, length = 20): string[] =>
  Array.from({ length: count }, (_, i) => `https://a.example/${i}/${'x'.repeat(length)}`);

test('URLs of a moment are told together, each once, in facts that are not too large', async () => {
  const { facts, carrier, told, purges, purged } = bench();
  facts.carryBy(carrier);
  purges.gone(keys(100, 1_500));
  purges.gone(keys(100, 1_500));
  await until(() => told.length > 0, 'they are told');
  assert.deepEqual(
    told.flatMap((each) => each.keys ?? []),
    keys(100, 1_500),
  );
  assert.ok(told.length < 6, String(told.length));
  assert.deepEqual(purged, [], 'here they are forgotten already');
});

test('what another node tells is forgotten, key by key; nonsense is not', () => {
  const { facts, purged } = bench();
  const learn = (value: unknown) => facts.deliver('purge', { key: 'k', value, ageMs: 0, node: 'other' });
  learn({ kind: 'keys', keys: ['a', 7, 'b'] });
  for (const value of [null, { kind: 'keys', keys: 'a' }, { kind: 'other', text: 'a' }, { kind: 'key' }]) learn(value);
  assert.deepEqual(purged, ['a', 'b']);
});

test('while the store is away they wait; too many become one purge of everything', async () => {
  const { facts, carrier, told, state, purges } = bench();
  facts.carryBy(carrier);
  state.readMs = null;
  purges.gone(keys(3));
  purges.close();
  assert.equal(told.length, 0);
  state.readMs = 1;
  facts.caughtUp();
  await until(() => told.length === 1, 'they are told');
  assert.deepEqual(told[0]?.keys, keys(3));
  state.readMs = null;
  purges.gone(keys(6_000));
  state.readMs = 2;
  facts.caughtUp();
  await until(() => told.length === 2, 'all');
  assert.deepEqual(told[1], { kind: 'all', text: '' });
});

test('purges from before the store was reached are told when it is', async () => {
  const { facts, carrier, told, purges } = bench();
  assert.equal(await purges.purge('tag', 'news'), false);
  facts.carryBy(carrier);
  facts.caughtUp();
  await until(() => told.length === 1, 'it is told');
  assert.deepEqual(told, [{ kind: 'tag', text: 'news' }]);
  assert.equal(await purges.purge('all', ''), true);
});
