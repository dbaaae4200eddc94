import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ABSENT } from './directives.ts';
import { responseHead } from './head.suite.ts';
import { governing, parseDictionary, parseTargeted } from './targeted.ts';

const TARGETS = ['gatehouse-cache-control', 'cdn-cache-control'];

test('RFC 9213 §2.2: the first targeted field that is valid replaces Cache-Control', () => {
  const head = responseHead(200, 'Cache-Control: max-age=1', 'CDN-Cache-Control: max-age=600, must-revalidate');
  const { directives, isTargeted } = governing(head, TARGETS);
  assert.equal(isTargeted, true);
  assert.equal(directives.maxAge, 600);
  assert.equal(directives.mustRevalidate, true);
  const own = responseHead(200, 'CDN-Cache-Control: no-store', 'Gatehouse-Cache-Control: max-age=5');
  assert.equal(governing(own, TARGETS).directives.maxAge, 5);
  assert.equal(governing(own, TARGETS).directives.noStore, false);
});

test('RFC 9213 §2.1: one that cannot be parsed, or is empty, is ignored', () => {
  for (const bad of [
    '',
    'max-age=',
    'max-age=10, ',
    'MAX-AGE=10',
    'max-age = 10',
    'max-age=10 no-store',
    'max-age="10',
    ',',
  ]) {
    const head = responseHead(200, 'Cache-Control: max-age=1', `CDN-Cache-Control: ${bad}`);
    const { directives, isTargeted } = governing(head, TARGETS);
    assert.equal(isTargeted, false, bad);
    assert.equal(directives.maxAge, 1, bad);
  }
});

test('RFC 9213 §2.1: values of the wrong type are as if the directive were absent; parameters are ignored', () => {
  assert.equal(parseTargeted('max-age="10"')?.maxAge, ABSENT);
  assert.equal(parseTargeted('max-age=10.5')?.maxAge, ABSENT);
  assert.equal(parseTargeted('max-age=-1')?.maxAge, ABSENT);
  assert.equal(parseTargeted('no-store=?0, max-age=10')?.noStore, false);
  assert.equal(parseTargeted('no-store=?1')?.noStore, true);
  assert.equal(parseTargeted('max-age=10;a=b;c')?.maxAge, 10);
  assert.equal(parseTargeted('max-age=1, max-age=20')?.maxAge, 20);
  assert.equal(parseTargeted('x=(a "b" 1);p, max-age=3')?.maxAge, 3);
});

test('RFC 9651 §4.2.2: dictionaries', () => {
  assert.deepEqual(
    parseDictionary('a=1, b;x=2, c=?0, d="q\\"w", e=to/ken, f=:aGk=:, g=@1659578233'),
    new Map<string, unknown>([
      ['a', 1],
      ['b', true],
      ['c', false],
      ['d', '"q\\"w"'],
      ['e', 'to/ken'],
      ['f', ':aGk=:'],
      ['g', '@1659578233'],
    ]),
  );
  assert.equal(parseDictionary('a=(1'), null);
  assert.equal(parseDictionary('a b'), null);
  assert.deepEqual(parseDictionary('  a  '), new Map([['a', true]]));
});
