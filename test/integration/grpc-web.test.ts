/**
 * gRPC-Web in front of a gRPC service (grpcio): binary and base64, over HTTP/1.1, statuses, faults, browsers' rules.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Base64Reader, Base64Writer } from '../../src/base/base64-stream.ts';
import * as f from '../../src/data/http2/frames.ts';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { block, frame, Http2Peer } from '../support/http2-peer.ts';
import { suiteScope } from '../support/scope.ts';
import { deadPort } from '../support/upstream.ts';

const PEER = fileURLToPath(new URL('../support/grpc_peer.py', import.meta.url));

interface Read {
  readonly messages: string[];
  readonly trailers: Record<string, string>;
  readonly response: Response;
}

function framed(message: string | Buffer): Buffer {
  const bytes = Buffer.from(message);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** As the protocol's document has it: messages, and a last frame with the trailers. */
function read(bytes: Buffer, response: Response): Read {
  const messages: string[] = [];
  let trailers: Record<string, string> | null = null;
  for (let at = 0; at < bytes.length; ) {
    assert.equal(trailers, null, 'nothing follows the trailers');
    const length = bytes.readUInt32BE(at + 1);
    const content = bytes.toString('latin1', at + 5, at + 5 + length);
    if (bytes[at] === 0x80) {
      const lines = content.split('\r\n').filter((line) => line !== '');
      trailers = Object.fromEntries(
        lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
      );
    } else messages.push(content);
    at += 5 + length;
    assert.ok(at <= bytes.length, 'frames are whole');
  }
  assert.ok(trailers !== null, 'the response ends with its trailers');
  return { messages, trailers, response };
}

describe('gRPC-Web', () => {
  const scope = suiteScope();
  let gateway: TestGateway;
  before(async () => {
    const server = spawn('/usr/bin/python3', [PEER, 'serve'], { stdio: ['ignore', 'pipe', 'inherit'] });
    scope.after(() => void server.kill('SIGKILL'));
    const [first] = (await once(server.stdout, 'data')) as [Buffer];
    gateway = await startTestGateway(scope, {
      services: {
        echo: { instances: [`http://127.0.0.1:${first.toString().trim()}`], protocol: 'grpc', retries: 0 },
        dead: { instances: [`http://127.0.0.1:${await deadPort()}`], protocol: 'grpc', retries: 0 },
      },
      routes: [
        {
          match: { grpc: { service: 'test.Echo' } },
          service: 'echo',
          auth: 'public',
          cors: { origins: 'https://app.test' },
        },
        { match: { grpc: { service: 'test.Dead', method: 'Call' } }, service: 'dead', auth: 'public' },
      ],
    });
  });

  async function call(
    path: string,
    type: string,
    body: Buffer | string,
    headers: Record<string, string> = {},
  ): Promise<Read> {
    const response = await fetch(`${gateway.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': type, 'x-grpc-web': '1', ...headers },
      body: typeof body === 'string' ? body : new Uint8Array(body),
    });
    assert.equal(response.status, 200);
    const bytes = Buffer.from(await response.arrayBuffer());
    const isText = response.headers.get('content-type')!.startsWith('application/grpc-web-text');
    const decoded = isText ? new Base64Reader().read(bytes.toString('latin1')) : bytes;
    assert.ok(decoded !== null, 'the text is base64');
    return read(decoded, response);
  }

  test('a call in binary: metadata in the head, messages, and the trailers as the last frame', async () => {
    const { messages, trailers, response } = await call(
      '/test.Echo/unary',
      'application/grpc-web+proto',
      framed('hello'),
    );
    assert.deepEqual(messages, ['olleh']);
    assert.equal(trailers['grpc-status'], '0');
    assert.equal(trailers['x-trailing'], 'yes');
    assert.equal(response.headers.get('x-initial'), 'yes');
    assert.equal(response.headers.get('content-type'), 'application/grpc-web+proto');
  });

  test('a call as base64, padded in the middle, and many messages back', async () => {
    const bytes = framed('200');
    const text = bytes.subarray(0, 4).toString('base64') + bytes.subarray(4).toString('base64');
    assert.ok(text.slice(0, -4).includes('='), 'padded in the middle');
    const { messages, trailers, response } = await call('/test.Echo/server_stream', 'application/grpc-web-text', text);
    assert.deepEqual(
      messages,
      Array.from({ length: 200 }, (_, i) => `${i}`),
    );
    assert.equal(trailers['grpc-status'], '0');
    assert.equal(response.headers.get('content-type'), 'application/grpc-web-text');
  });

  test('300 KB there and back, in both forms; Accept chooses the form of the response', async () => {
    const large = Buffer.alloc(300_000, 'ab');
    for (const [type, body] of [
      ['application/grpc-web', framed(large)],
      ['application/grpc-web-text+proto', framed(large).toString('base64')],
    ] as const) {
      const { messages } = await call('/test.Echo/unary', type, body);
      assert.equal(messages[0], 'ba'.repeat(150_000));
    }
    const { response, messages } = await call('/test.Echo/unary', 'application/grpc-web+proto', framed('ab'), {
      accept: 'application/grpc-web-text+proto',
    });
    assert.equal(response.headers.get('content-type'), 'application/grpc-web-text+proto');
    assert.deepEqual(messages, ['ba']);
  });

  test('statuses of the service: at once, with details, and in the middle of a stream', async () => {
    const { messages, trailers, response } = await call('/test.Echo/fails', 'application/grpc-web', framed('x'));
    assert.deepEqual(messages, []);
    assert.equal(trailers['grpc-status'], '5');
    assert.equal(decodeURIComponent(trailers['grpc-message']!), 'no such thing: 100% é');
    assert.ok(trailers['grpc-status-details-bin'] !== undefined);
    assert.equal(response.headers.get('grpc-status'), null, 'in one place only');
    const breaks = await call('/test.Echo/breaks', 'application/grpc-web-text', framed('x').toString('base64'));
    assert.deepEqual([breaks.messages, breaks.trailers['grpc-status']], [['one'], '15']);
  });

  test("the gateway's own faults have a status: no route, no instance, text that is no base64", async () => {
    for (const [path, type, body, status] of [
      ['/other.Service/Call', 'application/grpc-web', framed('x'), '12'],
      ['/test.Dead/Call', 'application/grpc-web', framed('x'), '14'],
      ['/test.Dead/Other', 'application/grpc-web', framed('x'), '12'],
      ['/test.Echo/unary', 'application/grpc-web-text', '###not base64###', '13'],
      ['/test.Echo/unary', 'application/grpc-web-text', 'AAAA=AAA', '13'],
      ['/test.Echo/unary', 'application/grpc-web-text', 'AAAAAA', '13'],
    ] as const) {
      const { messages, trailers } = await call(path, type, body);
      assert.deepEqual([messages, trailers['grpc-status']], [[], status], path);
    }
  });

  test('a service that breaks off, or ends without a status, is no success', async (t) => {
    const endings: ((peer: Http2Peer, stream: number) => void)[] = [
      (peer, stream) => peer.data(stream, Buffer.alloc(0), f.END_STREAM),
      (peer, stream) => peer.send(frame(f.RST_STREAM, 0, stream, Buffer.from([0, 0, 0, 2]))),
    ];
    let calls = 0;
    const upstream = await Http2Peer.serve(t, (peer) => {
      void (async () => {
        for (let i = 0; ; i++) {
          const { stream, fields } = await peer.request(i);
          assert.ok(fields.some(([name, value]) => name === 'content-type' && value === 'application/grpc+proto'));
          assert.ok(fields.some(([name, value]) => name === 'te' && value === 'trailers'));
          const head = block([
            [':status', '200'],
            ['content-type', 'application/grpc'],
          ]);
          peer.send(frame(f.HEADERS, f.END_HEADERS, stream, head));
          peer.data(stream, framed('m'));
          endings[calls++]!(peer, stream);
        }
      })().catch(() => {});
    });
    const bad = await startTestGateway(t, {
      services: { s: { instances: [upstream.url], protocol: 'grpc', retries: 0 } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    for (const status of ['13', '14']) {
      const response = await fetch(`${bad.url}/a.B/C`, {
        method: 'POST',
        headers: { 'content-type': 'application/grpc-web+proto' },
        body: new Uint8Array(framed('x')),
      });
      const { messages, trailers } = read(Buffer.from(await response.arrayBuffer()), response);
      assert.deepEqual([messages, trailers['grpc-status']], [['m'], status]);
    }
  });

  test("browsers of the allowed site may send what gRPC-Web needs, and read the status of a response's head", async () => {
    const preflight = await fetch(`${gateway.url}/test.Echo/unary`, {
      method: 'OPTIONS',
      headers: {
        origin: 'https://app.test',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type,grpc-timeout,x-grpc-web,x-user-agent',
      },
    });
    const allowed = preflight.headers.get('access-control-allow-headers')!.split(', ');
    for (const name of ['content-type', 'grpc-timeout', 'x-grpc-web', 'x-user-agent'])
      assert.ok(allowed.includes(name), name);
    const { response } = await call('/test.Echo/fails', 'application/grpc-web', framed('x'), {
      origin: 'https://app.test',
    });
    const exposed = response.headers.get('access-control-expose-headers')!.split(', ');
    for (const name of ['grpc-status', 'grpc-message', 'grpc-status-details-bin'])
      assert.ok(exposed.includes(name), name);
  });
});

test('base64 in pieces of any size is what it was, also when every piece is padded', () => {
  const bytes = Buffer.from(Array.from({ length: 97 }, (_, i) => (i * 37) % 256));
  for (let size = 1; size <= 10; size++) {
    const writer = new Base64Writer();
    let whole = '';
    let padded = '';
    for (let at = 0; at < bytes.length; at += size) {
      whole += writer.write(bytes, at, Math.min(at + size, bytes.length));
      padded += bytes.subarray(at, at + size).toString('base64');
    }
    whole += writer.end();
    assert.equal(whole, bytes.toString('base64'));
    for (const text of [whole, padded]) {
      const reader = new Base64Reader();
      const parts: Buffer[] = [];
      for (let at = 0; at < text.length; at += size) parts.push(reader.read(text.slice(at, at + size))!);
      assert.ok(reader.isWhole);
      assert.deepEqual(Buffer.concat(parts), bytes);
    }
  }
});
