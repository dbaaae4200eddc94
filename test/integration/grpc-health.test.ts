/** `grpc.health.v1.Health` of the gateway itself, asked by grpcio and frame by frame. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { decodeRequest, decodeResponse, encodeRequest, encodeResponse } from '../../src/control/health/grpc-message.ts';
import * as f from '../../src/data/http2/frames.ts';
import { startTestGateway } from '../support/gateway.ts';
import { fieldOf, Http2Peer, post } from '../support/http2-peer.ts';
import { echoUpstream } from '../support/upstream.ts';

const PEER = fileURLToPath(new URL('../support/grpc_peer.py', import.meta.url));
const HEALTH = '/grpc.health.v1.Health';
const [UNKNOWN_NAME, CHECK_SERVING, SERVING, NOT_SERVING, SERVICE_UNKNOWN] = [5, '\b\u0001', 1, 2, 3];

interface Result {
  readonly code: number;
  readonly got: readonly string[];
}

async function call(port: number, calls: readonly unknown[]): Promise<Result[]> {
  const child = spawn('/usr/bin/python3', [PEER, 'call', `${port}`], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(JSON.stringify(calls));
  let text = '';
  child.stdout.on('data', (bytes: Buffer) => {
    text += bytes.toString();
  });
  await once(child, 'close');
  return JSON.parse(text) as Result[];
}

function message(name: string): number[] {
  return [...encodeRequest(name).subarray(5)];
}

test('Check tells of the gateway and of each service; what is not there is NOT_FOUND or UNIMPLEMENTED', async (t) => {
  const upstream = await echoUpstream(t);
  const gateway = await startTestGateway(t, {
    gateway: { endpoints: { grpcHealth: true } },
    services: { up: { instances: [upstream.url] }, down: { instances: [{ url: upstream.url, healthy: false }] } },
    routes: [{ match: { path: '/*' }, service: 'up', auth: 'public' }],
  });
  const check = (name: string) => [`${HEALTH}/Check`, 'unary', message(name), 20];
  const [whole, up, down, absent, other, watched] = await call(gateway.port, [
    check(''),
    check('up'),
    check('down'),
    check('absent'),
    [`${HEALTH}/Other`, 'unary', message(''), 20],
    [`${HEALTH}/Check`, 'unary', [0xff, 0xff], 20],
  ]);
  assert.deepEqual([whole!.code, whole!.got], [0, [CHECK_SERVING]]);
  assert.deepEqual([up!.code, up!.got], [0, [CHECK_SERVING]]);
  assert.deepEqual([down!.code, down!.got], [0, ['\b\u0002']]);
  assert.equal(absent!.code, UNKNOWN_NAME);
  assert.equal(other!.code, 12);
  assert.equal(watched!.code, 3, 'bytes that are no message');
});

test('Watch tells the status at once, and again when a service is lost', async (t) => {
  const upstream = await echoUpstream(t);
  const gateway = await startTestGateway(t, {
    gateway: { endpoints: { grpcHealth: true } },
    services: {
      s: { instances: [upstream.url], healthCheck: { kind: 'tcp', interval: '100ms', unhealthyThreshold: 1 } },
    },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
  const peer = await Http2Peer.connect(t, gateway.port);
  const fields = [
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
  ] as const;
  peer.headers(1, post(`${HEALTH}/Watch`, fields), f.END_HEADERS);
  peer.data(1, encodeRequest('s'), f.END_STREAM);
  peer.headers(3, post(`${HEALTH}/Watch`, fields), f.END_HEADERS);
  peer.data(3, encodeRequest('later'), f.END_STREAM);
  const told = async (stream: number, nth: number): Promise<number | undefined> => {
    const size = encodeResponse(0).length;
    await peer.frame(() => peer.body(stream).length >= (nth + 1) * size, `message ${nth}`);
    return decodeResponse(peer.body(stream).subarray(nth * size));
  };
  assert.equal(fieldOf(await peer.head(1), 'content-type'), 'application/grpc');
  assert.equal(await told(1, 0), SERVING);
  assert.equal(await told(3, 0), SERVICE_UNKNOWN);
  await upstream.close();
  assert.equal(await told(1, 1), NOT_SERVING);
  assert.equal(peer.body(3).length, encodeResponse(0).length, 'who watches another service hears nothing');
});

test('without the key there is no such endpoint', async (t) => {
  const gateway = await startTestGateway(t, { services: {}, routes: [] });
  const [answer] = await call(gateway.port, [[`${HEALTH}/Check`, 'unary', [], 20]]);
  assert.equal(answer!.code, 12);
});

test('the messages of health are read as they were written, cut short ones not at all', () => {
  for (const name of ['', 'a', 'craft.commits.v1.Commits', 'x'.repeat(300)]) {
    assert.equal(decodeRequest(encodeRequest(name)), name);
    if (name !== '') assert.equal(decodeRequest(encodeRequest(name).subarray(0, -1)), undefined);
  }
  assert.equal(decodeResponse(encodeResponse(2)), 2);
});
