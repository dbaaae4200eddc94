import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CODINGS, preferredCoding, unpackableCoding } from './codings.ts';

test('the client’s weights choose the coding, and the order of the offer where they are equal', () => {
  const table: readonly (readonly [accept: string | null, coding: string | null])[] = [
    [null, null],
    ['', null],
    ['gzip', 'gzip'],
    ['GZIP', 'gzip'],
    ['x-gzip', 'gzip'],
    ['deflate', null],
    ['gzip, deflate, br, zstd', 'zstd'],
    ['gzip, br', 'br'],
    ['gzip;q=1, br;q=0.9', 'gzip'],
    ['gzip ; Q = 0.2 , br;q=0.1', 'gzip'],
    ['*', 'zstd'],
    ['*;q=0.1, gzip;q=0.5', 'gzip'],
    ['zstd;q=0, *', 'br'],
    ['*;q=0', null],
    ['gzip;q=0', null],
    ['gzip;q=0, identity', null],
    ['identity', null],
    ['identity, gzip', 'gzip'],
    ['identity;q=1, gzip;q=0.5', null],
    ['identity;q=0, *;q=0', null],
    ['gzip;q=2', null],
    ['gzip;q=0.1234', null],
    ['gzip;q=-1', null],
    ['gzip;q', 'gzip'],
    ['gzip;q=', null],
    [',,,gzip,,', 'gzip'],
    [';q=1', null],
    ['gzipped', null],
    [`${'a,'.repeat(10_000)}gzip`, 'gzip'],
  ];
  for (const [accept, coding] of table)
    assert.equal(preferredCoding(accept, CODINGS), coding, JSON.stringify(accept)?.slice(0, 80));
  assert.equal(preferredCoding('gzip, br, zstd', ['gzip']), 'gzip');
});

test('one coding of a body can be unpacked, several cannot', () => {
  const table: readonly (readonly [field: string | null, coding: string | null | undefined])[] = [
    [null, null],
    ['identity', null],
    [' GZip ', 'gzip'],
    ['x-gzip', 'gzip'],
    ['deflate', 'deflate'],
    ['br', 'br'],
    ['zstd', 'zstd'],
    ['gzip, br', undefined],
    ['compress', undefined],
    ['gzip;q=1', undefined],
  ];
  for (const [field, coding] of table) assert.equal(unpackableCoding(field), coding, String(field));
});
