import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { PHASES } from './vocabulary.ts';

test('docs/life-of-a-request.md has a heading for each phase, in order', () => {
  const page = readFileSync(new URL('../../docs/life-of-a-request.md', import.meta.url), 'utf8');
  const headings = [...page.matchAll(/^## (.+)$/gm)].map((match) => match[1]);
  assert.deepEqual(headings, [...PHASES]);
});
