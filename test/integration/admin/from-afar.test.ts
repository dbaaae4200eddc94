/** `gatehouse status` and `gatehouse reload` of a gateway elsewhere, by its admin API and a token. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLogger } from '../../../src/base/log.ts';
import { commandLine } from '../../../src/cli/command-line.suite.ts';
import { startGateway } from '../../../src/main.ts';

const TOKENS = { viewer: 'viewer-token-that-is-long-enough', operator: 'operator-token-that-is-long-enough' };

test('status and reload work from afar, as far as the role of the token goes', async (t) => {
  const line = commandLine();
  t.after(() => line.remove());
  const path = join(line.folder, 'gateway.yaml');
  const tokens = Object.entries(TOKENS)
    .map(([role, token]) => `{ name: ${role}, role: ${role}, token: ${token} }`)
    .join(', ');
  const text = (body: string): string =>
    `gateway: { host: 127.0.0.1, port: 0, workers: 1, dataDir: ./own, watch: false, accessLog: off }\nadmin: { listen: 127.0.0.1:0, tokens: [${tokens}] }\nroutes: [{ match: { path: /a }, auth: public, respond: { body: ${body} } }]\n`;
  await writeFile(path, text('one'));
  const log = createLogger('silent');
  const gateway = await startGateway({ configFile: path, cwd: line.folder, env: {}, log });
  t.after(() => gateway.stop({ timeoutMs: 500 }));
  const found = gateway.primary.opsSources().features.find((each) => each.sections?.['admin'] !== undefined);
  const { url } = found!.sections!['admin'] as { url: string };
  const body = async (): Promise<string> =>
    await (await fetch(`http://127.0.0.1:${gateway.addresses[0]!.port}/a`)).text();
  line.env = { GATEHOUSE_SERVER: url, GATEHOUSE_TOKEN: TOKENS.operator };

  const status = await line.run('status');
  assert.deepEqual([status.code, status.err], [0, '']);
  assert.match(status.out, /: healthy, up/);
  assert.equal(JSON.parse((await line.run('status', '--json')).out).pid, process.pid);

  await writeFile(path, text('two'));
  const trial = await line.run('reload', '--dry-run');
  assert.deepEqual([trial.code, trial.err, await body()], [0, '', 'one']);
  assert.match(trial.out, /~/);
  const done = await line.run('reload', '--server', url, '--reason', 'release 42');
  assert.deepEqual([done.code, done.err, await body()], [0, '', 'two']);
  assert.match(done.out, /^reloaded: version \d+ is in use\n$/);

  await writeFile(path, 'routs: []\n');
  for (const args of [['reload'], ['reload', '--dry-run']]) {
    const wrong = await line.run(...args);
    assert.equal(wrong.code, 1, args.join(' '));
    assert.match(wrong.err, /unknown key "routs"/, args.join(' '));
  }
  assert.equal(await body(), 'two');

  line.env = { GATEHOUSE_SERVER: url, GATEHOUSE_TOKEN: TOKENS.viewer };
  const refused = await line.run('reload');
  assert.deepEqual([refused.code, refused.err], [5, 'this needs the role operator\n']);
  line.env = { GATEHOUSE_SERVER: url };
  assert.match((await line.run('status')).err, /GATEHOUSE_TOKEN/);
  line.env = { GATEHOUSE_SERVER: 'http://127.0.0.1:1', GATEHOUSE_TOKEN: TOKENS.viewer };
  assert.equal((await line.run('status')).code, 3);
});
