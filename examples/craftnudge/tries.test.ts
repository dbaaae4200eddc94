import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runTries } from '../tries.ts';
import example from './example.ts';
import { startCraftNudge } from './testing.ts';

test('every call that the launcher prints works as it is printed', async (t) => {
  const { url, folder } = await startCraftNudge(t);
  const lines = example.tries;
  const out = await runTries({ lines, printed: `http://127.0.0.1:${example.port}`, url, folder });
  assert.match(out, /"commit_hash":"3f786850e387550fdab836ed7e6dc881de23001b"/);
  assert.match(out, /"message":"Invalid commit hash format"/);
  assert.match(out, /"peak_hours":/);
  assert.match(out, /"stream":"notifications"/);
  assert.match(out, /"commits":\{"commits":\[\{"commit_hash":"3f78/);
});
