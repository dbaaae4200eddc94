/**
 * Symptom: an authorize function that looked at its request after a pause could see another caller's fields and path.
 * Cause: when a caller left while a policy was waited for, what its request's head needs of memory was given to the
 * next request, with the policy still looking at it.
 * Fix: the memory of a request that a promise was waited for is left to the garbage collector.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { until } from '../support/until.ts';

const DECIDE = `
import { existsSync, writeFileSync } from 'node:fs';
export default async function decide(request) {
  if (request.header('x-who') !== 'early') return true;
  writeFileSync(new URL('./asked', import.meta.url), '');
  while (!existsSync(new URL('./go', import.meta.url))) await new Promise((resolve) => setTimeout(resolve, 5));
  writeFileSync(new URL('./seen', import.meta.url), request.header('x-who') + ' ' + request.path);
  return true;
}
`;

test('a policy that still waits when its caller has left sees its own request', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gh-late-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'decide.mjs'), DECIDE);
  const gateway = await startTestGateway(t, {
    routes: [
      {
        match: { path: '/*' },
        respond: { status: 200, body: 'ok' },
        auth: 'public',
        authorize: { level: 'public', function: { file: join(folder, 'decide.mjs'), timeout: '30s' } },
      },
    ],
  });
  const early = new RawCaller(gateway.port).send('GET /early HTTP/1.1\r\nHost: a\r\nX-Who: early\r\n\r\n');
  await until(() => existsSync(join(folder, 'asked')), 'the function has been asked');
  early.close();
  const late = new RawCaller(gateway.port);
  for (let i = 0; i < 20; i++) {
    assert.equal((await late.send('GET /later HTTP/1.1\r\nHost: a\r\nX-Who: later\r\n\r\n').answer()).status, 200);
  }
  await writeFile(join(folder, 'go'), '');
  await until(() => existsSync(join(folder, 'seen')), 'the function has ended');
  assert.equal(await readFile(join(folder, 'seen'), 'utf8'), 'early /early');
  late.close();
});
