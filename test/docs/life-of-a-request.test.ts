/**
 * docs/life-of-a-request.md tells the story in at most twelve files; what else it names are side rooms, and all are
 * there.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const MOST_FILES = 12;
const root = new URL('../../', import.meta.url);
const page = readFileSync(new URL('docs/life-of-a-request.md', root), 'utf8');
const filesIn = (text: string): string[] => [
  ...new Set([...text.matchAll(/`((?:src\/data\/|\.\.\/)?[\w-]+\/[\w./-]*)`/g)].map(([, name]) => name!)),
];
const paragraphs = page.split(/\n\n+/);
const story = paragraphs
  .filter((text) => !text.startsWith('Side rooms:'))
  .map((text) => text.replaceAll('src/data/', ''));
const listed = filesIn(story.find((text) => text.startsWith('The story is in'))!).filter((name) =>
  name.endsWith('.ts'),
);

test('the story is told in at most twelve files, which stand in order where it begins', () => {
  assert.ok(listed.length > 0 && listed.length <= MOST_FILES, `${listed.length} files`);
  const told = story.filter((text) => !text.startsWith('The story is in')).join('\n\n');
  assert.deepEqual(
    filesIn(told).filter((name) => name.endsWith('.ts') && !listed.includes(name)),
    [],
    'a file outside the story: it is a side room',
  );
  const first = (name: string): number => page.indexOf(`\`${name}\``, page.indexOf('## accept'));
  for (const name of listed) assert.ok(first(name) > 0, `${name} has its place in the story`);
  assert.deepEqual(
    listed,
    listed.toSorted((a, b) => first(a) - first(b)),
    'in the order of the story',
  );
});

test('every file that the page names is there', () => {
  const named = filesIn(page).filter((name) => name.includes('/'));
  assert.ok(named.length > listed.length);
  assert.deepEqual(
    named.filter((name) => !existsSync(new URL(name.startsWith('src/') ? name : `src/data/${name}`, root))),
    [],
  );
});
