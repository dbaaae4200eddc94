import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Problem } from './problems.ts';
import { ConfigurationError, formatKey, formatProblem, sortProblems } from './problems.ts';

const base: Problem = {
  severity: 'error',
  file: 'g.yaml',
  line: 3,
  column: 5,
  key: 'gateway.port',
  message: 'wrong type',
};

test('a problem reads place, key, message, found, expected, nearest', () => {
  const problem = { ...base, got: '"x"', expected: 'a whole number', suggestion: 'y' };
  assert.equal(
    formatProblem(problem),
    'g.yaml:3:5: gateway.port: wrong type (got "x", expected a whole number); did you mean "y"?',
  );
});

test('what is not known is left out', () => {
  assert.equal(formatProblem({ ...base, file: null, line: null, column: null, key: '' }), 'wrong type');
  assert.equal(formatProblem({ ...base, line: null, column: null }), 'g.yaml: gateway.port: wrong type');
  assert.equal(formatProblem({ ...base, severity: 'warning' }), 'g.yaml:3:5: warning: gateway.port: wrong type');
});

test('keys that are no plain words are quoted', () => {
  assert.equal(formatKey(['services', 'a b', 'instances', 0, 'url']), 'services."a b".instances[0].url');
  assert.equal(formatKey([]), '');
});

test('problems are shown in the order of the file, and each once', () => {
  const later = { ...base, line: 9 };
  const nowhere = { ...base, line: null, column: null };
  assert.deepEqual(sortProblems([later, base, { ...base }, nowhere]), [nowhere, base, later]);
});

test('the error that stops a start has all problems in its message', () => {
  const error = new ConfigurationError([base, { ...base, line: 4 }]);
  assert.equal(error.message.split('\n').length, 2);
  assert.equal(error.problems.length, 2);
});
