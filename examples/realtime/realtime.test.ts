/**
 * The example through a gateway: who trains sees it, nobody else does, and the audit has each message once, verified.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { parse } from 'yaml';
import { startTestGateway } from '../../test/support/gateway.ts';
import type { Scope } from '../../test/support/scope.ts';
import { until } from '../../test/support/until.ts';
import example from './example.ts';
import { audit } from './services/audit.ts';
import { trainer } from './services/trainer.ts';

const SOON = 60_000;

async function listen(t: Scope, server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}

test('a training is seen by who began it, and the audit has it, verified', { timeout: 120_000 }, async (t) => {
  const { env } = example;
  const ada = env.API_KEY_1.split(':')[0]!;
  const key = env.API_KEY_2.split(':')[0]!;
  const text = await readFile(new URL('gatehouse.yaml', import.meta.url), 'utf8');
  const document = parse(text.replace(/\$\{AUDIT_SECRET\}/, env.AUDIT_SECRET)) as {
    gateway: Record<string, unknown>;
    services: Record<string, { instances: string[] }>;
  };
  let url = '';
  document.services['trainer']!.instances = [
    await listen(
      t,
      trainer(() => url, key, 1),
    ),
  ];
  document.services['audit']!.instances = [await listen(t, audit(env.AUDIT_SECRET))];
  delete document.gateway['port'];
  const gateway = await startTestGateway(
    t,
    { ...document, gateway: { accessLog: 'off' } },
    { ...env, API_KEY_3: 'bob-0123456789abcdef0123456789abcdef:bob:read:standard' },
  );
  url = gateway.url;
  const open = async (apiKey: string): Promise<string[]> => {
    const got: string[] = [];
    const ws = new WebSocket(`ws://127.0.0.1:${gateway.port}/ws`);
    t.after(() => ws.terminate());
    ws.on('message', (data) => void got.push(data.toString()));
    ws.on('open', () => ws.send(JSON.stringify({ type: 'auth', apiKey })));
    await until(() => got.length === 1, 'it is known', SOON);
    return got;
  };
  const [mine, others] = [await open(ada), await open('bob-0123456789abcdef0123456789abcdef')];
  const begun = await fetch(`${url}/train`, { method: 'POST', headers: { 'x-api-key': ada } });
  assert.equal(begun.status, 202);
  await until(() => mine.includes('{"type":"training_complete"}'), 'the end', SOON);
  assert.equal(mine.filter((message) => message.includes('training_progress')).length, 7);
  assert.equal(others.length, 1, 'nothing of hers is his');
  const audited = async (): Promise<unknown[]> =>
    (await (await fetch(`${url}/audit`, { headers: { 'x-api-key': ada } })).json()) as unknown[];
  const giveUpMs = performance.now() + SOON;
  while ((await audited()).length < 8) assert.ok(performance.now() < giveUpMs, 'eight deliveries');
  assert.deepEqual((await audited()).at(-1), {
    subject: 'training.ada.progress',
    data: { type: 'training_complete' },
  });
  const page = await fetch(`${url}/`);
  assert.match(await page.text(), /<progress/);
  const forged = await fetch(document.services['audit']!.instances[0]!, { method: 'POST', body: '{}' });
  assert.equal(forged.status, 401);
});
