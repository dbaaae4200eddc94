import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ABSENT, MAX_DELTA_S, NO_DIRECTIVES, parseCacheControl } from './directives.ts';

test('RFC 9111 §5.2: names in any case, values bare or quoted, unknown directives ignored', () => {
  const found = parseCacheControl('foobar, MaX-aGe=3600, s-maxage="60", x="max-age=1, no-store", PUBLIC');
  assert.equal(found.maxAge, 3600);
  assert.equal(found.sMaxage, 60);
  assert.equal(found.noStore, false);
  assert.equal(found.isPublic, true);
});

test('RFC 9111 §4.2.1: a value that is no number of seconds means stale', () => {
  for (const value of [
    'max-age=-1',
    "max-age='3600'",
    'max-age=3600.0',
    'max-age=3600a',
    'max-age=',
    'max-age',
    'max-age = 3600',
    'max-age= 3600',
  ])
    assert.equal(parseCacheControl(value).maxAge, 0, value);
});

test('RFC 9111 §4.2.1: of several values the least counts, in whatever order', () => {
  assert.equal(parseCacheControl('max-age=1, max-age=3600').maxAge, 1);
  assert.equal(parseCacheControl('max-age=3600, max-age=1').maxAge, 1);
});

test('RFC 9111 §1.2.2: numbers that are too large are the largest', () => {
  assert.equal(parseCacheControl('max-age=99999999999').maxAge, MAX_DELTA_S);
  assert.equal(parseCacheControl(`max-age=${'9'.repeat(400)}`).maxAge, MAX_DELTA_S);
  assert.equal(parseCacheControl('max-age=003600').maxAge, 3600);
});

test('RFC 9111 §5.2.2.4, §5.2.2.7: no-cache and private with names withhold these fields only', () => {
  const found = parseCacheControl('no-cache="Set-Cookie, a", private="b"');
  assert.deepEqual(found.withheld, ['set-cookie', 'a', 'b']);
  assert.equal(found.noCache, false);
  assert.equal(found.isPrivate, false);
  assert.equal(parseCacheControl('no-cache, private').noCache, true);
  assert.equal(parseCacheControl('no-cache, private').isPrivate, true);
});

test('RFC 9111 §5.2.1: what requests say', () => {
  const found = parseCacheControl('max-stale, min-fresh=5, only-if-cached');
  assert.equal(found.maxStale, Number.POSITIVE_INFINITY);
  assert.equal(found.minFresh, 5);
  assert.equal(found.onlyIfCached, true);
  assert.equal(parseCacheControl('max-stale=9').maxStale, 9);
});

test('nothing, nothing but commas, and an unfinished quoted string are read to their end', () => {
  assert.equal(parseCacheControl(null), NO_DIRECTIVES);
  assert.deepEqual({ ...parseCacheControl(' , ,,') }, { ...NO_DIRECTIVES, withheld: [] });
  assert.equal(parseCacheControl('a="b, max-age=5').maxAge, ABSENT);
  assert.equal(parseCacheControl('a="b\\", max-age=5", max-age=7').maxAge, 7);
});
