import assert from 'node:assert/strict';
import { test } from 'node:test';
import { circles } from './circles.ts';

const graph = (edges: string): Map<string, Set<string>> => {
  const made = new Map<string, Set<string>>();
  for (const edge of edges.split(' ')) {
    const [from = '', to = ''] = edge.split('>');
    made.set(from, (made.get(from) ?? new Set()).add(to));
  }
  return made;
};

test('a graph without circles has none, however its paths meet', () => {
  assert.deepEqual(circles(graph('a>b a>c b>d c>d d>e')), []);
});

test('each circle is found once, with all its members', () => {
  assert.deepEqual(
    circles(graph('a>b b>c c>a c>d d>e e>d e>f')).sort(),
    [
      ['a', 'b', 'c'],
      ['d', 'e'],
    ].sort(),
  );
});

test('two circles that share a node are one', () => {
  assert.deepEqual(circles(graph('a>b b>a b>c c>b')), [['a', 'b', 'c']]);
});
