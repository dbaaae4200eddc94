/** Reload, the death of a worker, and the end of the process, each under load: who loses what. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createLogger } from '../../src/base/log.ts';
import { startGateway } from '../../src/main.ts';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

/** Asks again and again over keep-alive connections until told to stop; counts what it got. */
function load(port: number, callers: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: callers });
  const counts = { ok: 0, failed: 0, errors: [] as string[] };
  let stopped = false;
  const ask = () =>
    new Promise<void>((resolve) => {
      const asked = request({ port, host: '127.0.0.1', path: '/x', agent }, (response) => {
        response.resume().on('end', () => {
          if (response.statusCode === 200) counts.ok++;
          else {
            counts.failed++;
            counts.errors.push(String(response.statusCode));
          }
          resolve();
        });
        response.on('error', (error) => {
          counts.failed++;
          counts.errors.push(error.message);
          resolve();
        });
      });
      asked.on('error', (error: NodeJS.ErrnoException) => {
        counts.failed++;
        counts.errors.push(`${error.code} reused=${asked.reusedSocket}`);
        resolve();
      });
      asked.end();
    });
  const loops = Array.from({ length: callers }, async () => {
    while (!stopped) await ask();
  });
  return {
    counts,
    until: (ok: number) => until(() => counts.ok >= ok, `${ok} answers`, 30_000),
    async stop() {
      stopped = true;
      await Promise.all(loops);
      agent.destroy();
    },
  };
}

const document = (url: string, version: number) => ({
  services: { s: { instances: [{ url }] } },
  routes: [{ match: { path: '/*' }, service: 's', auth: 'public', name: `v${version}` }],
});

describe('a reload under load', () => {
  test('fifty of them lose no request', async (t) => {
    const upstream = await httpUpstream(t, (_request, response) => response.end('ok'));
    const gateway = await startTestGateway(t, { ...document(upstream.url, 0), gateway: { workers: 2 } });
    const traffic = load(gateway.port, 8);
    for (let i = 1; i <= 50; i++) {
      const result = await gateway.reload();
      assert.deepEqual([result.ok, result.version], [true, i + 1]);
      await traffic.until(i * 20);
    }
    await traffic.stop();
    assert.deepEqual(traffic.counts.errors, []);
    t.diagnostic(`50 reloads, ${traffic.counts.ok} requests, ${traffic.counts.failed} lost`);
  });

  test('a bad file changes nothing and says why; a good one is live at once', async (t) => {
    const upstream = await httpUpstream(t, (_request, response) => response.end('ok'));
    const folder = await mkdtemp(join(tmpdir(), 'gh-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, 'gatehouse.json');
    const good = {
      gateway: { host: '127.0.0.1', port: 0, workers: 1, accessLog: 'off' },
      ...document(upstream.url, 1),
    };
    await writeFile(file, JSON.stringify(good));
    const gateway = await startGateway({ configFile: file, env: {}, log: createLogger('silent') });
    t.after(async () => {
      await gateway.stop({ timeoutMs: 500 });
    });
    const ask = async (path: string) => {
      const caller = new RawCaller(gateway.addresses[0]!.port).send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
      const answer = await caller.answer();
      caller.close();
      return answer;
    };
    await writeFile(
      file,
      JSON.stringify({ ...good, routes: [{ match: { path: '/*' }, service: 'nobody', auth: 'public' }] }),
    );
    const refused = await gateway.reload();
    assert.equal(refused.ok, false);
    assert.match(refused.problems.join('\n'), /nobody/);
    assert.equal((await ask('/x')).status, 200);
    await writeFile(
      file,
      JSON.stringify({
        ...good,
        routes: [{ match: { path: '/*' }, respond: { status: 418, body: 'tea' }, auth: 'public' }],
      }),
    );
    assert.equal((await gateway.reload()).ok, true);
    assert.equal((await ask('/x')).status, 418);
  });
});

test('a worker that dies takes its own connections with it, is replaced, and nobody else notices', async (t) => {
  const upstream = await httpUpstream(t, (_request, response) => response.end('ok'));
  const gateway = await startTestGateway(t, { ...document(upstream.url, 0), gateway: { workers: 2 } });
  const traffic = load(gateway.port, 16);
  await traffic.until(100);
  await gateway.primary.workers.terminate(0);
  await until(() => gateway.primary.workers.listening === 2, 'the new worker', 30_000);
  await traffic.until(traffic.counts.ok + 200);
  await traffic.stop();
  // Every caller can lose at most the one request that it had in the worker that died.
  assert.ok(traffic.counts.failed <= 16, `lost ${traffic.counts.failed}: ${traffic.counts.errors.join(', ')}`);
  assert.ok(
    traffic.counts.errors.every((error) => /ECONNRESET|ECONNREFUSED|socket hang up|aborted/.test(error)),
    traffic.counts.errors.join(', '),
  );
  assert.ok(gateway.logged.some((line) => line.includes('a worker ended and is replaced')));
  t.diagnostic(`${traffic.counts.ok} requests answered, ${traffic.counts.failed} lost with the worker`);
});

test('the end: what is in flight finishes, new connections are refused, idle ones close, nothing is cut off', async (t) => {
  let finish: (() => void)[] = [];
  const upstream = await httpUpstream(t, (request, response) => {
    if (request.url === '/slow') finish.push(() => response.end('done'));
    else response.end('ok');
  });
  const gateway = await startTestGateway(t, document(upstream.url, 0));
  const slow = new RawCaller(gateway.port).send('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
  const idle = new RawCaller(gateway.port).send('GET /x HTTP/1.1\r\nHost: a\r\n\r\n');
  await idle.answer();
  await until(() => finish.length > 0, 'the slow request');
  const ended = gateway.stop({ timeoutMs: 5_000 });
  await idle.end();
  const refused = await new RawCaller(gateway.port).end();
  assert.equal(refused.length, 0);
  finish[0]!();
  finish = [];
  const answer = await slow.answer();
  assert.equal(answer.body.toString(), 'done');
  assert.equal(answer.headers['connection'], 'close');
  await slow.end();
  assert.equal(await ended, 0);
});

test('the end under load: every request that reached a service is answered', async (t) => {
  let handled = 0;
  const upstream = await httpUpstream(
    t,
    (_request, response) =>
      void setImmediate(() => {
        handled++;
        response.end('ok');
      }),
  );
  const gateway = await startTestGateway(t, { ...document(upstream.url, 0), gateway: { workers: 2 } });
  const traffic = load(gateway.port, 8);
  await traffic.until(200);
  const cutOff = await gateway.stop({ timeoutMs: 5_000 });
  await traffic.stop();
  assert.equal(cutOff, 0);
  // What failed found no gateway any more: refused, or reset by the kernel before a worker had accepted or read it.
  const others = traffic.counts.errors.filter((error) => !/^ECONNREFUSED|^ECONNRESET|^EPIPE/.test(error));
  assert.deepEqual(others, []);
  assert.equal(traffic.counts.ok, handled);
});
