/** Large bodies between a fast side and a slow one: every byte arrives, and memory does not grow with the body. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';
import { httpUpstream, rawUpstream } from '../support/upstream.ts';

const GIGABYTE = 1024 ** 3;
/**
 * What a gigabyte may add to the resident memory of gateway, caller and upstream together (they share this process).
 */
const MAX_GROWTH = 160 * 1024 ** 2;

async function inFront(test: Scope, url: string) {
  return startTestGateway(test, {
    services: { s: { instances: [{ url }] } },
    routes: [{ match: { path: '/*' }, service: 's', maxRequestSize: '2gb', auth: 'public' }],
  });
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

describe('a gigabyte', () => {
  test('down to a slow reader stays out of memory', async (t) => {
    const block = Buffer.alloc(256 * 1024, 'x');
    const upstream = await httpUpstream(t, (_request, response) => {
      response.writeHead(200, { 'Content-Length': GIGABYTE });
      let left = GIGABYTE;
      const more = (): void => {
        while (left > 0) {
          left -= block.length;
          if (!response.write(block)) break;
        }
        if (left > 0) response.once('drain', more);
        else response.end();
      };
      more();
    });
    const gateway = await inFront(t, upstream.url);
    let received = 0;
    const grown = await growth(
      () =>
        new Promise((resolve, reject) => {
          const socket = connect(gateway.port, '127.0.0.1');
          socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
          socket.on('data', (bytes: Buffer) => {
            received += bytes.length;
            // Reads only every other turn of the event loop, so that it is always behind.
            socket.pause();
            setImmediate(() => socket.resume());
          });
          socket.on('end', resolve);
          socket.on('error', reject);
        }),
    );
    assert.ok(received > GIGABYTE, `received ${received}`);
    assert.ok(grown < MAX_GROWTH, `memory grew by ${Math.round(grown / 1024 ** 2)} MB`);
    t.diagnostic(`resident memory grew by ${Math.round(grown / 1024 ** 2)} MB`);
  });

  test('up to a slow upstream stays out of memory', async (t) => {
    let received = 0;
    const upstream = await rawUpstream(t, (socket) =>
      socket.on('data', (bytes: Buffer) => {
        received += bytes.length;
        socket.pause();
        setImmediate(() => socket.resume());
        if (received > GIGABYTE) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      }),
    );
    const gateway = await inFront(t, upstream.url);
    const block = Buffer.alloc(256 * 1024, 'x');
    const grown = await growth(
      () =>
        new Promise((resolve, reject) => {
          const socket = connect(gateway.port, '127.0.0.1');
          socket.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${GIGABYTE}\r\n\r\n`);
          let left = GIGABYTE;
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
    assert.ok(received > GIGABYTE);
    assert.ok(grown < MAX_GROWTH, `memory grew by ${Math.round(grown / 1024 ** 2)} MB`);
    t.diagnostic(`resident memory grew by ${Math.round(grown / 1024 ** 2)} MB`);
  });
});

describe('random bytes', () => {
  for (const framing of ['length', 'chunks'] as const) {
    test(`down with ${framing}, to six slow readers and three fast ones at once, arrive as they were sent`, async (t) => {
      const body = randomBytes(8 * 1024 ** 2 + 12_345);
      const digest = createHash('sha256').update(body).digest('hex');
      const upstream = await httpUpstream(t, (_request, response) => {
        if (framing === 'length') response.setHeader('Content-Length', body.length);
        response.end(body);
      });
      const gateway = await inFront(t, upstream.url);
      const read = async (slow: boolean): Promise<string> => {
        const response = await fetch(`${gateway.url}/`);
        const hash = createHash('sha256');
        for await (const chunk of response.body!) {
          hash.update(chunk as Uint8Array);
          if (slow) await new Promise((resolve) => setImmediate(resolve));
        }
        return hash.digest('hex');
      };
      const digests = await Promise.all(Array.from({ length: 9 }, (_, i) => read(i < 6)));
      for (const got of digests) assert.equal(got, digest);
    });

    test(`up with ${framing} arrive as they were sent`, async (t) => {
      const body = randomBytes(8 * 1024 ** 2 + 777);
      const upstream = await httpUpstream(t, (request, response) => {
        const hash = createHash('sha256');
        request.on('data', (chunk: Buffer) => {
          hash.update(chunk);
          request.pause();
          setImmediate(() => request.resume());
        });
        request.on('end', () => response.end(hash.digest('hex')));
      });
      const gateway = await inFront(t, upstream.url);
      const expected = createHash('sha256').update(body).digest('hex');
      const send = async (): Promise<string> => {
        const init = framing === 'length' ? { body } : { body: new Blob([body]).stream(), duplex: 'half' as const };
        return (await fetch(`${gateway.url}/`, { method: 'POST', ...init })).text();
      };
      for (const got of await Promise.all([send(), send(), send()])) assert.equal(got, expected);
    });
  }
});
