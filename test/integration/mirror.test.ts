/** A shadow service gets copies of requests, and can take nothing from who sent them. */
import assert from 'node:assert/strict';
import { createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';
import { readSeries } from '../support/series.ts';
import { until } from '../support/until.ts';
import { echoUpstream, rawUpstream } from '../support/upstream.ts';

async function begin(t: Scope, shadow: Record<string, unknown>): Promise<TestGateway> {
  const main = await echoUpstream(t);
  return startTestGateway(t, {
    services: { main: { instances: [main.url] }, shadow },
    routes: [{ match: { path: '/*' }, service: 'main', auth: 'public', mirror: { service: 'shadow' } }],
  });
}

async function post(gateway: TestGateway, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    const response = await fetch(`${gateway.url}/x`, { method: 'POST', body: 'x'.repeat(10_000) });
    assert.equal(response.status, 200);
    await response.arrayBuffer();
  }
}

async function counted(gateway: TestGateway): Promise<{ sent: number; dropped: number }> {
  const series = await readSeries(gateway.url);
  return { sent: series.get('gatehouse_mirrored_total')!, dropped: series.get('gatehouse_mirror_dropped_total')! };
}

test('a shadow that reads nothing holds as many copies as it has connections; no copy waits for one', async (t) => {
  const shadow = await rawUpstream(t, (socket) => void socket.pause());
  const gateway = await begin(t, {
    instances: [shadow.url],
    pool: { maxConnections: 2 },
    timeouts: { firstByte: '1s' },
    ejection: 'off',
  });
  await post(gateway, 10);
  await until(() => shadow.connections === 2, 'two copies are there');
  assert.deepEqual(await counted(gateway), { sent: 0, dropped: 8 });
  await until(async () => (await counted(gateway)).sent === 2, 'those that were sent ran into their deadline');
  assert.equal(shadow.connections, 2);
});

test('over HTTP/2 it holds as many as there are streams', async (t) => {
  const held: ServerHttp2Stream[] = [];
  const server = createServer({ settings: { maxConcurrentStreams: 3 } });
  server.on('sessionError', () => {});
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.on('error', () => {});
    held.push(stream);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const stream of held) stream.destroy();
    server.close();
  });
  const gateway = await begin(t, {
    instances: [`http://127.0.0.1:${(server.address() as AddressInfo).port}`],
    protocol: 'h2c',
    pool: { maxConnections: 1 },
    ejection: 'off',
  });
  await post(gateway, 1);
  await until(() => held.length === 1, 'the first copy is there');
  await post(gateway, 9);
  await until(() => held.length === 3, 'as many copies as it takes streams');
  assert.deepEqual(await counted(gateway), { sent: 0, dropped: 7 });
  for (const stream of held) stream.respond({ ':status': 204 }, { endStream: true });
  await until(async () => (await counted(gateway)).sent === 3, 'they count as sent');
});

test('a shadow that cannot be reached gets nothing, and that is counted', async (t) => {
  const gone = await rawUpstream(t, () => {});
  await gone.close();
  const gateway = await begin(t, { instances: [gone.url], ejection: 'off' });
  await post(gateway, 3);
  await until(async () => (await counted(gateway)).dropped === 3, 'none was sent');
  assert.equal((await counted(gateway)).sent, 0);
});
