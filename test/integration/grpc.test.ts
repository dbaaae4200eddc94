/** gRPC through a gateway, with grpcio at both ends: four kinds of calls, deadlines, cancelling, statuses, faults. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as f from '../../src/data/http2/frames.ts';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { block, fieldOf, frame, Http2Peer } from '../support/http2-peer.ts';
import { suiteScope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { deadPort } from '../support/upstream.ts';

const PYTHON = '/usr/bin/python3';
const PEER = fileURLToPath(new URL('../support/grpc_peer.py', import.meta.url));

interface Result {
  code: number;
  details?: string;
  got: (string | number)[];
  initial?: Record<string, string>;
  trailing?: Record<string, string>;
}

type Call = readonly [method: string, kind: string, request: unknown, timeout: number];

async function call(port: number, ...calls: Call[]): Promise<Result[]> {
  const child = spawn(PYTHON, [PEER, 'call', `${port}`], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(JSON.stringify(calls));
  let text = '';
  child.stdout.on('data', (bytes: Buffer) => {
    text += bytes.toString();
  });
  await once(child, 'close');
  return JSON.parse(text) as Result[];
}

const POST = [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':authority', 'a.test'],
  [':path', '/test.Echo/unary'],
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
] as const;

describe('gRPC', () => {
  const scope = suiteScope();
  let gateway: TestGateway;
  before(async () => {
    const server = spawn(PYTHON, [PEER, 'serve'], { stdio: ['ignore', 'pipe', 'inherit'] });
    scope.after(() => void server.kill('SIGKILL'));
    const [first] = (await once(server.stdout, 'data')) as [Buffer];
    gateway = await startTestGateway(scope, {
      gateway: { accessLog: { file: 'access.log' } },
      services: {
        echo: { instances: [`http://127.0.0.1:${first.toString().trim()}`], protocol: 'grpc', retries: 0 },
        dead: { instances: [`http://127.0.0.1:${await deadPort()}`], protocol: 'grpc', retries: 0 },
      },
      routes: [
        { match: { path: '/test.Echo/*' }, service: 'echo', auth: 'public' },
        { match: { path: '/test.Dead/*' }, service: 'dead', auth: 'public' },
        { match: { path: '/test.Limited/*' }, service: 'dead', auth: 'public', maxRequestSize: '10b' },
      ],
    });
  });

  test('the four kinds of calls, small and large, with metadata both ways', async () => {
    const big = Array.from({ length: 300_000 }, () => 120);
    const [unary, large, down, up, both] = await call(
      gateway.port,
      ['unary', 'unary', 'hello', 10],
      ['unary', 'unary', big, 20],
      ['server_stream', 'stream', '200', 10],
      ['client_stream', 'client', ['abc', big, 'de'], 20],
      ['both', 'both', ['a', 'b', 'c'], 10],
    );
    assert.deepEqual([unary!.code, unary!.got], [0, ['olleh']]);
    assert.equal(unary!.initial!['x-initial'], 'yes');
    assert.equal(unary!.trailing!['x-trailing'], 'yes');
    assert.ok('x-seen-bin' in unary!.trailing!);
    assert.deepEqual(large!.got, [300_000]);
    assert.deepEqual(
      down!.got,
      Array.from({ length: 200 }, (_, i) => `${i}`),
    );
    assert.deepEqual(up!.got, ['300005']);
    assert.deepEqual(both!.got, ['A', 'B', 'C']);
  });

  test('a status of the service passes as it is: at once, with details, and in the middle of a stream', async () => {
    const [fails, breaks] = await call(gateway.port, ['fails', 'unary', 'x', 10], ['breaks', 'stream', 'x', 10]);
    assert.deepEqual([fails!.code, fails!.details], [5, 'no such thing: 100% é']);
    assert.ok('grpc-status-details-bin' in fails!.trailing!);
    assert.deepEqual([breaks!.code, breaks!.details], [15, 'in the middle']);
  });

  test("the client's deadline goes on as what is left of it, and ends the call here and there", async () => {
    const [left, slow, cancelled] = await call(
      gateway.port,
      ['remaining', 'unary', '', 8],
      ['slow', 'unary', '', 0.5],
      ['was_cancelled', 'unary', '', 10],
    );
    assert.ok(Number(left!.got[0]) > 5_000 && Number(left!.got[0]) <= 8_000, `${left!.got[0]}`);
    assert.equal(slow!.code, 4);
    assert.deepEqual(cancelled!.got, ['yes']);
  });

  test('the gateway itself ends a call whose deadline has passed, with DEADLINE_EXCEEDED', async (t) => {
    const peer = await Http2Peer.connect(t, gateway.port);
    const path = POST.map(([name, value]) => [name, name === ':path' ? '/test.Echo/slow' : value] as const);
    peer.headers(1, [...path, ['grpc-timeout', '200m']], f.END_HEADERS);
    peer.data(1, Buffer.alloc(5), f.END_STREAM);
    const { status, head } = await peer.response(1);
    assert.deepEqual([status, fieldOf(head, 'grpc-status')], ['200', '4']);
    const [cancelled] = await call(gateway.port, ['was_cancelled', 'unary', '', 10]);
    assert.deepEqual(cancelled!.got, ['yes']);
  });

  test('a cancelled call is cancelled at the service', async () => {
    const [, cancelled] = await call(gateway.port, ['slow', 'cancel', '', 0], ['was_cancelled', 'unary', '', 10]);
    assert.deepEqual(cancelled!.got, ['yes']);
  });

  test('faults of the gateway are statuses: no route, no instance, a request that is too large', async () => {
    const [noRoute, dead, large] = await call(
      gateway.port,
      ['/other.Service/Method', 'unary', 'x', 10],
      ['/test.Dead/Method', 'unary', 'x', 10],
      ['/test.Limited/Method', 'unary', 'a message that is too large', 10],
    );
    assert.equal(noRoute!.code, 12);
    assert.deepEqual([dead!.code, dead!.details], [14, 'the service cannot be reached']);
    assert.equal(large!.code, 8);
  });

  test('a service that ends a call without a status has not succeeded; one that breaks off is UNAVAILABLE', async (t) => {
    const endings: ((peer: Http2Peer, stream: number) => void)[] = [
      (peer, stream) => peer.data(stream, Buffer.alloc(5), f.END_STREAM),
      (peer, stream) => peer.send(frame(f.RST_STREAM, 0, stream, Buffer.from([0, 0, 0, 2]))),
    ];
    let calls = 0;
    const upstream = await Http2Peer.serve(t, (peer) => {
      void (async () => {
        for (let i = 0; ; i++) {
          const { stream } = await peer.request(i);
          peer.send(
            frame(
              f.HEADERS,
              f.END_HEADERS,
              stream,
              block([
                [':status', '200'],
                ['content-type', 'application/grpc'],
              ]),
            ),
          );
          peer.data(stream, Buffer.alloc(5));
          endings[calls++]!(peer, stream);
        }
      })().catch(() => {});
    });
    const bad = await startTestGateway(t, {
      services: { s: { instances: [upstream.url], protocol: 'grpc', retries: 0 } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    const peer = await Http2Peer.connect(t, bad.port);
    for (const [stream, code] of [
      [1, '13'],
      [3, '14'],
    ] as const) {
      peer.headers(stream, POST);
      const { trailers } = await peer.response(stream);
      assert.equal(fieldOf(trailers!, 'grpc-status'), code);
    }
  });

  test('UNAVAILABLE counts as 503: it is tried again where the service says so', async () => {
    const [once] = await call(gateway.port, ['unavailable', 'unary', 'x', 10]);
    assert.deepEqual([once!.code, once!.details], [14, 'later']);
    const text = await (await fetch(`${gateway.url}/metrics`)).text();
    assert.match(text, /gatehouse_upstream_requests_total\{service="echo",[^}]*status="503"\} 1\n/);
  });

  test('a call is tried again as the service wants it: after its pushback, told how often before, or not at all', async (t) => {
    const pushbacks = ['20', null, '-1'];
    const seen: (string | undefined)[] = [];
    const upstream = await Http2Peer.serve(t, (peer) => {
      void (async () => {
        for (let i = 0; ; i++) {
          const request = await peer.request(i);
          const pushback = pushbacks[seen.length];
          seen.push(fieldOf(request, 'grpc-previous-rpc-attempts'));
          const fields = [
            [':status', '200'],
            ['content-type', 'application/grpc'],
            ['grpc-status', pushback === null ? '0' : '14'],
            ...(pushback == null ? [] : [['grpc-retry-pushback-ms', pushback] as const]),
          ] as const;
          peer.send(frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, request.stream, block(fields)));
        }
      })().catch(() => {});
    });
    const retrying = await startTestGateway(t, {
      services: {
        s: {
          instances: [upstream.url],
          protocol: 'grpc',
          ejection: 'off',
          retries: { attempts: 2, methods: ['POST'], statuses: [503], budget: '100%' },
        },
      },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    const peer = await Http2Peer.connect(t, retrying.port);
    peer.headers(1, [...POST, ['grpc-previous-rpc-attempts', '3']]);
    assert.equal(fieldOf((await peer.response(1)).head, 'grpc-status'), '0');
    peer.headers(3, POST);
    assert.equal(fieldOf((await peer.response(3)).head, 'grpc-status'), '14', 'a negative pushback is no');
    assert.deepEqual(seen, ['3', '4', undefined]);
  });

  test('who is over a limit is told when to come back, in the details of the status', async (t) => {
    const limited = await startTestGateway(t, {
      services: { s: { instances: [`http://127.0.0.1:${await deadPort()}`], protocol: 'grpc', retries: 0 } },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public', rateLimit: { limits: ['1/1h'], by: 'ip' } }],
    });
    const [, refused] = await call(
      limited.port,
      ['/test.Dead/Method', 'unary', 'x', 10],
      ['/test.Dead/Method', 'unary', 'x', 10],
    );
    assert.equal(refused!.code, 8);
    assert.match(refused!.trailing!['grpc-status-details-bin']!, /google\.rpc\.RetryInfo/);
    assert.ok(Number(refused!.trailing!['retry-after']) > 0);
  });

  test('the access log knows the status of each call', async () => {
    let lines = '';
    await until(() => {
      void readFile(join(gateway.folder, 'access.log'), 'utf8').then((read) => {
        lines = read;
      });
      return /"grpc_status":14/.test(lines) && /"grpc_status":5/.test(lines) && /"grpc_status":0/.test(lines);
    }, 'the lines are written');
  });
});
