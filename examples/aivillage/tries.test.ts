import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runTries } from '../tries.ts';
import example from './example.ts';
import { startAiVillage } from './testing.ts';

test('every call that the launcher prints works as it is printed', async (t) => {
  const { url, folder } = await startAiVillage(t, undefined, { API_KEY_1: example.env.API_KEY_1 });
  const lines = example.tries;
  const out = await runTries({ lines, printed: `http://127.0.0.1:${example.port}`, url, folder });
  assert.match(out, /"status":"queued"/);
  assert.match(out, /"response":"[^"]+"/);
  assert.match(out, /\*\*walrus\*\* paints/);
  assert.match(out, /"balanced":true/);
});
