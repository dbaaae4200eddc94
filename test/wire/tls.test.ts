/** TLS on both sides: names, versions, client certificates, renewal, and large bodies through it all. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { copyFile } from 'node:fs/promises';
import { Agent, createServer as createHttpsServer, request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import type { ConnectionOptions, PeerCertificate } from 'node:tls';
import { connect } from 'node:tls';
import { Authority } from '../support/certificates.ts';
import { startTestGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';
import { suiteScope } from '../support/scope.ts';
import { readAll } from '../support/upstream.ts';

interface Got {
  status: number;
  body: Buffer;
  certificate: PeerCertificate;
}

function ask(
  port: number,
  options: ConnectionOptions & { path?: string; method?: string; body?: Buffer },
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ keepAlive: false, maxCachedSessions: 0 });
    const { body, ...rest } = options;
    const asked = httpsRequest({ ...rest, host: '127.0.0.1', port, agent }, (response) => {
      const certificate = (response.socket as import('node:tls').TLSSocket).getPeerCertificate();
      readAll(response).then(
        (bytes) => resolve({ status: response.statusCode ?? 0, body: bytes, certificate }),
        reject,
      );
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

/** The first error of a connection, or null when it is made and kept for a moment. */
function connectError(port: number, options: ConnectionOptions): Promise<Error | null> {
  return new Promise((resolve) => {
    const socket = connect({ ...options, port, host: '127.0.0.1' });
    socket.on('error', (error) => resolve(error));
    socket.on('secureConnect', () => socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'));
    socket.on('data', () => {
      resolve(null);
      socket.destroy();
    });
    socket.on('end', () => resolve(new Error('closed')));
  });
}

const respond = { match: { path: '/*' }, respond: { status: 200, body: 'hello' }, auth: 'public' };

describe('TLS to callers', () => {
  const scope = suiteScope();
  let authority: Authority;
  before(async () => {
    authority = await Authority.create(scope);
    await authority.issue('one', ['one.example']);
    await authority.issue('wild', ['*.two.example']);
    await authority.issue('caller', ['caller.example']);
  });
  const file = (name: string) => `${authority.folder}/${name}`;

  async function listening(test: Scope, tls: Record<string, unknown>, more: Record<string, unknown> = {}) {
    const gateway = await startTestGateway(test, {
      gateway: {
        listeners: [{ name: 'main', host: '127.0.0.1', port: 0, tls, ...more }],
        port: undefined,
        host: undefined,
      },
      routes: [respond],
    });
    return gateway;
  }

  const two = () => [
    { cert: file('one.crt'), key: file('one.key'), names: ['one.example'] },
    { cert: file('wild.crt'), key: file('wild.key'), names: ['*.two.example'] },
  ];

  test('the certificate is chosen by server name, the first one answers for any other', async (t) => {
    const gateway = await listening(t, { certificates: two() });
    const common = async (servername: string) =>
      (await ask(gateway.port, { servername, rejectUnauthorized: false })).certificate.subject.CN;
    assert.equal(await common('one.example'), 'one.example');
    assert.equal(await common('a.two.example'), '*.two.example');
    assert.equal(await common('a.b.two.example'), 'one.example');
    assert.equal(await common('other.example'), 'one.example');
    const trusted = await ask(gateway.port, { servername: 'one.example', ca: authority.ca.certPem });
    assert.deepEqual([trusted.status, trusted.body.toString()], [200, 'hello']);
  });

  test('TLS 1.1 is refused, and 1.2 where 1.3 is the least', async (t) => {
    const gateway = await listening(t, { certificates: two() });
    assert.match(
      String(
        await connectError(gateway.port, {
          rejectUnauthorized: false,
          maxVersion: 'TLSv1.1',
          minVersion: 'TLSv1',
          ciphers: 'DEFAULT@SECLEVEL=0',
        }),
      ),
      /protocol|version|alert/i,
    );
    const strict = await listening(t, { certificates: two(), minVersion: '1.3' });
    assert.match(
      String(await connectError(strict.port, { rejectUnauthorized: false, maxVersion: 'TLSv1.2' })),
      /version|alert/i,
    );
    assert.equal((await ask(strict.port, { rejectUnauthorized: false })).status, 200);
  });

  test('a required client certificate lets in who has one from the authority, and nobody else', async (t) => {
    const stranger = await Authority.create(t);
    const alien = await stranger.issue('alien', ['alien.example']);
    const gateway = await listening(t, {
      certificates: two(),
      clientCertificate: 'required',
      clientCa: file('ca.crt'),
    });
    const caller = { cert: await read(file('caller.crt')), key: await read(file('caller.key')) };
    assert.equal((await ask(gateway.port, { rejectUnauthorized: false, ...caller })).status, 200);
    assert.notEqual(await connectError(gateway.port, { rejectUnauthorized: false }), null);
    assert.notEqual(
      await connectError(gateway.port, { rejectUnauthorized: false, cert: alien.certPem, key: alien.keyPem }),
      null,
    );
  });

  /** What the gateway says to one who resumes this session, if it takes it; `session` is the newest one given. */
  async function resume(
    port: number,
    options: ConnectionOptions,
  ): Promise<{ status: string; isResumed: boolean; session: Buffer | undefined }> {
    const socket = connect({
      ...options,
      port,
      host: '127.0.0.1',
      servername: 'one.example',
      rejectUnauthorized: false,
    });
    let session: Buffer | undefined;
    let text = '';
    let isResumed = false;
    socket.on('session', (given: Buffer) => {
      session = given;
    });
    socket.on('secureConnect', () => {
      isResumed = socket.isSessionReused();
      socket.write('GET / HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n\r\n');
    });
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1');
    });
    socket.on('error', () => {});
    await new Promise((resolve) => socket.once('close', resolve));
    return { status: text.slice(9, 12), isResumed, session };
  }

  for (const maxVersion of ['TLSv1.3', 'TLSv1.2'] as const)
    for (const clientCertificate of ['required', 'optional'])
      test(`a session is not resumed past a change of the authority (${clientCertificate}, ${maxVersion})`, async (t) => {
        const other = await Authority.create(t);
        const clientCa = join(other.folder, 'clients.crt');
        await copyFile(file('ca.crt'), clientCa);
        const gateway = await listening(t, { certificates: two(), clientCertificate, clientCa });
        const caller = { maxVersion, cert: await read(file('caller.crt')), key: await read(file('caller.key')) };
        const { session } = await resume(gateway.port, caller);
        const again = await resume(gateway.port, { ...caller, ...(session && { session }) });
        assert.deepEqual([again.status, again.isResumed], ['200', true]);
        await copyFile(other.ca.cert, clientCa);
        assert.equal((await gateway.reload()).ok, true);
        for (const credential of [caller, { maxVersion }]) {
          const past = await resume(gateway.port, { ...credential, ...(session && { session }) });
          assert.deepEqual([past.status, past.isResumed], [clientCertificate === 'required' ? '' : '200', false]);
        }
      });

  test('a session of a listener that asks for no certificate is not resumed at one that requires it', async (t) => {
    const tls = { certificates: two() };
    const strict = { ...tls, clientCertificate: 'required', clientCa: file('ca.crt') };
    const lax = { ...tls, clientCertificate: 'optional', clientCa: file('ca.crt') };
    const gateway = await startTestGateway(t, {
      gateway: {
        listeners: [tls, lax, strict].map((each, i) => ({ name: `l${i}`, host: '127.0.0.1', port: 0, tls: each })),
        port: undefined,
        host: undefined,
      },
      routes: [respond],
    });
    const [open, asks, closed] = gateway.addresses.map(({ port }) => port) as [number, number, number];
    for (const port of [open, asks]) {
      const { session, status } = await resume(port, {});
      assert.equal(status, '200');
      assert.ok(session, 'there is one to offer');
      assert.deepEqual((({ status, isResumed }) => [status, isResumed])(await resume(closed, { session })), [
        '',
        false,
      ]);
    }
  });

  test('a renewed certificate is served after a reload, without a restart', async (t) => {
    await copyFile(file('one.crt'), file('live.crt'));
    await copyFile(file('one.key'), file('live.key'));
    const gateway = await listening(t, { certificates: [{ cert: file('live.crt'), key: file('live.key') }] });
    const first = (await ask(gateway.port, { rejectUnauthorized: false })).certificate.fingerprint256;
    await authority.issue('renewed', ['one.example']);
    await copyFile(file('renewed.crt'), file('live.crt'));
    await copyFile(file('renewed.key'), file('live.key'));
    assert.equal((await gateway.reload()).ok, true);
    assert.notEqual((await ask(gateway.port, { rejectUnauthorized: false })).certificate.fingerprint256, first);
  });

  test('bytes that are no handshake close the connection and nothing else', async (t) => {
    const gateway = await listening(t, { certificates: two() });
    const socket = connectTcp(gateway.port, '127.0.0.1');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => {});
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    socket.resume();
    await closed;
    assert.equal((await ask(gateway.port, { rejectUnauthorized: false })).status, 200);
  });

  test('the PROXY header comes before the handshake', async (t) => {
    const gateway = await startTestGateway(t, {
      gateway: {
        listeners: [{ name: 'main', host: '127.0.0.1', port: 0, tls: { certificates: two() }, proxyProtocol: true }],
        port: undefined,
        host: undefined,
        trustProxy: ['127.0.0.1'],
      },
      routes: [respond],
    });
    const plain = connectTcp(gateway.port, '127.0.0.1');
    plain.write('PROXY TCP4 203.0.113.9 198.51.100.1 5555 443\r\n');
    const secure = connect({ socket: plain, rejectUnauthorized: false });
    secure.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.match((await readAll(secure as never)).toString(), /200 OK[\s\S]*hello$/);
  });
});

describe('TLS to upstreams', () => {
  const scope = suiteScope();
  let authority: Authority;
  before(async () => {
    authority = await Authority.create(scope);
    await authority.issue('up', ['up.example']);
    await authority.issue('gateway', ['gateway.example']);
  });
  const file = (name: string) => `${authority.folder}/${name}`;

  async function upstream(test: Scope, options: { requestCert?: boolean } = {}) {
    const server = createHttpsServer(
      {
        cert: await read(file('up.crt')),
        key: await read(file('up.key')),
        ca: authority.ca.certPem,
        rejectUnauthorized: options.requestCert === true,
        ...options,
      },
      (request, response) => {
        const socket = request.socket as import('node:tls').TLSSocket;
        void readAll(request).then((body) =>
          response.end(
            JSON.stringify({
              name: (socket as { servername?: string }).servername,
              caller: socket.getPeerCertificate().subject?.CN ?? null,
              digest: createHash('sha256').update(body).digest('hex'),
            }),
          ),
        );
      },
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    test.after(() => {
      server.closeAllConnections();
      server.close();
    });
    return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async function through(test: Scope, url: string, tls: Record<string, unknown>) {
    const gateway = await startTestGateway(test, {
      services: { s: { instances: [{ url }], tls, retries: 0 } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    return fetch(`${gateway.url}/`, { method: 'POST', body: 'hello' });
  }

  test('the authority and name are checked, SNI is sent, the client certificate is shown', async (t) => {
    const url = await upstream(t, { requestCert: true });
    const answer = await through(t, url, {
      ca: file('ca.crt'),
      serverName: 'up.example',
      cert: file('gateway.crt'),
      key: file('gateway.key'),
    });
    assert.equal(answer.status, 200);
    assert.deepEqual(await answer.json(), {
      name: 'up.example',
      caller: 'gateway.example',
      digest: createHash('sha256').update('hello').digest('hex'),
    });
  });

  for (const { name, tls } of [
    { name: 'an authority that is not trusted', tls: () => ({ serverName: 'up.example' }) },
    {
      name: 'a name that the certificate does not have',
      tls: () => ({ ca: file('ca.crt'), serverName: 'other.example' }),
    },
  ]) {
    test(`${name} is 502 upstream_tls_failed, and nothing is sent`, async (t) => {
      const answer = await through(t, await upstream(t), tls());
      assert.equal(answer.status, 502);
      assert.equal(((await answer.json()) as { reason: string }).reason, 'upstream_tls_failed');
    });
  }

  test('megabytes pass intact through TLS on both sides, to slow readers too', async (t) => {
    const body = randomBytes(4 * 1024 ** 2 + 99);
    const server = createHttpsServer(
      { cert: await read(file('up.crt')), key: await read(file('up.key')) },
      (_request, response) => response.end(body),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    const gateway = await startTestGateway(t, {
      gateway: {
        listeners: [
          {
            name: 'main',
            host: '127.0.0.1',
            port: 0,
            tls: { certificates: [{ cert: file('up.crt'), key: file('up.key') }] },
          },
        ],
        port: undefined,
        host: undefined,
      },
      services: {
        s: {
          instances: [{ url: `https://127.0.0.1:${(server.address() as AddressInfo).port}` }],
          tls: { ca: file('ca.crt'), serverName: 'up.example' },
        },
      },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    const digest = createHash('sha256').update(body).digest('hex');
    const read1 = (slow: boolean): Promise<string> =>
      new Promise((resolve, reject) => {
        const hash = createHash('sha256');
        httpsRequest({ host: '127.0.0.1', port: gateway.port, rejectUnauthorized: false, agent: false }, (response) => {
          response.on('data', (chunk: Buffer) => {
            hash.update(chunk);
            if (!slow) return;
            response.pause();
            setImmediate(() => response.resume());
          });
          response.on('end', () => resolve(hash.digest('hex')));
        })
          .on('error', reject)
          .end();
      });
    for (const got of await Promise.all([read1(true), read1(true), read1(true), read1(false)]))
      assert.equal(got, digest);
  });
});

async function read(path: string): Promise<string> {
  return (await import('node:fs/promises')).readFile(path, 'utf8');
}
