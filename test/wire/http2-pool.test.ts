/** Connections to instances over HTTP/2 that have died without a word, or are old: with a clock of the test's. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { FakeClock } from '../../src/base/clock.ts';
import { createMetricsBuffer, MetricsBank } from '../../src/base/metrics.ts';
import { TimerWheel } from '../../src/base/timers.ts';
import { createInstanceTable, InstanceTable } from '../../src/data/contract/instance-table.ts';
import type { ConnectionCounter } from '../../src/data/contract/service-state.ts';
import type { PoolSettings } from '../../src/data/contract/snapshot.ts';
import type { UpstreamHandler, UpstreamStream } from '../../src/data/exchange/upstream-stream.ts';
import * as f from '../../src/data/http2/frames.ts';
import { MOST_STREAMS } from '../../src/data/http2/upstream-connection.ts';
import { ConnectionCounts } from '../../src/data/upstream/connection-counts.ts';
import { dialTarget } from '../../src/data/upstream/dial.ts';
import { Http2Pool } from '../../src/data/upstream/http2-pool.ts';
import { block, frame, Http2Peer } from '../support/http2-peer.ts';
import { until } from '../support/until.ts';

const HOUR_MS = 3_600_000;
const NO_BODY = Buffer.alloc(0);
const SETTINGS = {
  maxConnections: 4,
  maxQueued: 4,
  queueTimeoutMs: 0,
  idleTimeoutMs: 9 * HOUR_MS,
  maxAgeMs: HOUR_MS,
  pingAfterMs: 15_000,
  pingTimeoutMs: 15_000,
  addressShare: 1,
};

/** `credits`: instances give windows back by themselves. */
async function scene(t: TestContext, changed: Partial<PoolSettings> = {}, credits = true) {
  const peers: Http2Peer[] = [];
  const { url } = await Http2Peer.serve(t, (peer) => {
    peer.credits = credits;
    peers.push(peer);
  });
  const port = Number(new URL(url).port);
  const clock = new FakeClock();
  const wheel = new TimerWheel(100, clock);
  const metrics = new MetricsBank(createMetricsBuffer({ workers: 1, routes: 1, instances: 1 }), 0);
  const counted: ConnectionCounter[] = [];
  const table = new InstanceTable(createInstanceTable(), clock);
  const counts = new ConnectionCounts(table, 0);
  counts.add = (counter) => void counted.push(counter);
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
  const settings = { ...SETTINGS, ...changed };
  const pool = new Http2Pool(dialTarget(instance, null, {}), settings, 0, { metrics, counts, wheel, clock });
  t.after(() => pool.close());
  const faults: string[] = [];
  let ended = 0;
  /** What is done as soon as a fault is heard of. */
  const faulted = { now: (): void => {} };
  const handler: UpstreamHandler = {
    lenient: undefined,
    onLenient: () => {},
    onInterimHead: () => {},
    onResponseHead: () => {},
    onResponseBody: () => {},
    onResponseEnd: () => void ended++,
    onUpgraded: () => {},
    onReadDone: () => null,
    onUpstreamDrain: () => {},
    onStreamFault: (kind, cause) => {
      faults.push(`${kind.reason}: ${cause}`);
      faulted.now();
    },
    onStreamDeadline: () => {},
  };
  /** Sends a request, on a connection that there is or on a new one. */
  const ask = async (body = NO_BODY): Promise<void> => {
    const stream = await new Promise<UpstreamStream>((resolve, reject) => {
      const onNoStream = (): void => reject(new Error('no stream'));
      const waiter = {
        source: null,
        upgrade: '',
        hasBody: body.length > 0,
        mayQueue: true,
        onStream: resolve,
        onNoStream,
      };
      const found = pool.acquire(waiter, false);
      if (found !== null) resolve(found);
    });
    stream.begin(handler, 'GET', 'a', '', '/', null, '');
    stream.endHead(body.length, false, false);
    if (body.length > 0) stream.sendBody(body, true);
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
  return { peers, pool, ask, pass, clock, wheel, faults, faulted, counted, ended: () => ended };
}

const isAlivePing = ({ type, payload }: { readonly type: number; readonly payload: Buffer }): boolean =>
  type === f.PING && payload.toString() === 'gh-alive';

test('§6.7: a quiet connection with requests gets a PING; one that replies goes on, one that does not is given up', async (t) => {
  const { peers, ask, pass, faults, pool, counted } = await scene(t);
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
  assert.deepEqual(counted, ['pingsSent', 'pingsSent', 'pingsUnanswered', 'ping']);
  await peer.closed();
});

const respond = (peer: Http2Peer, id: number): void =>
  peer.send(frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, id, block([[':status', '204']])));

test('a connection without requests is asked as well, so that none goes out on one that is dead', async (t) => {
  const { peers, ask, pass, faults, counted, ended } = await scene(t);
  await ask();
  const { stream } = await peers[0]!.request();
  respond(peers[0]!, stream);
  await until(() => ended() === 1, 'the response');
  pass(17_000);
  await peers[0]!.frame(isAlivePing, 'the PING');
  pass(16_000);
  await peers[0]!.closed();
  await ask();
  await until(() => peers.length === 2, 'another connection');
  assert.deepEqual([faults, counted], [[], ['pingsSent', 'pingsUnanswered', 'ping']]);
});

test('one that only finishes its requests is asked whether it lives', async (t) => {
  const { peers, ask, pass, pool, faults, counted } = await scene(t);
  await ask();
  await peers[0]!.request();
  await peers[0]!.settled();
  // The instance is removed, and then dies.
  pool.close();
  pass(17_000);
  await peers[0]!.frame(isAlivePing, 'the PING');
  pass(16_000);
  assert.deepEqual(faults, ['upstream_reset: no reply to PING']);
  assert.deepEqual([counted.at(-1), pool.open], ['ping', 0]);
});

test('RFC 9113 §6.8: who hears that a request was not processed and asks again at once gets another connection', async (t) => {
  const { peers, ask, faults, faulted } = await scene(t);
  await ask();
  await peers[0]!.request();
  let again: Promise<void> | undefined;
  faulted.now = () => {
    again ??= ask();
  };
  peers[0]!.send(frame(f.GOAWAY, 0, 0, Buffer.alloc(8)));
  await until(() => peers.length === 2, 'another connection');
  await again;
  await peers[1]!.request();
  await peers[0]!.closed();
  assert.deepEqual(faults, ['upstream_refused: GOAWAY NO_ERROR']);
  assert.equal(peers[0]!.frames.filter(({ type }) => type === f.HEADERS).length, 1);
});

test('§6.9: a body takes the connection whose window has room for it', async (t) => {
  const { peers, ask, ended } = await scene(t, { maxConnections: 2 }, false);
  const requestsOn = (peer: Http2Peer): number => peer.frames.filter(({ type }) => type === f.HEADERS).length;
  for (let i = 0; i <= MOST_STREAMS; i++) await ask();
  await until(() => peers.length === 2 && requestsOn(peers[1]!) === 1, 'another connection');
  const [first, second] = peers as [Http2Peer, Http2Peer];
  await first.request(MOST_STREAMS - 1);
  for (let id = 1; id < 8; id += 2) respond(first, id);
  await until(() => ended() === 4, 'four responses');
  await ask(Buffer.alloc(60_000));
  await until(() => requestsOn(first) === MOST_STREAMS + 1, 'the large one on the first');
  await ask(Buffer.alloc(1_000));
  await until(() => requestsOn(second) === 2, 'the small one on the second');
  // What has no body waits for no window.
  await ask();
  await until(() => requestsOn(first) === MOST_STREAMS + 2, 'the one without a body on the first');
  first.send(frame(f.WINDOW_UPDATE, 0, 0, Buffer.from([0, 0, 0xff, 0xff])));
  await first.settled();
  await ask(Buffer.alloc(1_000));
  await until(() => requestsOn(first) === MOST_STREAMS + 3, 'the next one on the first');
});

test('an instance that finds the PINGs too many gets half of them from then on', async (t) => {
  const { peers, ask, pass, counted } = await scene(t);
  await ask();
  const first = peers[0]!;
  await first.request();
  pass(17_000);
  await first.frame(isAlivePing, 'the PING');
  const calm = Buffer.concat([Buffer.alloc(7), Buffer.of(f.ENHANCE_YOUR_CALM), Buffer.from('too_many_pings')]);
  calm.writeUInt32BE(1, 0);
  first.send(frame(f.GOAWAY, 0, 0, calm));
  respond(first, 1);
  await until(() => counted.includes('goaway'), 'the end of the first');
  await ask();
  await until(() => peers.length === 2, 'another connection');
  const second = peers[1]!;
  await second.request();
  pass(29_000);
  await second.settled();
  assert.ok(!second.frames.some(isAlivePing), 'too early');
  pass(32_000);
  await second.frame(isAlivePing, 'the PING');
});

test('without `pingAfter` there is none', async (t) => {
  const { peers, ask, pass, faults, counted } = await scene(t, { pingAfterMs: 0 });
  await ask();
  await peers[0]!.request();
  pass(600_000);
  await peers[0]!.settled();
  assert.ok(!peers[0]!.frames.some(isAlivePing));
  assert.deepEqual([faults, counted], [[], []]);
});

test('a long request on the only connection that may be does not keep its successor away, but a second one does', async (t) => {
  const { peers, ask, pass, clock, wheel, faults, counted, pool } = await scene(t, {
    maxConnections: 1,
    pingAfterMs: 0,
  });
  await ask();
  await peers[0]!.request();
  const grow = async (): Promise<void> => {
    clock.advance(HOUR_MS);
    for (const peer of peers) if (!peer.isClosed) await peer.settled();
    wheel.turn();
    pass(1_000);
  };
  await grow();
  await ask();
  await until(() => peers.length === 2, 'a successor');
  const { stream } = await peers[1]!.request();
  // It grows old as well, and stays, since the first is still finishing.
  await grow();
  await ask();
  assert.equal((await peers[1]!.request(1)).stream, stream + 2);
  assert.deepEqual([faults, pool.open], [[], 2]);
  respond(peers[0]!, 1);
  await peers[0]!.closed();
  assert.deepEqual(counted, ['age']);
  await grow();
  await ask();
  await until(() => peers.length === 3, 'a third');
});

test('a connection takes no new requests when it is too old; those that are open go on', async (t) => {
  const { peers, ask, pass, clock, wheel, ended, faults, counted } = await scene(t, { pingAfterMs: 0 });
  await ask();
  const peer = peers[0]!;
  const { stream } = await peer.request();
  respond(peer, stream);
  await until(() => ended() === 1, 'the response');
  // Before nine tenths of it, the connection still takes requests.
  clock.advance(0.9 * HOUR_MS - 10_000);
  wheel.turn();
  await ask();
  const second = await peer.request(1);
  clock.advance(0.1 * HOUR_MS);
  pass(11_000);
  await ask();
  await until(() => peers.length === 2, 'another connection');
  await peers[1]!.request();
  respond(peer, second.stream);
  await until(() => ended() === 2, 'the response on the old one');
  await peer.frame(({ type, payload }) => type === f.GOAWAY && payload.readUInt32BE(4) === f.NO_ERROR, 'a GOAWAY');
  await peer.closed();
  assert.deepEqual([faults, counted], [[], ['age']]);
});
