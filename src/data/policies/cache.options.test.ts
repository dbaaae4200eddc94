import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CacheSettings, keyOfRoute } from '../contract/cache.ts';
import type { OptionContext } from '../contract/options.ts';
import type { RouteSettings } from '../contract/snapshot.ts';
import { cacheOptions, cacheSchema } from './cache.options.ts';

function compiled(written: unknown, isPublic = false): { settings: CacheSettings | undefined; problems: string[] } {
  const problems: string[] = [];
  const context = { problem: (message: string) => void problems.push(message) } as unknown as OptionContext;
  const facts = { id: 'r', services: ['s'], isPublic };
  const [policy] = cacheOptions.compile!(cacheSchema.parse(written), context, facts);
  return { settings: policy?.options as CacheSettings | undefined, problems };
}

test('{} is the RFC alone: no lifetimes, nothing stale, all of the query, everyone', () => {
  const { settings } = compiled({});
  assert.deepEqual(settings?.lifetimes, []);
  assert.equal(settings?.heuristicShare, 0);
  assert.equal(settings?.staleIfErrorS, 0);
  assert.equal(settings?.staleWhileRevalidateS, 0);
  assert.equal(settings?.storesSetCookie, false);
  assert.equal(settings?.obeysRequests, true);
  assert.deepEqual(settings?.key, { query: null, headers: [], cookies: [], user: false, plan: false, partition: '' });
});

test('off ends it', () => {
  assert.equal(compiled('off').settings, undefined);
});

test('names of fields in lower case, durations in seconds', () => {
  const { settings } = compiled({
    key: { headers: ['X-Region', 'Accept'], query: { without: ['utm'] } },
    lifetimes: { 404: '10s' },
    staleIfError: '1m',
  });
  assert.deepEqual(settings?.key.headers, ['accept', 'x-region']);
  assert.deepEqual(settings?.key.query, { mode: 'without', names: ['utm'] });
  assert.deepEqual(settings?.lifetimes, [[404, 10]]);
  assert.equal(settings?.staleIfErrorS, 60);
});

test('a route without callers has neither users nor plans', () => {
  assert.deepEqual(compiled({ by: 'user' }, true).problems, ['a route with auth: public knows no caller']);
  assert.deepEqual(compiled({ by: 'user' }).problems, []);
});

test('what cannot be is refused', () => {
  for (const wrong of [
    { lifetimes: { 206: '1m' } },
    { lifetimes: { 99: '1m' } },
    { key: { query: 'some' } },
    { key: { headers: ['a b'] } },
    { by: 'nobody' },
    { maxObjectSize: '2gb' },
    { tll: '1m' },
  ])
    assert.equal(cacheSchema.safeParse(wrong).success, false, JSON.stringify(wrong));
});

test('routes of one URL that fields tell apart do not share; fields and cookies of a split count', () => {
  const { settings } = compiled({});
  const route = (more: object): RouteSettings =>
    ({
      id: 'v2',
      match: { headers: [] },
      version: null,
      action: { kind: 'service', targets: [], split: null },
      ...more,
    }) as unknown as RouteSettings;
  assert.equal(keyOfRoute(route({}), settings!), settings!.key);
  assert.equal(keyOfRoute(route({ match: { headers: [{ name: 'x' }] } }), settings!).partition, 'v2');
  assert.equal(keyOfRoute(route({ version: { by: { kind: 'header' } } }), settings!).partition, 'v2');
  assert.equal(keyOfRoute(route({ version: { by: { kind: 'path' } } }), settings!).partition, '');
  const split = { headers: [{ name: 'X-Canary' }], cookies: [{ name: 'c' }] };
  const key = keyOfRoute(route({ action: { kind: 'service', targets: [], split } }), settings!);
  assert.deepEqual([key.headers, key.cookies, key.partition], [['x-canary'], ['c'], '']);
});
