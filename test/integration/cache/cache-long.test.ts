/**
 * Long hits of a client that sends its requests ahead and does not read: each gets what was stored, whatever is purged
 * and stored meanwhile, and no more of them wait than its socket takes.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { startTestGateway } from '../../support/gateway.ts';
import { TEST_CERTIFICATE, TEST_KEY } from '../../support/test-certificate.ts';
import { until } from '../../support/until.ts';
import { httpUpstream } from '../../support/upstream.ts';

const SOON_MS = 60_000;
/** Written in one piece. */
const LENGTH = 200_000;
/** More than the sockets between gateway and client take unread. */
const REQUESTS = 100;
const HOT = Buffer.alloc(LENGTH, 'what is asked for ');
const OTHER = Buffer.alloc(LENGTH, 'something else ');

/** The bodies of responses that all have a length. */
function bodiesOf(bytes: Buffer): Buffer[] {
  const bodies: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const start = bytes.indexOf('\r\n\r\n', at) + 4;
    const head = bytes.toString('latin1', at, start);
    assert.match(head, /^HTTP\/1\.1 200 /);
    at = start + Number(/\r\ncontent-length: (\d+)\r\n/i.exec(head)![1]);
    bodies.push(bytes.subarray(start, at));
  }
  return bodies;
}

for (const scheme of ['http', 'https'] as const) {
  test(`${scheme}: a client that does not read gets what was stored, though it is purged and its memory is wanted`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'gh-long-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    await writeFile(cert, TEST_CERTIFICATE);
    await writeFile(key, TEST_KEY);
    const upstream = await httpUpstream(t, (request, response) => {
      response.writeHead(200, { 'Cache-Control': 'max-age=600', 'Content-Length': LENGTH });
      response.end(request.url === '/hot' ? HOT : OTHER);
    });
    const gateway = await startTestGateway(t, {
      gateway: {
        workers: 1,
        host: undefined,
        port: undefined,
        listeners: [
          { host: '127.0.0.1', port: 0 },
          { host: '127.0.0.1', port: 0, tls: { certificates: [{ cert, key }] } },
        ],
        accessLog: { file: 'access.log' },
      },
      stores: { cacheMemory: '4mb' },
      services: { things: { instances: [{ url: upstream.url }] } },
      routes: [{ match: { path: '/*' }, service: 'things', auth: 'public', cache: {} }],
    });
    const [clear, secure] = gateway.addresses.map(({ port }) => port) as [number, number];
    const url = `http://127.0.0.1:${clear}`;
    const records = async (): Promise<string[]> =>
      (await readFile(join(gateway.folder, 'access.log'), 'utf8').catch(() => ''))
        .split('\n')
        .filter((line) => line.includes('"user_agent":"pipeline"'));

    const socket: Socket =
      scheme === 'http'
        ? connect(clear, '127.0.0.1')
        : connectTls({ port: secure, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] });
    t.after(() => socket.destroy());
    socket.pause();
    await once(socket, scheme === 'http' ? 'connect' : 'secureConnect');
    const line = 'GET /hot HTTP/1.1\r\nHost: localhost\r\nUser-Agent: pipeline\r\n';
    socket.write(`${`${line}\r\n`.repeat(REQUESTS - 1)}${line}Connection: close\r\n\r\n`);
    // It is remembered, and the sockets fill.
    await until(async () => (await records()).some((record) => record.includes('"cache":"hit"')), 'hits', SOON_MS);
    for (let round = 0; round < 3; round++) {
      assert.equal(gateway.primary.cache.purgeAll(), true);
      // Twice the memory.
      for (let i = 0; i < 40; i++) {
        const response = await fetch(`${url}/${round}/${i}`);
        assert.ok(Buffer.from(await response.arrayBuffer()).equals(OTHER));
      }
    }
    assert.ok((await records()).length < REQUESTS, 'it has not got all of them unread');
    const parts: Buffer[] = [];
    socket.on('data', (part: Buffer) => parts.push(part)).resume();
    await once(socket, 'end');
    const bodies = bodiesOf(Buffer.concat(parts));
    assert.equal(bodies.length, REQUESTS);
    for (const body of bodies) assert.ok(body.equals(HOT), 'byte for byte what was stored');
  });
}
