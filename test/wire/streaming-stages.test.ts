/**
 * Large bodies through stages that look at or change each piece, between a fast side and a slow one: every byte comes
 * out, and memory does not grow with the body.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { policyFile } from '../support/policy-file.ts';
import type { Scope } from '../support/scope.ts';
import { httpUpstream, rawUpstream } from '../support/upstream.ts';

const MB = 1024 ** 2;
const BODY_BYTES = 448 * MB;
/** What such a body may add to the resident memory of gateway, caller and upstream together, in this one process. */
const MAX_GROWTH = 224 * MB;
const BLOCK = 256 * 1024;

const POLICY = `import { bodyStream, definePolicy } from 'gatehouse/policy';
const passes = bodyStream(async function* (pieces) { for await (const piece of pieces) yield piece; });
export default definePolicy({ name: 'passes', create: () => ({ requestBody: passes, responseBody: passes }) });`;

/** Sends `content`, again and again, as fast as it is taken. */
function sendAll(response: ServerResponse, content: Buffer): void {
  let left = BODY_BYTES;
  let at = 0;
  const more = (): void => {
    while (left > 0) {
      const piece = content.subarray(at, at + BLOCK);
      at = (at + piece.length) % content.length;
      left -= piece.length;
      if (!response.write(piece)) break;
    }
    if (left > 0) response.once('drain', more);
    else response.end();
  };
  more();
}

/** Largest resident memory while `run` goes on, less what it was before. */
async function growth(run: () => Promise<void>): Promise<number> {
  const before = process.memoryUsage.rss();
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss());
  }, 20);
  try {
    await run();
  } finally {
    clearInterval(timer);
  }
  return most - before;
}

/** Reads only every other turn of the event loop, so that it is always behind; resolves with the bytes that came. */
function readSlowly(gateway: TestGateway, fields = '', hidden = ''): Promise<number> {
  return new Promise((resolve, reject) => {
    let received = 0;
    const socket = connect(gateway.port, '127.0.0.1');
    socket.write(`GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${fields}\r\n`);
    socket.on('data', (bytes: Buffer) => {
      received += bytes.length;
      if (hidden !== '' && bytes.includes(hidden)) socket.destroy(new Error(`${hidden} is shown`));
      socket.pause();
      setImmediate(() => socket.resume());
    });
    socket.on('end', () => resolve(received));
    socket.on('error', reject);
  });
}

async function inFront(t: Scope, url: string, route: object): Promise<TestGateway> {
  return startTestGateway(t, {
    services: { s: { instances: [{ url }], retries: 0 } },
    routes: [{ match: { path: '/*' }, service: 's', maxRequestSize: '2gb', auth: 'public', ...route }],
  });
}

const line = Buffer.from(`${JSON.stringify({ text: 'x'.repeat(BLOCK - 30), secret: 1 })}\n`);

describe('448 MB', () => {
  const downs = [
    {
      name: 'bodyStream',
      content: Buffer.alloc(BLOCK, 'x'),
      type: 'text/plain',
      fields: '',
      least: BODY_BYTES,
      most: 1.1 * BODY_BYTES,
    },
    {
      name: 'compression',
      // Packs badly, so that there is as much to send as to read, and is longer than the window of zstd, which finds no
      // repeats then. Not gzip: it takes five times as long.
      content: Buffer.from(randomBytes(6 * MB).toString('base64')),
      type: 'text/plain',
      fields: 'Accept-Encoding: zstd\r\n',
      least: BODY_BYTES / 2,
      most: 0.95 * BODY_BYTES,
    },
    {
      name: 'a transform of NDJSON',
      content: line,
      type: 'application/x-ndjson',
      fields: '',
      least: BODY_BYTES * 0.9,
      most: 1.1 * BODY_BYTES,
    },
  ];
  for (const { name, content, type, fields, least, most } of downs)
    test(`down through ${name} to a slow reader stay out of memory`, async (t) => {
      const upstream = await httpUpstream(t, (_request, response) => {
        response.writeHead(200, { 'Content-Type': type });
        sendAll(response, content);
      });
      const route =
        name === 'bodyStream'
          ? { use: [await policyFile(t, POLICY)] }
          : name === 'compression'
            ? { compression: {} }
            : { transform: { response: { hide: [{ fields: ['/secret'] }] } } };
      const gateway = await inFront(t, upstream.url, route);
      let received = 0;
      const grown = await growth(async () => {
        received = await readSlowly(gateway, fields, name === 'a transform of NDJSON' ? '"secret"' : '');
      });
      assert.ok(received > least && received < most, `received ${received} of ${BODY_BYTES}`);
      assert.ok(grown < MAX_GROWTH, `memory grew by ${Math.round(grown / MB)} MB`);
      t.diagnostic(`resident memory grew by ${Math.round(grown / MB)} MB`);
    });

  test('up through bodyStream to a slow upstream stay out of memory', async (t) => {
    let received = 0;
    const upstream = await rawUpstream(t, (socket) =>
      socket.on('data', (bytes: Buffer) => {
        received += bytes.length;
        socket.pause();
        setImmediate(() => socket.resume());
        if (received > BODY_BYTES) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      }),
    );
    const gateway = await inFront(t, upstream.url, { use: [await policyFile(t, POLICY)] });
    const block = Buffer.alloc(BLOCK, 'x');
    const grown = await growth(
      () =>
        new Promise((resolve, reject) => {
          const socket = connect(gateway.port, '127.0.0.1');
          socket.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${BODY_BYTES}\r\n\r\n`);
          let left = BODY_BYTES;
          const more = (): void => {
            while (left > 0) {
              left -= block.length;
              if (!socket.write(block)) break;
            }
            if (left > 0) socket.once('drain', more);
          };
          more();
          socket.on('data', (bytes: Buffer) => {
            assert.match(bytes.toString(), /200 OK/);
            socket.destroy();
            resolve();
          });
          socket.on('error', reject);
        }),
    );
    assert.ok(received > BODY_BYTES);
    assert.ok(grown < MAX_GROWTH, `memory grew by ${Math.round(grown / MB)} MB`);
    t.diagnostic(`resident memory grew by ${Math.round(grown / MB)} MB`);
  });
});
