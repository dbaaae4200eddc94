import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePattern, encodePart, subjectProblem } from './subjects.ts';

test('patterns match whole parts', () => {
  const rows: [pattern: string, subject: string, want: boolean][] = [
    ['>', 'a', true],
    ['>', 'a.b.c', true],
    ['a.>', 'a', false],
    ['a.>', 'a.b', true],
    ['a.>', 'ab.c', false],
    ['a.*', 'a.b', true],
    ['a.*', 'a', false],
    ['a.*', 'a.b.c', false],
    ['*.b.>', 'x.b.c.d', true],
    ['*.b.>', 'x.b', false],
    ['a.b', 'a.b', true],
    ['a.b', 'a.bc', false],
  ];
  for (const [pattern, subject, want] of rows) {
    assert.equal(compilePattern(pattern)(subject), want, `${pattern} and ${subject}`);
  }
});

test('what is no subject, or no pattern, is told', () => {
  for (const bad of ['', 'a..b', '.a', 'a.', 'a b', 'a\nb', 'a.>.b', 'x'.repeat(256), 'a*', 'é']) {
    assert.notEqual(subjectProblem(bad, true), undefined, bad);
  }
  for (const pattern of ['>', 'a.*', 'a.>']) {
    assert.equal(subjectProblem(pattern, true), undefined);
    assert.notEqual(subjectProblem(pattern, false), undefined);
  }
});

test('any text becomes one part, and two texts never the same one', () => {
  const texts = ['a', 'a.b', 'a%2Eb', '>', '*', ' ', '\u0000', 'é', '🐘', '%', 'a%', 'A@b.c', '..', '\n'];
  const parts = texts.map(encodePart);
  for (const part of parts) assert.equal(subjectProblem(part, false), undefined, part);
  assert.equal(new Set(parts).size, texts.length);
});
