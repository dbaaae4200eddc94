import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runTries } from '../tries.ts';
import example from './example.ts';
import { setUp } from './set-up.ts';
import { startSystem } from './testing.ts';

test('every call that the launcher prints works as it is printed', async (t) => {
  const commandLine = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));
  const { url, folder } = await startSystem(t, {
    env: { CLUSTER_MODE: 'false' },
    before: (env) => setUp(commandLine, { ...process.env, ...env }),
  });
  const lines = example.tries;
  const out = await runTries({ lines, printed: `http://127.0.0.1:${example.port}`, url, folder });
  assert.match(out, /^served-by: project-manager-\d\r$/im);
  assert.match(out, /"name":"Bridge"/);
  assert.match(out, /"circuitBreakers"/);
  assert.match(out, /^api_gateway_requests_total \d/m);
});
