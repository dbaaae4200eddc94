import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ifRangeHolds, isNotModified, speaksOf } from './validation.ts';

const NOW = Date.UTC(2026, 10, 29);
const OLD = 'Wed, 01 Jan 2020 00:00:00 GMT';
const NEW = 'Thu, 02 Jan 2020 00:00:00 GMT';
const inm = (ifNoneMatch: string | null, etag: string | null, ifModifiedSince: string | null = null): boolean =>
  isNotModified({ etag, lastModified: OLD }, { ifNoneMatch, ifModifiedSince }, 200, NOW);

test('RFC 9110 §13.1.2: If-None-Match compares weakly, with each tag of the list', () => {
  assert.equal(inm('"a"', '"a"'), true);
  assert.equal(inm('W/"a"', '"a"'), true);
  assert.equal(inm('"a"', 'W/"a"'), true);
  assert.equal(inm('"x", "a,b", "c"', '"a,b"'), true);
  assert.equal(inm('"x", "a"', '"b"'), false);
  assert.equal(inm('"a, b"', '"a"'), false);
  assert.equal(inm('*', '"b"'), true);
  assert.equal(inm('*', null), true);
  assert.equal(inm('"a"', null), false);
});

test('RFC 9110 §13.2.2: If-None-Match outweighs If-Modified-Since', () => {
  assert.equal(inm('"x"', '"a"', NEW), false);
  assert.equal(inm('"a"', '"a"', 'Tue, 01 Jan 2019 00:00:00 GMT'), true);
});

test('RFC 9110 §13.1.3: If-Modified-Since', () => {
  const ims = (since: string, status = 200): boolean =>
    isNotModified({ etag: '"a"', lastModified: OLD }, { ifNoneMatch: null, ifModifiedSince: since }, status, NOW);
  assert.equal(ims(OLD), true);
  assert.equal(ims(NEW), true);
  assert.equal(ims('Tue, 31 Dec 2019 23:59:59 GMT'), false);
  assert.equal(ims('yesterday'), false);
  assert.equal(ims(NEW, 404), false);
});

test('RFC 9110 §13.1.5: If-Range compares strongly', () => {
  const stored = { etag: '"a"', lastModified: OLD };
  assert.equal(ifRangeHolds(null, stored), true);
  assert.equal(ifRangeHolds('"a"', stored), true);
  assert.equal(ifRangeHolds('"b"', stored), false);
  assert.equal(ifRangeHolds('W/"a"', { ...stored, etag: 'W/"a"' }), false);
  assert.equal(ifRangeHolds(OLD, stored), true);
  assert.equal(ifRangeHolds(NEW, stored), false);
});

test('RFC 9111 §4.3.4: a 304 that names another response does not update this one', () => {
  const stored = { etag: '"a"', lastModified: OLD };
  assert.equal(speaksOf(stored, { etag: '"a"', lastModified: null }), true);
  assert.equal(speaksOf(stored, { etag: 'W/"a"', lastModified: NEW }), true);
  assert.equal(speaksOf(stored, { etag: '"b"', lastModified: OLD }), false);
  assert.equal(speaksOf(stored, { etag: null, lastModified: NEW }), false);
  assert.equal(speaksOf(stored, { etag: null, lastModified: null }), true);
});
