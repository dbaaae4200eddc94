/**
 * A reload that takes a listener away, or makes it stricter: its open connections end, each in the way of its protocol,
 * without the loss of a request; what does not end by itself is cut off when the drain time is over.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { createLogger } from '../../src/base/log.ts';
import * as f from '../../src/data/http2/frames.ts';
import { startGateway } from '../../src/main.ts';
import { Authority } from '../support/certificates.ts';
import { get, Http2Peer } from '../support/http2-peer.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const DRAIN_MS = 3_000;
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

type Listeners = readonly Readonly<Record<string, unknown>>[];

async function running(t: Scope, listeners: Listeners, more: Readonly<Record<string, unknown>> = {}) {
  const held: { finish(): void }[] = [];
  const upstream = await httpUpstream(t, (request, response) => {
    if (request.url === '/') response.end('ok');
    else if (request.url === '/stream') response.write('begun');
    else held.push({ finish: () => response.end('late') });
  });
  const folder = await mkdtemp(join(tmpdir(), 'gh-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'gatehouse.json');
  const write = (now: Listeners): Promise<void> =>
    writeFile(
      file,
      JSON.stringify({
        gateway: {
          listeners: now,
          workers: 1,
          spareWorker: false,
          accessLog: 'off',
          shutdownTimeout: `${DRAIN_MS}ms`,
          ...more,
        },
        services: { s: { instances: [{ url: upstream.url }] } },
        routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
      }),
    );
  await write(listeners);
  const logged: string[] = [];
  const log = createLogger('info', (line) => void logged.push(line));
  const writeLog = (line: string): void => void logged.push(line);
  const gateway = await startGateway({ configFile: file, cwd: folder, env: {}, log, writeLog });
  t.after(() => gateway.stop({ timeoutMs: 200 }).then(() => {}));
  const ports = Object.fromEntries(gateway.addresses.map(({ id, port }) => [id.split('@', 1)[0]!, port]));
  const change = async (now: Listeners): Promise<void> => {
    await write(now);
    const { ok, problems } = await gateway.reload();
    assert.deepEqual([ok, problems], [true, []]);
  };
  return { held, ports, change, logged };
}

const listener = (name: string, more: Readonly<Record<string, unknown>> = {}) => ({
  name,
  host: '127.0.0.1',
  port: 0,
  ...more,
});

function isRefused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.on('error', () => resolve(true));
  });
}

test('connections of a listener that a reload took away end; others do not notice', { timeout: 60_000 }, async (t) => {
  const { held, ports, change, logged } = await running(t, [listener('x'), listener('y')]);
  const [x, y] = [ports['x']!, ports['y']!];
  const [stays, used, idle, busy, stream] = [x, y, y, y, y].map((port) => new RawCaller(port));
  for (const caller of [stays!, used!, idle!]) assert.equal((await caller.send(GET).answer()).status, 200);
  busy!.send('GET /busy HTTP/1.1\r\nHost: a\r\n\r\n');
  stream!.send('GET /stream HTTP/1.1\r\nHost: a\r\n\r\n');
  const multiplexed = await Http2Peer.connect(t, y);
  multiplexed.headers(1, get('/busy'));
  await until(() => held.length === 2, 'two requests are at the service');
  await until(() => stream!.received.includes('begun'), 'the stream has begun');

  await change([listener('x')]);
  assert.equal(await isRefused(y), true);
  // A request that was on its way when the listener went.
  const last = await used!.send(GET).answer();
  assert.deepEqual([last.status, last.headers['connection']], [200, 'close']);
  await idle!.end();
  await multiplexed.frame(({ type, payload }) => type === f.GOAWAY && payload.readUInt32BE(4) === f.NO_ERROR);
  for (const { finish } of held) finish();
  const late = await busy!.answer();
  assert.deepEqual([late.status, late.headers['connection'], late.body.toString()], [200, 'close', 'late']);
  await busy!.end();
  assert.equal((await multiplexed.response(1)).body, 'late');
  await multiplexed.closed();
  // What does not end is cut off.
  await stream!.end();
  await until(() => logged.some((line) => /a reload took their listener away/.test(line)), 'the log says so');
  const again = await stays!.send(GET).answer();
  assert.deepEqual([again.status, again.headers['connection']], [200, undefined]);
  stays!.close();
});

test('fewer protocols, or another authority of client certificates, end connections that came before', {
  timeout: 60_000,
}, async (t) => {
  const { cert, key, folder, other } = await certificates(t);
  const tls = (clientCa: string) => ({
    certificates: [{ cert, key }],
    clientCertificate: 'optional',
    clientCa: join(clientCa, 'ca.crt'),
  });
  const { ports, change } = await running(t, [listener('plain'), listener('secure', { tls: tls(folder) })]);
  const multiplexed = await Http2Peer.connect(t, ports['plain']!);
  multiplexed.headers(1, get('/'));
  assert.equal((await multiplexed.response(1)).status, '200');
  const secure = new RawCaller(ports['secure']!, true);
  assert.equal((await secure.send(GET).answer()).headers['connection'], undefined);

  // Nothing is stricter: nothing ends.
  await change([listener('plain'), listener('secure', { tls: tls(folder) })]);
  assert.equal((await secure.send(GET).answer()).headers['connection'], undefined);

  await change([listener('plain', { protocols: ['h1'] }), listener('secure', { tls: tls(other) })]);
  assert.equal((await secure.send(GET).answer()).headers['connection'], 'close');
  await multiplexed.frame(({ type }) => type === f.GOAWAY);
  await multiplexed.closed();
  const fresh = new RawCaller(ports['plain']!);
  assert.equal((await fresh.send(GET).answer()).headers['connection'], undefined);
  fresh.close();
});

test('sockets whose PROXY header or TLS handshake is under way when their listener goes or gets stricter end, too', {
  timeout: 60_000,
}, async (t) => {
  const { cert, key, folder, other } = await certificates(t);
  const secured = (clientCa: string) =>
    listener('secure', {
      tls: { certificates: [{ cert, key }], clientCertificate: 'optional', clientCa: join(clientCa, 'ca.crt') },
      proxyProtocol: true,
    });
  const plain = listener('plain', { proxyProtocol: true });
  const stays = listener('stays');
  const trusted = { trustProxy: ['127.0.0.1'] };
  const { ports, change } = await running(t, [stays, plain, secured(folder)], trusted);
  const header = 'PROXY TCP4 203.0.113.8 198.51.100.1 5555 443\r\n';
  const early = new RawCaller(ports['plain']!).send(header.slice(0, 20));
  // Its handshake begins when this has been read.
  const handshaking = connect({ port: ports['secure']!, host: '127.0.0.1' });
  t.after(() => void handshaking.destroy());
  handshaking.write(header);
  // The kernel hands sockets over in turn: who came before a response has been accepted.
  const after = new RawCaller(ports['plain']!).send(`${header}${GET}`);
  assert.equal((await after.answer()).headers['connection'], undefined);
  const turn = connectTls({ socket: await proxied(ports['secure']!, header), rejectUnauthorized: false });
  await once(turn, 'secureConnect');
  turn.destroy();

  await change([stays, secured(other)]);
  const last = await early.send(`${header.slice(20)}${GET}`).answer();
  assert.deepEqual([last.status, last.headers['connection']], [200, 'close']);
  const secure = connectTls({ socket: handshaking, rejectUnauthorized: false });
  secure.write(GET);
  const [head] = (await once(secure, 'data')) as [Buffer];
  assert.match(head.toString('latin1'), /^HTTP\/1\.1 200 .*\r\nconnection: close\r\n/is);
  secure.destroy();
  after.close();
});

async function proxied(port: number, header: string): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' });
  await new Promise((resolve) => socket.write(header, resolve));
  return socket;
}

async function certificates(t: Scope) {
  const authority = await Authority.create(t);
  const { folder: other } = await Authority.create(t);
  const { cert, key } = await authority.issue('gateway', ['127.0.0.1']);
  return { cert, key, folder: authority.folder, other };
}
