import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { FAULTS } from './errors.ts';

test('docs/errors.md lists exactly the faults of the table, with their numbers and words', () => {
  const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
  const documented = page.split('\n').filter((line) => /^\| `[a-z_0-9]+` \|/.test(line));
  const expected = Object.values(FAULTS).map(
    (kind) =>
      `| \`${kind.reason}\` | ${kind.status} | \`${kind.code}\` | ${kind.phase} | ${kind.side} | ${kind.retry} | ${kind.message} |`,
  );
  assert.deepEqual(documented, expected);
});

test('messages are lower case without a full stop', () => {
  for (const { message } of Object.values(FAULTS)) assert.match(message, /^[a-z].*[^.]$/);
});
