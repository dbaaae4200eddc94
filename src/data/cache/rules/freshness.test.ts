import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ABSENT } from './directives.ts';
import { ageOf, initialAge, lifetimeOf } from './freshness.ts';
import { responseHead } from './head.suite.ts';
import { governing } from './targeted.ts';

const NOW = Date.UTC(2026, 10, 29, 12);
const at = (seconds: number): string => new Date(NOW + seconds * 1000).toUTCString();

function lifetime(...lines: string[]): number {
  const head = responseHead(200, ...lines);
  const { directives, isTargeted } = governing(head, ['cdn-cache-control']);
  return lifetimeOf(head, directives, isTargeted, NOW);
}

test('RFC 9111 §4.2.1: s-maxage before max-age before Expires', () => {
  assert.equal(lifetime('Cache-Control: max-age=1, s-maxage=60', `Expires: ${at(5)}`, `Date: ${at(0)}`), 60);
  assert.equal(lifetime('Cache-Control: max-age=1', `Expires: ${at(5)}`, `Date: ${at(0)}`), 1);
  assert.equal(lifetime(`Expires: ${at(5)}`, `Date: ${at(0)}`), 5);
  assert.equal(lifetime(`Expires: ${at(5)}`, `Date: ${at(-10)}`), 15);
  assert.equal(lifetime(`Expires: ${at(-5)}`, `Date: ${at(0)}`), 0);
  assert.equal(lifetime('Content-Type: text/plain'), ABSENT);
});

test('RFC 9111 §5.3: an invalid Expires is in the past', () => {
  assert.equal(lifetime('Expires: 0'), 0);
  assert.equal(lifetime(`Expires: ${at(5)}, ${at(5)}`), 0);
});

test('RFC 9213 §2.2: beside a targeted field Expires says nothing', () => {
  assert.equal(lifetime('CDN-Cache-Control: public', `Expires: ${at(5)}`), ABSENT);
});

test('RFC 9111 §4.2.3: the age is what Date or Age and the time on the way say, whichever is more', () => {
  const age = (...lines: string[]): number => initialAge(responseHead(200, ...lines), NOW - 2_000, NOW);
  assert.equal(age(`Date: ${at(0)}`), 0);
  assert.equal(age(`Date: ${at(-7)}`), 7);
  assert.equal(age(`Date: ${at(0)}`, 'Age: 30'), 32);
  assert.equal(age(`Date: ${at(-100)}`, 'Age: 30'), 100);
  assert.equal(age(`Date: ${at(50)}`), 0);
  assert.equal(age('Age: 30'), 32);
});

test('RFC 9111 §5.1: of several ages the first counts; what is no number is none', () => {
  const age = (...lines: string[]): number => initialAge(responseHead(200, ...lines), NOW, NOW);
  assert.equal(age('Age: 7200, 0'), 7200);
  assert.equal(age('Age: 0', 'Age: 7200'), 0);
  for (const bad of ['abc', '-7200', '7200.0', '7200;foo=bar']) assert.equal(age(`Age: ${bad}`), 0, bad);
});

test('RFC 9111 §5.1: Age in whole seconds, never negative, never more than fits', () => {
  assert.equal(ageOf(NOW, NOW + 1_999), 1);
  assert.equal(ageOf(NOW + 5_000, NOW), 0);
  assert.equal(ageOf(0, Number.MAX_SAFE_INTEGER), 2_147_483_648);
});
