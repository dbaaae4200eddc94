import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseHttpDate } from './http-date.ts';

const NOW = Date.UTC(2026, 10, 29);
const MOMENT = Date.UTC(1994, 10, 6, 8, 49, 37);

test('RFC 9110 §5.6.7: the three forms of a date are one moment', () => {
  for (const text of ['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994'])
    assert.equal(parseHttpDate(text, NOW), MOMENT, text);
});

test('RFC 9110 §5.6.7: a year of two digits is at most 50 years ahead', () => {
  assert.equal(new Date(parseHttpDate('Thursday, 18-Aug-50 02:01:18 GMT', NOW)).getUTCFullYear(), 2050);
  assert.equal(new Date(parseHttpDate('Thursday, 18-Aug-76 02:01:18 GMT', NOW)).getUTCFullYear(), 2076);
  assert.equal(new Date(parseHttpDate('Thursday, 18-Aug-77 02:01:18 GMT', NOW)).getUTCFullYear(), 1977);
});

test('case means nothing', () => {
  for (const text of [
    'SUN, 06 Nov 1994 08:49:37 GMT',
    'Sun, 06 NOV 1994 08:49:37 gMT',
    'sunday, 06-nov-94 08:49:37 gmt',
    'sun nov  6 08:49:37 1994',
  ])
    assert.equal(parseHttpDate(text, NOW), MOMENT, text);
});

test('what only looks like a date is none', () => {
  for (const text of [
    '0',
    '',
    'never',
    'Thu 18 Aug 2050 02:01:18 GMT',
    'Thu, 18 Aug 2050 02:01:18 UTC',
    'Thu, 18 Aug 50 02:01:18 GMT',
    'Thu, 18 Aug 2050 2:01:18 GMT',
    'Thu, 18 Aug 2050 02.01.18 GMT',
    'Thu, 18 Aug  2050 02:01:18 GMT',
    'Thu, 31 Feb 2050 02:01:18 GMT',
    'Thu, 18 Aug 2050 25:01:18 GMT',
    'Thu, 18 Aug 2050 02:61:18 GMT',
    'Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:18 GMT',
  ])
    assert.ok(Number.isNaN(parseHttpDate(text, NOW)), text);
});
