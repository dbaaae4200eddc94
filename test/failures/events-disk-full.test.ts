/**
 * No room for events, in the gateway's own store and in brokers: 503 that says when to come again, other traffic goes
 * on, what was acknowledged is there, and publishing goes on when there is room.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startTestGateway } from '../support/gateway.ts';
import { startNats } from '../support/nats.ts';
import { startDurableRedis } from '../support/redis.ts';
import { largestFile, limitFiles, withoutSignal } from '../support/room.ts';
import type { Scope } from '../support/scope.ts';
import { httpUpstream } from '../support/upstream.ts';

const PROGRAM = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));
const EVENT_BYTES = 16 * 1024;
const MOST = 5_000;
const SOON = 60_000;

function configuration(service: string, engines: object, engine: string) {
  return {
    services: { other: { instances: [service] } },
    events: { engines, streams: { news: { engine, maxEvents: 1_000_000 } } },
    routes: [
      { match: { path: '/other' }, service: 'other', auth: 'public' },
      { match: { path: '/publish' }, publish: { stream: 'news', ackTimeout: '2s' }, auth: 'public' },
      { match: { path: '/news' }, subscribe: { stream: 'news', from: 'earliest' }, auth: 'public' },
    ],
  };
}

async function okService(t: Scope): Promise<string> {
  return (await httpUpstream(t, (_, response) => response.end('ok'))).url;
}

interface Answer {
  readonly status: number;
  readonly id: string;
  readonly retryAfter: string | null;
}

async function publish(url: string): Promise<Answer> {
  const body = JSON.stringify({ text: 'x'.repeat(EVENT_BYTES) });
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${url}/publish`, { method: 'POST', headers, body });
  const { id = '' } = (await response.json()) as { id?: string };
  return { status: response.status, id, retryAfter: response.headers.get('retry-after') };
}

/** Publishes until it is refused for want of room; the ids of what was acknowledged. */
async function fill(url: string): Promise<string[]> {
  const acknowledged: string[] = [];
  while (acknowledged.length < MOST) {
    const { status, id, retryAfter } = await publish(url);
    if (status === 503) {
      assert.ok(Number(retryAfter) > 0, `Retry-After: ${retryAfter}`);
      return acknowledged;
    }
    assert.equal(status, 202);
    acknowledged.push(id);
  }
  throw new Error('it was never full');
}

async function publishAgain(url: string): Promise<string> {
  const giveUpAt = Date.now() + SOON;
  for (;;) {
    const { status, id } = await publish(url);
    if (status === 202) return id;
    assert.equal(status, 503);
    assert.ok(Date.now() < giveUpAt, 'it goes on when there is room');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Subscribes from the first event on, until all of these were there. */
async function holds(url: string, ids: readonly string[]): Promise<void> {
  const abort = new AbortController();
  const { body } = await fetch(`${url}/news`, { signal: abort.signal });
  const missing = new Set(ids);
  let rest = '';
  const giveUp = setTimeout(() => abort.abort(new Error(`${missing.size} events are missing`)), SOON);
  for await (const text of body!.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      if (line.startsWith('data:')) missing.delete((JSON.parse(line.slice(5)) as { id: string }).id);
    }
    if (missing.size === 0) break;
  }
  clearTimeout(giveUp);
  abort.abort();
}

async function otherGoesOn(url: string): Promise<void> {
  for (let i = 0; i < 20; i++) assert.equal((await fetch(`${url}/other`)).status, 200);
}

test('the disk of the gateway is full', { timeout: 180_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'gh-full-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'gatehouse.json');
  const gateway = { host: '127.0.0.1', port: 0, workers: 1, dataDir: folder };
  writeFileSync(file, JSON.stringify({ gateway, ...configuration(await okService(t), {}, 'embedded') }));
  const [program, args] = withoutSignal(process.execPath, [PROGRAM, 'start', file, '--json']);
  const child: ChildProcess = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, NODE_TEST_CONTEXT: '' },
  });
  t.after(async () => {
    const isGone = once(child, 'exit');
    child.kill('SIGKILL');
    await isGone;
  });
  const [line] = (await once(createInterface(child.stdout!), 'line')) as [string];
  const { addresses } = JSON.parse(line) as { addresses: { port: number }[] };
  const url = `http://127.0.0.1:${addresses[0]!.port}`;
  const first = await publish(url);
  limitFiles(child.pid!, largestFile(folder) + 4 * EVENT_BYTES);
  const acknowledged = [first.id, ...(await fill(url))];
  await otherGoesOn(url);
  limitFiles(child.pid!, null);
  acknowledged.push(await publishAgain(url));
  await holds(url, acknowledged);
});

test('Redis has no memory left', { timeout: 180_000 }, async (t) => {
  const server = await startDurableRedis();
  t.after(() => server.stop());
  const engines = { broker: { url: server.url } };
  const { url } = await startTestGateway(t, configuration(await okService(t), engines, 'broker'));
  const first = await publish(url);
  await server.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
  await server.command('CONFIG', 'SET', 'maxmemory', '8mb');
  const acknowledged = [first.id, ...(await fill(url))];
  await otherGoesOn(url);
  await server.command('CONFIG', 'SET', 'maxmemory', '0');
  acknowledged.push(await publishAgain(url));
  await holds(url, acknowledged);
});

test('the disk of NATS is full', { timeout: 180_000 }, async (t) => {
  const server = await startNats();
  t.after(() => server.stop());
  const engines = { broker: { url: server.url } };
  const { url } = await startTestGateway(t, configuration(await okService(t), engines, 'broker'));
  const first = await publish(url);
  server.limitFiles(largestFile(server.folder) + 4 * EVENT_BYTES);
  const acknowledged = [first.id, ...(await fill(url))];
  await otherGoesOn(url);
  server.limitFiles(null);
  // It takes none until it is started again, and then has what it acknowledged.
  await server.kill();
  await server.start();
  acknowledged.push(await publishAgain(url));
  await holds(url, acknowledged);
});
