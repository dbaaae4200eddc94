/** Each probe against a real peer on a real socket, good and bad. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { describe, it } from 'node:test';
import { answer, startGrpcHealthServer } from '../../../test/support/grpc-health-server.ts';
import { TEST_CERTIFICATE, TEST_KEY } from '../../../test/support/test-certificate.ts';
import type { HealthCheckInput } from './options.ts';
import { healthCheckOptions, healthCheckSettings } from './options.ts';
import type { ProbeAddress, ProbeOutcome } from './probe.ts';
import type { ProbeKind } from './probes.ts';
import { PROBES } from './probes.ts';

const ADDRESS: ProbeAddress = {
  protocol: 'http',
  host: '127.0.0.1',
  port: 0,
  socketPath: null,
  basePath: '',
  tls: null,
};
const TRUST = { serverName: null, ca: TEST_CERTIFICATE, cert: null, key: null, verify: true };

function probe(
  kind: ProbeKind,
  address: Partial<ProbeAddress>,
  check: HealthCheckInput = {},
  signal = AbortSignal.timeout(5_000),
): Promise<ProbeOutcome> {
  const settings = healthCheckSettings(healthCheckOptions.parse(check));
  return PROBES[kind].run({ ...ADDRESS, ...address }, settings, signal);
}

async function listen(t: TestContext, server: net.Server, path?: string): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => {
    if (path === undefined) server.listen(0, '127.0.0.1', resolve);
    else server.listen(path, resolve);
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return path === undefined ? (server.address() as AddressInfo).port : 0;
}

const serve = (t: TestContext, listener: RequestListener): Promise<number> => listen(t, http.createServer(listener));

/** A port on which nobody listens: taken once, then given back. */
async function deadPort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('http probe', () => {
  it('asks for the path behind the base path, on a connection of its own, with the authority of the instance', async (t) => {
    const seen: unknown[] = [];
    const port = await serve(t, (request, response) => {
      seen.push(request.method, request.url, request.headers.host, request.headers.connection, request.headers['x-a']);
      response.end('fine');
    });
    const outcome = await probe('http', { port, basePath: '/v1' }, { path: '/up?deep=1', headers: { 'X-A': 'b' } });
    assert.deepEqual(outcome, { ok: true, status: 200, reason: null });
    assert.deepEqual(seen, ['GET', '/v1/up?deep=1', `127.0.0.1:${port}`, 'close', 'b']);
  });

  const statuses: { status: number; expectStatus?: HealthCheckInput['expectStatus']; ok: boolean }[] = [
    { status: 204, ok: true },
    { status: 500, ok: false },
    { status: 302, ok: false },
    { status: 302, expectStatus: [200, '300-303'], ok: true },
    { status: 200, expectStatus: 204, ok: false },
  ];
  for (const { status, expectStatus, ok } of statuses) {
    it(`takes status ${status} as ${ok ? 'good' : 'bad'} when ${JSON.stringify(expectStatus) ?? 'nothing else'} is expected`, async (t) => {
      const port = await serve(t, (_, response) => response.writeHead(status).end());
      const outcome = await probe('http', { port }, expectStatus === undefined ? {} : { expectStatus });
      assert.deepEqual(outcome, { ok, status, reason: ok ? null : `status ${status}` });
    });
  }

  it('looks for the expected text and the expected pattern', async (t) => {
    const port = await serve(t, (_, response) => response.end('{"status":"degraded"}'));
    const body = async (expectBody: NonNullable<HealthCheckInput['expectBody']>) =>
      (await probe('http', { port }, { expectBody })).ok;
    assert.equal(await body('degraded'), true);
    assert.equal(await body('healthy'), false);
    assert.equal(await body({ regex: '"status":"(ok|degraded)"' }), true);
    assert.equal(await body({ regex: '^ok$' }), false);
  });

  it('reads no more of an endless body than it may', async (t) => {
    const port = await serve(t, (_, response) => {
      const more = (): void => {
        while (response.write('x'.repeat(1_000)));
      };
      response.on('drain', more);
      more();
    });
    assert.equal((await probe('http', { port }, { maxBody: 5_000 })).ok, true);
    const outcome = await probe('http', { port }, { maxBody: 5_000, expectBody: 'ready' });
    assert.equal(outcome.reason, 'the body does not contain the expected text');
  });

  it('fails on a body that breaks off', async (t) => {
    const port = await serve(t, (_, response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('half');
      setImmediate(() => response.destroy());
    });
    assert.equal((await probe('http', { port })).ok, false);
  });

  it('names a refused connection', async () => {
    const outcome = await probe('http', { port: await deadPort() });
    assert.deepEqual(outcome, { ok: false, status: null, reason: 'connection refused (ECONNREFUSED)' });
  });

  it('names an answer that is not HTTP', async (t) => {
    const port = await listen(
      t,
      net.createServer((socket) => socket.end('SSH-2.0-x\r\n\r\n')),
    );
    assert.match((await probe('http', { port })).reason ?? '', /^the answer is not HTTP \(HPE_/);
  });

  it('settles when it is given up while the peer is silent', async (t) => {
    const controller = new AbortController();
    const port = await serve(t, () => controller.abort());
    assert.equal((await probe('http', { port }, {}, controller.signal)).ok, false);
  });

  it('speaks over a unix socket', { skip: process.platform === 'win32' && 'no unix sockets' }, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'gatehouse-probe-'));
    t.after(() => rm(folder, { recursive: true }));
    const socketPath = join(folder, 's');
    await listen(
      t,
      http.createServer((_, response) => response.end()),
      socketPath,
    );
    assert.equal((await probe('http', { socketPath })).ok, true);
    assert.equal((await probe('tcp', { socketPath })).ok, true);
  });
});

describe('https probe', () => {
  const start = (t: TestContext): Promise<number> =>
    listen(
      t,
      https.createServer({ cert: TEST_CERTIFICATE, key: TEST_KEY }, (_, response) => response.end('ok')),
    );

  it('believes a certificate that chains to the given authority', async (t) => {
    const port = await start(t);
    assert.equal((await probe('https', { port, tls: TRUST })).ok, true);
  });

  it('refuses a certificate of nobody it knows, unless told not to look', async (t) => {
    const port = await start(t);
    const outcome = await probe('https', { port });
    assert.equal(outcome.ok, false);
    assert.match(outcome.reason ?? '', /SELF_SIGNED/);
    assert.equal((await probe('https', { port, tls: { ...TRUST, ca: null, verify: false } })).ok, true);
  });

  it('refuses a certificate for another name', async (t) => {
    const port = await start(t);
    const outcome = await probe('https', { port, tls: { ...TRUST, serverName: 'other.test' } });
    assert.match(outcome.reason ?? '', /ERR_TLS_CERT_ALTNAME_INVALID/);
  });
});

describe('tcp probe', () => {
  it('is content with a connection and sends nothing', async (t) => {
    let bytes = 0;
    let ended: () => void;
    const closed = new Promise<void>((resolve) => {
      ended = resolve;
    });
    const server = net.createServer((socket) => {
      socket.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      socket.on('end', () => ended());
    });
    const port = await listen(t, server);
    assert.deepEqual(await probe('tcp', { port }), { ok: true, status: null, reason: null });
    await closed;
    assert.equal(bytes, 0);
  });

  it('names a refused connection', async () => {
    assert.equal((await probe('tcp', { port: await deadPort() })).reason, 'connection refused (ECONNREFUSED)');
  });
});

describe('grpc probe', () => {
  const start = async (t: TestContext, tls = false) => {
    const server = await startGrpcHealthServer({ tls });
    t.after(() => server.close());
    return server;
  };

  it('is good when the server says SERVING, in clear and over TLS', async (t) => {
    const plain = await start(t);
    assert.deepEqual(await probe('grpc', { port: plain.port }), { ok: true, status: 0, reason: null });
    const secure = await start(t, true);
    assert.equal((await probe('grpc', { port: secure.port, protocol: 'https', tls: TRUST })).ok, true);
  });

  it('asks about the named service', async (t) => {
    const server = await start(t);
    server.statuses.set('shop.Orders', 1);
    const ask = (grpcService: string) => probe('grpc', { port: server.port }, { grpcService });
    assert.equal((await ask('shop.Orders')).ok, true);
    server.statuses.set('shop.Orders', 2);
    assert.deepEqual(await ask('shop.Orders'), { ok: false, status: 0, reason: 'NOT_SERVING' });
    assert.equal((await ask('shop.Nothing')).reason, 'the service name is not known there (grpc-status 5)');
    server.statuses.set('', 0);
    assert.equal((await ask('')).reason, 'UNKNOWN');
  });

  const misbehaviours: {
    name: string;
    misbehave: Parameters<typeof answer>[0] extends infer S ? (s: S) => void : never;
    reason: RegExp;
  }[] = [
    {
      name: 'an HTTP error',
      misbehave: (stream) => stream.respond({ ':status': 503 }, { endStream: true }),
      reason: /^HTTP status 503$/,
    },
    {
      name: 'an answer that is not gRPC',
      misbehave: (stream) => stream.respond({ ':status': 200, 'content-type': 'text/html' }, { endStream: true }),
      reason: /^the answer is not gRPC$/,
    },
    {
      name: 'an answer without a status',
      misbehave: (stream) =>
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { endStream: true }),
      reason: /^the answer has no grpc-status$/,
    },
    {
      name: 'a message that is none',
      misbehave: (stream) => answer(stream, Buffer.from([0x0f])),
      reason: /^the answer is not a health check response$/,
    },
    {
      name: 'a message without end',
      misbehave: (stream) => answer(stream, Buffer.alloc(5_000)),
      reason: /^the answer is too long for a health check$/,
    },
    { name: 'a reset stream', misbehave: (stream) => stream.close(8), reason: /./ },
  ];
  for (const { name, misbehave, reason } of misbehaviours) {
    it(`is bad on ${name}`, async (t) => {
      const server = await start(t);
      server.misbehave = misbehave;
      const outcome = await probe('grpc', { port: server.port });
      assert.equal(outcome.ok, false);
      assert.match(outcome.reason ?? '', reason);
    });
  }

  it('is bad on a server that has no health service', async (t) => {
    const server = await start(t);
    server.misbehave = (stream) =>
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '12' }, { endStream: true });
    const outcome = await probe('grpc', { port: server.port });
    assert.deepEqual([outcome.status, outcome.reason], [12, 'the health service is not implemented (grpc-status 12)']);
  });

  it('is bad on a peer that speaks HTTP/1.1 and on one that is gone', async (t) => {
    const port = await serve(t, (_, response) => response.end());
    assert.equal((await probe('grpc', { port })).ok, false);
    assert.equal((await probe('grpc', { port: await deadPort() })).reason, 'connection refused (ECONNREFUSED)');
  });

  it('settles when it is given up while the peer is silent', async (t) => {
    const server = await start(t);
    const controller = new AbortController();
    server.misbehave = () => controller.abort();
    assert.equal((await probe('grpc', { port: server.port }, {}, controller.signal)).ok, false);
  });
});
