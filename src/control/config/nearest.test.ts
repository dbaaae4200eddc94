import assert from 'node:assert/strict';
import { test } from 'node:test';
import { editDistance, nearest } from './nearest.ts';

const KEYS = ['instances', 'loadBalancing', 'timeout', 'timeouts', 'retries', 'circuitBreaker', 'tls', 'zone'];

const rows = [
  { word: 'retrys', want: 'retries' },
  { word: 'retry', want: 'retries' },
  { word: 'instance', want: 'instances' },
  { word: 'loadbalancing', want: 'loadBalancing' },
  { word: 'load_balancing', want: 'loadBalancing' },
  { word: 'timeuot', want: 'timeout' },
  { word: 'circutBreaker', want: 'circuitBreaker' },
  { word: 'tsl', want: 'tls' },
  { word: 'zones', want: 'zone' },
  { word: 'colour', want: undefined },
  { word: 'x', want: undefined },
  { word: '', want: undefined },
];

for (const { word, want } of rows) {
  test(`the nearest key of "${word}" is ${want ?? 'none'}`, () => {
    assert.equal(nearest(word, KEYS), want);
  });
}

test('a swap of neighbours is one edit', () => {
  assert.equal(editDistance('host', 'hsot'), 1);
  assert.equal(editDistance('kitten', 'sitting'), 3);
  assert.equal(editDistance('', 'abc'), 3);
});
