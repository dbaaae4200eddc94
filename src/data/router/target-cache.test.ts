import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readTarget, Target } from '../parser/target.ts';
import { TargetCache } from './target-cache.ts';

const viewOf = (bytes: Buffer): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** What is read of a target, and what `readTarget` alone says. */
function both(targets: TargetCache, text: string, method = 'GET') {
  const bytes = Buffer.from(`${method} ${text} HTTP/1.1`, 'latin1');
  const start = method.length + 1;
  const [out, expected] = [new Target(), new Target()];
  // Left over from another request.
  Object.assign(out, {
    path: '/other',
    query: 'x',
    hasQuery: true,
    authority: 'a',
    scheme: 'http',
    isSuspicious: true,
  });
  const problem = targets.read(bytes, viewOf(bytes), start, start + text.length, method, out);
  return { problem, out, expected, expectedProblem: readTarget(text, method, expected) };
}

test('a target reads the same the first time, the second and the hundredth', () => {
  const targets = new TargetCache();
  const texts = ['/', '/j', '/a/b/c', '/a?b=c', '/a?', '/a%2fb', '/a//b', '/a;b', '/a/../b', `/${'x'.repeat(127)}`];
  for (let round = 0; round < 100; round++) {
    for (const text of texts) {
      const { problem, out, expected } = both(targets, text);
      assert.equal(problem, undefined);
      assert.deepEqual(out, expected, text);
    }
  }
});

test('what is refused stays refused, and other forms are not taken for a path', () => {
  const targets = new TargetCache();
  for (let round = 0; round < 5; round++) {
    for (const [text, method] of [
      ['/a#b', 'GET'],
      ['/a%zz', 'GET'],
      ['*', 'GET'],
      ['*', 'OPTIONS'],
      ['http://host/a', 'GET'],
      ['/a', 'CONNECT'],
      ['host:1', 'CONNECT'],
    ] as const) {
      const { problem, expectedProblem, out, expected } = both(targets, text, method);
      assert.equal(problem, expectedProblem, text);
      if (problem === undefined) assert.deepEqual(out, expected, text);
    }
  }
});

test('targets that differ in one byte, or only in length, are told apart, however many there are', () => {
  const targets = new TargetCache();
  const base = '/api/v1/projects/4711/tasks?limit=20';
  const texts = [base, `${base}0`, base.slice(0, -1), '/aaaa', '/aaaaaaaa', '/aaa'];
  for (let i = 1; i < base.length; i++) texts.push(`${base.slice(0, i)}z${base.slice(i + 1)}`);
  for (let i = 0; i < 3_000; i++) texts.push(`/n/${i}`);
  for (let round = 0; round < 4; round++) {
    for (const text of texts)
      for (let again = 0; again < 3; again++) {
        const { out, expected } = both(targets, text);
        assert.deepEqual(out, expected, text);
      }
  }
});

test('a known target makes no new string', () => {
  const targets = new TargetCache();
  for (let i = 0; i < 3; i++) both(targets, '/again/and/again');
  const { out } = both(targets, '/again/and/again');
  const other = both(targets, '/again/and/again').out;
  assert.ok(Object.is(out.path, other.path));
  assert.equal(out.path, '/again/and/again');
});
