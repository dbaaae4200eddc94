/** Connections to instances over HTTP/2 that have died without a word, or are old: with a clock of the test's. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { FakeClock } from '../../src/base/clock.ts';
import { createMetricsBuffer, MetricsBank } from '../../src/base/metrics.ts';
import { TimerWheel } from '../../src/base/timers.ts';
import type { UpstreamHandler, UpstreamStream } from '../../src/data/exchange/upstream-stream.ts';
import * as f from '../../src/data/http2/frames.ts';
import { dialTarget } from '../../src/data/upstream/dial.ts';
import { Http2Pool } from '../../src/data/upstream/http2-pool.ts';
import { block, frame, Http2Peer } from '../support/http2-peer.ts';
import { until } from '../support/until.ts';

const HOUR_MS = 3_600_000;
const SETTINGS = { maxConnections: 4, maxQueued: 4, queueTimeoutMs: 0, idleTimeoutMs: 9 * HOUR_MS, addressShare: 1 };

async function scene(t: TestContext) {
  const peers: Http2Peer[] = [];
  const { url } = await Http2Peer.serve(t, (peer) => void peers.push(peer));
  const port = Number(new URL(url).port);
  const clock = new FakeClock();
  const wheel = new TimerWheel(100, clock);
  const metrics = new MetricsBank(createMetricsBuffer({ workers: 1, routes: 1, instances: 1 }), 0);
  const instance = {
    id: 'i',
    slot: 0,
    url,
    protocol: 'http',
    host: '127.0.0.1',
    port,
    socketPath: null,
    basePath: '',
    weight: 1,
    zone: null,
    healthy: true,
    metadata: {},
  } as const;
  const pool = new Http2Pool(dialTarget(instance, null, {}), SETTINGS, 0, { metrics, wheel, clock });
  t.after(() => pool.close());
  const faults: string[] = [];
  let ended = 0;
  const handler: UpstreamHandler = {
    lenient: undefined,
    onLenientHead: () => {},
    onInterimHead: () => {},
    onResponseHead: () => {},
    onResponseBody: () => {},
    onResponseEnd: () => void ended++,
    onUpgraded: () => {},
    onReadDone: () => null,
    onUpstreamDrain: () => {},
    onStreamFault: (kind, cause) => void faults.push(`${kind.reason}: ${cause}`),
    onStreamDeadline: () => {},
  };
  /** Sends a request, on a connection that there is or on a new one. */
  const ask = async (): Promise<void> => {
    const stream = await new Promise<UpstreamStream>((resolve, reject) => {
      const waiter = { source: null, upgrade: '', onStream: resolve, onNoStream: () => reject(new Error('no stream')) };
      const found = pool.acquire(waiter, false);
      if (found !== null) resolve(found);
    });
    stream.begin(handler, 'GET', 'a', '', '/', null, '');
    stream.endHead(0, false, false);
    stream.sendEnd(null);
    stream.flush();
  };
  /** Second by second, as the wheel turns. */
  const pass = (ms: number): void => {
    for (let left = ms; left > 0; left -= 1_000) {
      clock.advance(Math.min(1_000, left));
      wheel.turn();
    }
  };
  return { peers, pool, ask, pass, clock, wheel, faults, ended: () => ended };
}

const isAlivePing = ({ type, payload }: { readonly type: number; readonly payload: Buffer }): boolean =>
  type === f.PING && payload.toString() === 'gh-alive';

test('§6.7: a quiet connection with requests gets a PING; one that replies goes on, one that does not is given up', async (t) => {
  const { peers, ask, pass, faults, pool } = await scene(t);
  await ask();
  const peer = peers[0]!;
  await peer.request();
  pass(14_000);
  assert.ok(!peer.frames.some(isAlivePing), 'too early');
  pass(3_000);
  const { payload } = await peer.frame(isAlivePing, 'the PING');
  peer.send(frame(f.PING, f.ACK, 0, payload));
  // The reply is read: what comes behind it has been, too.
  peer.send(frame(f.PING, 0, 0, 'and-this'));
  await peer.frame(({ type, flags }) => type === f.PING && flags === f.ACK);
  pass(14_000);
  assert.deepEqual([faults, pool.open], [[], 1]);
  pass(3_000);
  await until(() => peer.frames.filter(isAlivePing).length === 2, 'a second PING');
  pass(16_000);
  assert.deepEqual(faults, ['upstream_reset: no reply to PING']);
  await peer.closed();
});

test('a connection takes no new requests after an hour; those that are open go on', async (t) => {
  const { peers, ask, pass, clock, wheel, ended, faults } = await scene(t);
  await ask();
  const peer = peers[0]!;
  const { stream } = await peer.request();
  const respond = (id: number): void =>
    peer.send(frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, id, block([[':status', '204']])));
  respond(stream);
  await until(() => ended() === 1, 'the response');
  // A moment before it, the connection still takes requests.
  clock.advance(HOUR_MS - 10_000);
  wheel.turn();
  await ask();
  const second = await peer.request(1);
  pass(11_000);
  await ask();
  await until(() => peers.length === 2, 'another connection');
  await peers[1]!.request();
  respond(second.stream);
  await until(() => ended() === 2, 'the response on the old one');
  await peer.frame(({ type, payload }) => type === f.GOAWAY && payload.readUInt32BE(4) === f.NO_ERROR, 'a GOAWAY');
  await peer.closed();
  assert.deepEqual(faults, []);
});
