import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '../../../base/clock.ts';
import { MAX_CACHE_MS, TokenCache } from './token-cache.ts';

const FAR = Number.POSITIVE_INFINITY;

function cacheOf(entries = 100, lifeMs?: number) {
  const clock = new FakeClock();
  const cache = new TokenCache<{ readonly name: string; readonly validUntilMs: number }>(clock, entries, lifeMs);
  const put = (name: string, expiresAtMs = FAR) =>
    cache.set(name, { name, validUntilMs: cache.validUntilMs(clock.wallMs(), expiresAtMs) });
  const get = (name: string) => cache.get(name, clock.wallMs())?.name;
  return { clock, cache, put, get };
}

test('an entry counts for 30 s, or until the token expires, whichever is first', () => {
  const { clock, put, get } = cacheOf();
  put('long');
  put('short', clock.wallMs() + 1_000);
  clock.advance(999);
  assert.equal(get('short'), 'short');
  clock.advance(1);
  assert.equal(get('short'), undefined);
  clock.advance(MAX_CACHE_MS - 1_001);
  assert.equal(get('long'), 'long');
  clock.advance(1);
  assert.equal(get('long'), undefined);
});

test('a configured life above 30 s is cut to 30 s', () => {
  const { clock, put, get } = cacheOf(100, 3_600_000);
  put('a');
  clock.advance(MAX_CACHE_MS);
  assert.equal(get('a'), undefined);
});

test('entries are bounded, and the newest half always stays', () => {
  const { cache, put, get } = cacheOf(100);
  for (let index = 0; index < 1_000; index++) {
    put(`token-${index}`);
    assert.ok(cache.size <= 100);
  }
  for (let index = 950; index < 1_000; index++) assert.equal(get(`token-${index}`), `token-${index}`);
});

test('the time of day stepping back keeps no entry beyond two turns', () => {
  const { clock, cache, put, get } = cacheOf();
  put('a');
  clock.stepWall(-3_600_000);
  assert.equal(get('a'), 'a');
  clock.advance(MAX_CACHE_MS);
  cache.turn();
  assert.equal(get('a'), undefined);
  assert.equal(cache.size, 0);
});

test('an idle cache lets go of everything when it is turned', () => {
  const { clock, cache, put } = cacheOf();
  put('a');
  clock.advance(MAX_CACHE_MS / 2);
  cache.turn();
  assert.equal(cache.size, 1, 'half a life: kept');
  clock.advance(MAX_CACHE_MS / 2);
  cache.turn();
  assert.equal(cache.size, 0);
});

test('drops what is named, in both generations', () => {
  const { clock, cache, put, get } = cacheOf();
  put('old-1');
  put('old-2');
  clock.advance(MAX_CACHE_MS / 2);
  put('young-1');
  assert.equal(
    cache.drop(({ name }) => name.endsWith('1')),
    2,
  );
  assert.equal(get('old-1'), undefined);
  assert.equal(get('young-1'), undefined);
  assert.equal(get('old-2'), 'old-2');
});

test('an entry set again replaces the old one', () => {
  const { clock, cache, put } = cacheOf();
  put('a', clock.wallMs() + 1);
  clock.advance(MAX_CACHE_MS / 2);
  put('a');
  assert.equal(cache.size, 1);
});

for (const [name, entries, lifeMs] of [
  ['no entries', 0, 30_000],
  ['no life', 100, 0],
] as const) {
  test(`${name} means no cache`, () => {
    const { cache, put, get } = cacheOf(entries, lifeMs);
    put('a');
    assert.equal(get('a'), undefined);
    assert.equal(cache.size, 0);
  });
}

test('counts hits and misses', () => {
  const { cache, put, get } = cacheOf();
  get('a');
  put('a');
  get('a');
  get('a');
  assert.deepEqual([cache.hits, cache.misses], [2, 1]);
});
