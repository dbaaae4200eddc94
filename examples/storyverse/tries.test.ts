import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { runTries } from '../tries.ts';
import example from './example.ts';
import { startStoryVerse } from './testing.ts';

test('every call that the launcher prints works as it is printed', async (t) => {
  const { url, folder } = await startStoryVerse(t, undefined, example.env);
  const lines = example.tries;
  const out = await runTries({ lines, printed: `http://127.0.0.1:${example.port}`, url, folder });
  const read = (name: string): string => readFileSync(join(folder, name), 'latin1');
  assert.match(out, /"title":"[^"]+","text":"/);
  // Counted a moment later: until then it is reserved.
  assert.match(out, /"quota":"texts"[^}]*"(?:used|reserved)":1/);
  assert.match(out, /"universes":\[/);
  assert.match(read('story.svg'), /^<svg /);
  assert.match(read('story.svg'), /data-figure="fox"/);
  assert.match(read('story.wav'), /^RIFF/);
});
