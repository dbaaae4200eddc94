import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { it, type TestContext } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { systemTimers } from '../../base/system-timers.ts';
import { httpTransport } from './http-transport.ts';
import type { RetryingTransport } from './retrying-transport.ts';

const BODY = Buffer.from('spans');

async function whole(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

async function to(
  t: TestContext,
  listener: RequestListener,
  gzip = false,
): Promise<{ readonly server: Server; readonly transport: RetryingTransport }> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`;
  const transport = await httpTransport(
    {
      url,
      protocol: 'http/protobuf',
      headers: { 'x-key': 'k' },
      timeoutMs: 1_000,
      gzip,
      tls: { ca: null, cert: null, key: null },
    },
    systemTimers,
  );
  t.after(() => {
    transport.shutdown();
    server.closeAllConnections();
    server.close();
  });
  return { server, transport };
}

it('an export is one request with a length, packed where that is wanted, and its response is read', async (t) => {
  for (const gzip of [false, true]) {
    let fields: IncomingMessage['headers'] = {};
    let got: Buffer = Buffer.alloc(0);
    const { transport } = await to(
      t,
      (request, response) => {
        fields = request.headers;
        void whole(request).then((body) => {
          got = body;
          response.end('said');
        });
      },
      gzip,
    );
    assert.deepEqual(await transport.send(BODY, 5_000), { status: 'success', data: Buffer.from('said') });
    assert.deepEqual(gzip ? gunzipSync(got) : got, BODY);
    assert.equal(fields['content-length'], String(got.length));
    assert.equal(fields['transfer-encoding'], undefined);
    assert.deepEqual([fields['x-key'], fields['content-type']], ['k', 'application/x-protobuf']);
  }
});

it('a collector that drips its response for ever holds an export no longer than its time', async (t) => {
  const { transport } = await to(t, (request, response) => {
    request.resume();
    response.writeHead(200);
    const drip = setInterval(() => response.write('.'), 10);
    response.on('close', () => clearInterval(drip));
  });
  const begunMs = performance.now();
  const result = await transport.send(BODY, 300);
  assert.equal(result.status, 'retryable');
  const tookMs = performance.now() - begunMs;
  assert.ok(tookMs >= 290 && tookMs < 5_000, `${tookMs} ms`);
});

it('a response without end is not gathered', async (t) => {
  const piece = Buffer.alloc(256 * 1_024);
  const { transport } = await to(t, (request, response) => {
    request.resume();
    const more = (): void => {
      while (!response.destroyed && response.write(piece));
    };
    response.on('drain', more);
    more();
  });
  const result = await transport.send(BODY, 20_000);
  assert.equal(result.status, 'failure');
  assert.match(String(result.status === 'failure' && result.error), /more than 1048576 bytes/);
});

it('one that wants everything again at once gets no flood', async (t) => {
  let count = 0;
  const { transport } = await to(t, (request, response) => {
    request.resume();
    count++;
    response.writeHead(503, { 'retry-after': '0' }).end();
  });
  assert.equal((await transport.send(BODY, 450)).status, 'retryable');
  assert.ok(count >= 2 && count <= 5, `${count} requests`);
});

it('one that responds before it has read everything gets no more of it', async (t) => {
  const { server, transport } = await to(t, (_, response) => void response.end());
  const closed = new Promise((resolve) => server.on('connection', (socket) => socket.on('close', resolve)));
  assert.equal((await transport.send(Buffer.alloc(32 * 1_024 * 1_024), 20_000)).status, 'success');
  await closed;
});

it('a connection that was closed while it lay idle costs no try', async (t) => {
  let count = 0;
  const { transport } = await to(t, (request, response) => {
    count++;
    request.resume();
    if (count === 2) request.socket.resetAndDestroy();
    else response.end();
  });
  for (let i = 0; i < 2; i++) assert.equal((await transport.send(BODY, 900)).status, 'success');
  assert.equal(count, 3);
});

it('statuses mean what the specification says', async (t) => {
  let status = 0;
  const { transport } = await to(t, (request, response) => {
    request.resume();
    response.writeHead(status).end();
  });
  for (const [each, means] of [
    [200, 'success'],
    [202, 'success'],
    [302, 'failure'],
    [400, 'failure'],
    [500, 'failure'],
    [429, 'retryable'],
    [502, 'retryable'],
    [503, 'retryable'],
    [504, 'retryable'],
  ] as const) {
    status = each;
    const result = await transport.send(BODY, 200);
    assert.equal(result.status, means, String(each));
    if (result.status === 'failure') assert.equal(result.error.message, `the collector responds ${each}`);
  }
});
