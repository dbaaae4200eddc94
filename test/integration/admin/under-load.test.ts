/** Going back and forth under load: no request is lost and none is answered by half a configuration. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLogger } from '../../../src/base/log.ts';
import { startGateway } from '../../../src/main.ts';
import { httpUpstream } from '../../support/upstream.ts';

const TOKEN = 'admin-token-that-is-long-enough';
const ROLLBACKS = 20;

test('twenty rollbacks under load lose no request', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gh-rollback-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const first = await httpUpstream(t, (_, response) => void response.end('first'));
  const second = await httpUpstream(t, (_, response) => void response.end('second'));
  const write = (service: string): Promise<void> =>
    writeFile(
      join(folder, 'gatehouse.yaml'),
      JSON.stringify({
        gateway: { host: '127.0.0.1', port: 0, workers: 2, dataDir: './own', accessLog: 'off', watch: false },
        admin: { listen: '127.0.0.1:0', tokens: [{ name: 'a', role: 'admin', token: TOKEN }] },
        services: {
          first: { instances: [{ url: first.url }], pool: { perAddress: '100%' } },
          second: { instances: [{ url: second.url }], pool: { perAddress: '100%' } },
        },
        routes: [{ name: 'all', match: { path: '/a' }, auth: 'public', service }],
      }),
    );
  await write('first');
  const log = createLogger('silent');
  const gateway = await startGateway({ configFile: 'gatehouse.yaml', cwd: folder, env: {}, log });
  t.after(() => gateway.stop({ timeoutMs: 500 }));
  await write('second');
  await gateway.reload();
  const found = gateway.primary.opsSources().features.find(({ sections }) => sections?.['admin'] !== undefined);
  const { url } = found!.sections!['admin'] as { url: string };
  const { port } = gateway.addresses[0]!;

  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  t.after(() => agent.destroy());
  const counts = new Map<string, number>();
  const ask = (): Promise<string> =>
    new Promise((resolve) => {
      get({ host: '127.0.0.1', port, path: '/a', agent }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => resolve(`${response.statusCode} ${text}`));
        response.on('error', (error) => resolve(error.message));
      }).on('error', (error) => resolve(error.message));
    });
  let isOver = false;
  const caller = async (): Promise<void> => {
    while (!isOver) {
      const answer = await ask();
      counts.set(answer, (counts.get(answer) ?? 0) + 1);
    }
  };
  const callers = Array.from({ length: 8 }, caller);
  const total = (): number => [...counts.values()].reduce((sum, count) => sum + count, 0);
  const giveUpMs = performance.now() + 60_000;
  for (let round = 0; round < ROLLBACKS; round++) {
    const before = total();
    const response = await fetch(`${url}/api/config/rollback`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify({ reason: `round ${round}` }),
    });
    assert.equal(response.status, 200, await response.text());
    // Each configuration carries some requests before the next one comes.
    while (total() < before + 20) {
      assert.ok(performance.now() < giveUpMs, `requests come to an end in round ${round}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  isOver = true;
  await Promise.all(callers);
  assert.deepEqual([...counts.keys()].sort(), ['200 first', '200 second'], JSON.stringify([...counts]));
  assert.ok(total() >= ROLLBACKS * 20);
});
