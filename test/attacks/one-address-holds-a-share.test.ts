/**
 * Rule: of what a worker has, one address holds a share: of its connections, of slow bodies, and of the connections to
 * a service. What is slow because of a client is held against nobody else, and not against an instance.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { END_HEADERS, END_STREAM, SETTING_INITIAL_WINDOW_SIZE } from '../../src/data/http2/frames.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { get, Http2Peer } from '../support/http2-peer.ts';
import { RawCaller } from '../support/raw.ts';
import { type Scope, suiteScope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { httpUpstream, readAll } from '../support/upstream.ts';
import { bearer, identityScene, PASSWORD } from './support.ts';

const LARGE = Buffer.alloc(16 * 1024 * 1024, 'x');

const from = (address: string) => ({ 'X-Forwarded-For': address });

async function metric(gateway: TestGateway, name: string): Promise<number> {
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  return Number(new RegExp(`^gatehouse_${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
}

async function statusesOfOthers(gateway: TestGateway, path: string, count: number): Promise<number[]> {
  const one = async (i: number) => {
    const response = await fetch(gateway.url + path, { headers: from(`198.51.100.${i}`) });
    await response.arrayBuffer();
    return response.status;
  };
  return await Promise.all(Array.from({ length: count }, (_, i) => one(i)));
}

/** Asks and reads nothing, until the test ends. */
function slowReader(scope: Scope, gateway: TestGateway, path: string, address: string): Socket {
  const socket = connect(gateway.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.pause();
  socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: ${address}\r\n\r\n`);
  scope.after(() => void socket.destroy());
  return socket;
}

describe('readers of one address that take nothing', () => {
  const scope = suiteScope();
  const setUp = async (pool: object, service: object = {}) => {
    let open = 0;
    const upstream = await httpUpstream(scope, (request, response) => {
      if (request.url !== '/large') {
        response.end('ok');
        return;
      }
      open++;
      response.on('close', () => open--);
      response.end(LARGE);
    });
    const gateway = await startTestGateway(scope, {
      gateway: { trustProxy: ['127.0.0.0/8'] },
      services: {
        s: {
          instances: [upstream.url],
          retries: 0,
          pool: { maxQueued: 100, queueTimeout: '60s', ...pool },
          ...service,
        },
      },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    return { gateway, open: () => open };
  };

  test('500 of them hold three quarters of a pool, and all requests of others get 200', async () => {
    const { gateway, open } = await setUp({ maxConnections: 16 });
    for (let i = 0; i < 500; i++) slowReader(scope, gateway, '/large', `2001:db8:1:2::${i.toString(16)}`);
    await until(() => open() >= 12, 'the share is used up', 30_000);
    for (let round = 0; round < 10; round++)
      assert.deepEqual(await statusesOfOthers(gateway, '/small', 8), new Array(8).fill(200));
    assert.ok(open() <= 12, `${open()} responses are under way to one /64`);
    await until(() => open() <= 12, 'no more than the share');
    assert.ok((await metric(gateway, 'address_waits_total')) > 0);
    assert.ok((await metric(gateway, 'address_refused_total')) > 0);
  });

  test('they hold three quarters of `concurrency` and of its queue too', async () => {
    const concurrency = { maxPerService: 8, maxQueued: 8, queueTimeout: '60s' };
    const { gateway, open } = await setUp({}, { concurrency });
    for (let i = 0; i < 40; i++) slowReader(scope, gateway, '/large', '192.0.2.1');
    await until(() => open() >= 6, 'the share is used up', 30_000);
    for (let round = 0; round < 10; round++) assert.deepEqual(await statusesOfOthers(gateway, '/small', 2), [200, 200]);
    assert.equal(open(), 6);
  });
});

test('callers of handlers and compositions hold no more of a service than those who ask it themselves', async (t) => {
  let open = 0;
  let most = 0;
  const waiting: (() => void)[] = [];
  const upstream = await httpUpstream(t, (request, response) => {
    if (request.url === '/small') {
      response.end('{}');
      return;
    }
    open++;
    most = Math.max(most, open);
    waiting.push(() => {
      open--;
      response.end('{}');
    });
  });
  const folder = await mkdtemp(join(tmpdir(), 'gh-share-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'mine.ts');
  await writeFile(
    file,
    `import { defineHandler } from 'gatehouse/policy';
    export default defineHandler((request, context) => context.fetch('service:s/held'));`,
  );
  const gateway = await startTestGateway(t, {
    gateway: { trustProxy: ['127.0.0.0/8'] },
    services: {
      s: {
        instances: [upstream.url],
        retries: 0,
        pool: { maxConnections: 8, perAddress: '25%', maxQueued: 100, queueTimeout: '60s' },
      },
    },
    routes: [
      { match: { path: '/handled' }, handler: file, auth: 'public' },
      { match: { path: '/composed' }, aggregate: { parts: { a: { service: 's', path: '/held' } } }, auth: 'public' },
      { match: { path: '/*' }, service: 's', auth: 'public' },
    ],
  });
  for (const path of ['/held', '/handled', '/composed']) {
    most = 0;
    const asked = Array.from({ length: 12 }, () =>
      fetch(gateway.url + path, { headers: from('192.0.2.1') }).then((response) => response.status),
    );
    await until(() => open === 2, `${path}: the share is used up`, 30_000);
    assert.deepEqual(await statusesOfOthers(gateway, '/small', 4), [200, 200, 200, 200]);
    const done = Promise.all(asked).then(() => true);
    let isDone = false;
    void done.then(() => {
      isDone = true;
    });
    await until(
      () => {
        waiting.shift()?.();
        return isDone;
      },
      `${path}: all are done`,
      30_000,
    );
    assert.equal(most, 2, path);
  }
});

test('an address has a share of the connections; the next is closed, and others come in', async (t) => {
  const gateway = await startTestGateway(t, {
    gateway: { limits: { maxConnections: 40, perAddress: { connections: '25%' } } },
    routes: [{ match: { path: '/*' }, respond: { body: 'ok' }, auth: 'public' }],
  });
  const callers = Array.from({ length: 15 }, () => new RawCaller(gateway.port));
  await until(() => callers.filter(({ closed }) => closed).length >= 5, 'five are closed');
  const open = callers.filter(({ closed }) => !closed);
  assert.equal(open.length, 10);
  for (const caller of open)
    assert.equal((await caller.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').answer()).status, 200);
  const other = connect({ port: gateway.port, host: '127.0.0.1', localAddress: '127.0.0.2' });
  other.write('GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  let text = '';
  for await (const bytes of other) text += bytes;
  assert.match(text, /^HTTP\/1.1 200 /);
  assert.match(text, /^gatehouse_address_connections_refused_total 5$/m);
  assert.ok(
    gateway.logged.some(
      (line) => line.includes('connection limit of an address reached') && line.includes('127.0.0.1'),
    ),
  );
  open[0]!.close();
  await until(() => {
    const next = new RawCaller(gateway.port);
    callers.push(next);
    return callers.filter(({ closed }) => !closed).length > 10;
  }, 'one that left makes room');
  for (const caller of callers) caller.close();
});

test('an address has so many slow bodies; more of them end with 408, the slowest first, and those of others go on', async (t) => {
  const upstream = await httpUpstream(t, (request, response) => {
    void readAll(request).then(
      (body) => response.end(String(body.length)),
      () => {},
    );
  });
  const gateway = await startTestGateway(t, {
    gateway: { trustProxy: ['127.0.0.0/8'], limits: { perAddress: { slowBodies: 3 } } },
    services: { s: { instances: [upstream.url] } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
  const upload = (address: string, sent: number) =>
    new RawCaller(gateway.port).send(
      `POST /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: ${address}\r\nContent-Length: 1000\r\n\r\n${'x'.repeat(sent)}`,
    );
  const others = ['198.51.100.1', '198.51.100.2'].map((address) => upload(address, 1));
  const better = Array.from({ length: 3 }, () => upload('192.0.2.1', 500));
  const worst = Array.from({ length: 4 }, () => upload('192.0.2.1', 1));
  for (const caller of worst) {
    const { status, body } = await caller.answer('POST');
    assert.equal(status, 408);
    assert.match(body.toString(), /more than 3 request bodies of 192.0.2.1 are slow/);
  }
  for (const caller of better)
    assert.equal((await caller.send('x'.repeat(500)).answer('POST')).body.toString(), '1000');
  for (const caller of others)
    assert.equal((await caller.send('x'.repeat(999)).answer('POST')).body.toString(), '1000');
  assert.equal(await metric(gateway, 'address_bodies_cut_total'), 4);
  assert.ok(gateway.logged.some((line) => line.includes('slow request bodies of an address were ended')));
  for (const caller of [...others, ...better, ...worst]) caller.close();
});

test('a client that sends slowly makes no instance slow: no deadline, breaker or ejection', async (t) => {
  const upstream = await httpUpstream(t, (request, response) => {
    void readAll(request).then(
      (body) => response.end(String(body.length)),
      () => {},
    );
  });
  const gateway = await startTestGateway(t, {
    services: {
      s: {
        instances: [upstream.url],
        requestBuffer: 'off',
        retries: 0,
        timeouts: { firstByte: '700ms', idle: '700ms' },
        circuitBreaker: { timeout: '600ms', volumeThreshold: 1, errorThresholdPercentage: 1 },
      },
    },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
  for (let i = 0; i < 2; i++) {
    const caller = new RawCaller(gateway.port).send('POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na');
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    assert.equal((await caller.send('b').answer('POST')).status, 200);
    caller.close();
  }
});

describe('a least rate for readers', () => {
  const scope = suiteScope();
  test('ends those that take less, over HTTP/1.1 and by windows of HTTP/2, with what they took in the log', async () => {
    const upstream = await httpUpstream(scope, (_request, response) => response.end(Buffer.alloc(64 * 1024 * 1024)));
    const gateway = await startTestGateway(scope, {
      gateway: { accessLog: { file: 'access.log' }, timeouts: { write: '1s' }, limits: { minReadRate: '100mb' } },
      services: { s: { instances: [upstream.url] } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    const stalled = () => {
      const file = join(gateway.folder, 'access.log');
      const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
      return lines.filter((line) => line.includes('"fault":"downstream_stalled"'));
    };
    const reader = connect(gateway.port, '127.0.0.1');
    scope.after(() => void reader.destroy());
    reader.on('error', () => {});
    reader.pause();
    reader.write('GET /x HTTP/1.1\r\nHost: a\r\n\r\n');
    // A little now and then: enough for a deadline that any progress moves.
    const timer = setInterval(() => void reader.read(64 * 1024), 100);
    scope.after(() => clearInterval(timer));
    await until(() => stalled().length === 1, 'the slow reader is ended', 20_000);
    clearInterval(timer);
    assert.match(stalled()[0]!, /"cause":"took \d+ bytes in \d+ ms"/);
    const peer = await Http2Peer.connect(scope, gateway.port, [[SETTING_INITIAL_WINDOW_SIZE, 1_000]]);
    peer.credits = false;
    peer.headers(1, get('/x'), END_HEADERS | END_STREAM);
    await peer.reset(1);
    await until(() => stalled().length === 2, 'its line', 20_000);
    assert.match(stalled()[1]!, /"cause":"took \d+ bytes in \d+ ms"/);
  });
});

test('calls without an account beyond their limit end in the workers, whatever the spelling, and others sign in', async (t) => {
  const { gateway, call, account } = await identityScene(t, {
    gateway: { trustProxy: ['127.0.0.0/8'] },
    identity: {
      addressLimits: { calls: '5/1h' },
      alsoAt: ['/api/v1/auth'],
      oauth: { enabled: true },
      publicUrl: 'https://a.example',
    },
  });
  const { accessToken } = await account('calm');
  const flood = { 'X-Forwarded-For': '2001:db8:1:2::1' };
  const paths = ['/api/auth/login', '/api/v1/auth/login', '/api/auth/refresh', '/api/auth/passkeys/challenge'];
  const statuses: number[] = [];
  for (let i = 0; i < 40; i++) {
    const { status, headers } = await call(
      'POST',
      paths[i % paths.length]!,
      { username: `x${i}`, password: 'y' },
      flood,
    );
    if (status === 429) assert.ok(Number(headers.get('retry-after')) > 0);
    statuses.push(status);
  }
  assert.equal((await call('GET', '/oauth/auth?client_id=x', undefined, flood)).status, 429);
  assert.equal(statuses.filter((status) => status !== 429).length, 5);
  const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
  assert.match(metrics, /^gatehouse_identity_address_refusals_total 0$/m, 'the identity service refused nothing');
  const mine = { ...bearer(accessToken), ...flood };
  assert.equal((await call('GET', '/api/auth/me', undefined, mine)).status, 200, 'who is known is not counted');
  const signIn = { username: 'calm', password: PASSWORD };
  assert.equal((await call('POST', '/api/auth/login', signIn, from('198.51.100.1'))).status, 200);
});

test('made-up codes of a reset or of the first administrator end in the workers after a few, before any look-up', async (t) => {
  const { gateway, call, account } = await identityScene(t, {
    gateway: { trustProxy: ['127.0.0.0/8'] },
    identity: { firstAdmin: 'link' },
  });
  await account('calm');
  const token = 'a-made-up-code-of-enough-length';
  const bodies: readonly [string, object][] = [
    ['/password/reset', { token, newPassword: PASSWORD }],
    ['/setup', { token, email: 'x@example.com', password: PASSWORD }],
    ['/verify-email', { token, password: PASSWORD }],
  ];
  for (const [index, [path, body]] of bodies.entries()) {
    const flood = Array.from({ length: 400 }, () =>
      call('POST', `/api/auth${path}`, body, from(`203.0.113.${index + 1}`)),
    );
    const signIn = { username: 'calm', password: PASSWORD };
    assert.equal((await call('POST', '/api/auth/login', signIn, from('198.51.100.1'))).status, 200, path);
    const answers = await Promise.all(flood);
    assert.equal(answers.filter(({ status }) => status === 400).length <= 50, true, path);
    const ofWorkers = answers.filter(({ body: { reason } }) => reason === 'rate_limit_exceeded').length;
    assert.ok(ofWorkers >= 100, `${path}: the workers refused ${ofWorkers} of 400`);
  }
  assert.ok(!gateway.logged.some((line) => line.includes('"error"')));
});
