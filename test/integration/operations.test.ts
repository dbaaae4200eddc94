/** What the settings about the built-in endpoints change in their answers. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startTestGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

async function typeOf(url: string, accept?: string): Promise<string> {
  const response = await fetch(url, accept === undefined ? {} : { headers: { Accept: accept } });
  assert.equal(response.status, 200);
  await response.text();
  return response.headers.get('content-type') ?? '';
}

test('metricsFormat decides what /metrics answers where Accept does not', async (t) => {
  for (const [metricsFormat, want] of [
    [undefined, /^text\/plain; version=0\.0\.4/],
    ['prometheus', /^text\/plain; version=0\.0\.4/],
    ['json', /^application\/json/],
  ] as const) {
    const { url } = await startTestGateway(t, { gateway: metricsFormat === undefined ? {} : { metricsFormat } });
    assert.match(await typeOf(`${url}/metrics`), want);
    assert.match(await typeOf(`${url}/metrics`, 'application/json'), /^application\/json/);
    assert.match(await typeOf(`${url}/metrics`, 'text/plain'), /^text\/plain/);
    assert.match(await typeOf(`${url}/metrics/prometheus`, 'application/json'), /^text\/plain/);
  }
});

test('gateway.version is the version that health reports', async (t) => {
  const { url } = await startTestGateway(t, { gateway: { version: '2.9.0' } });
  const health = (await (await fetch(`${url}/health`)).json()) as { version: string };
  assert.equal(health.version, '2.9.0');
});

test('LOG_LEVEL is the least level of what the process logs', { timeout: 120_000 }, async (t) => {
  const upstream = await httpUpstream(t, (_request, response) => response.end());
  const folder = mkdtempSync(join(tmpdir(), 'gh-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const healthCheck = { interval: 100, unhealthyThreshold: 1 };
  const document = { gateway: { port: 0 }, services: { one: { instances: [upstream.url], healthCheck } } };
  writeFileSync(join(folder, 'gatehouse.json'), JSON.stringify(document));
  const start = (level: string) => {
    const command = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));
    const child = spawn(process.execPath, [command, 'start'], {
      cwd: folder,
      env: { ...process.env, LOG_LEVEL: level, WORKERS: '1' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let text = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    t.after(() => void child.kill('SIGKILL'));
    return { child, logged: (message: string) => text.includes(`"message":"${message}"`) };
  };

  const all = start('INFO');
  await until(() => all.logged('instance healthy'), 'an event of level info', 40_000);
  all.child.kill('SIGTERM');
  await new Promise((resolve) => all.child.once('exit', resolve));
  const before = upstream.connections;
  const some = start('warn');
  await until(() => upstream.connections > before, 'a probe by the second gateway', 40_000);
  await upstream.close();
  await until(() => some.logged('instance unhealthy'), 'an event of level warn', 40_000);
  assert.equal(some.logged('instance healthy'), false);
});
