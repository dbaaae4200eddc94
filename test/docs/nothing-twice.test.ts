/** A merge can put the same section into a page twice: headings of a page, and its longer paragraphs, differ. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LONG = 120;

test('nothing stands twice on a page', () => {
  for (const path of globSync('{*.md,docs/**/*.md,examples/**/*.md}', { cwd: ROOT })) {
    const seen = new Set<string>();
    // Examples of code may well be alike.
    const prose = readFileSync(`${ROOT}/${path}`, 'utf8').replaceAll(/```.*?```/gs, '');
    for (const part of prose.split(/\n\n|\n(?=- )/).map((each) => each.trim())) {
      if (!part.startsWith('## ') && part.length < LONG) continue;
      // Pages that are made have a table for each thing, and two things may take the same.
      if (part.startsWith('|') && path.startsWith('docs/reference/')) continue;
      assert.ok(!seen.has(part), `${path} says twice: ${part.slice(0, 100)}`);
      seen.add(part);
    }
  }
});
