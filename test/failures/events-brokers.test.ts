/**
 * A whole gateway on brokers that are killed and stopped: what was acknowledged is delivered, a key has one effect,
 * order by key is kept, the outbox hands over, and nobody else's traffic notices.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { startKafka } from '../support/kafka.ts';
import { startNats } from '../support/nats.ts';
import { startRabbit } from '../support/rabbitmq.ts';
import { startDurableRedis } from '../support/redis.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { httpUpstream, readAll } from '../support/upstream.ts';

const SOON = 60_000;
/** Six waits, and the starts of broker and gateway. */
const TIMEOUT = 8 * SOON;
/** RabbitMQ needs a minute or two to start where processors are busy. */
const RABBIT_SOON = 180_000;
const RABBIT_TIMEOUT = 600_000;

const BROKERS = [
  { name: 'NATS JetStream', start: startNats, knowsKeys: true, soon: SOON, timeout: TIMEOUT },
  { name: 'Redis Streams', start: startDurableRedis, knowsKeys: true, soon: SOON, timeout: TIMEOUT },
  // What it took before its acknowledgement was lost may come twice, with one id.
  { name: 'RabbitMQ', start: startRabbit, knowsKeys: false, soon: RABBIT_SOON, timeout: RABBIT_TIMEOUT },
];

interface Seen {
  readonly subject: string;
  readonly data: number;
}

async function start(t: Scope, broker: string): Promise<{ gateway: TestGateway; seen: Seen[] }> {
  const seen: Seen[] = [];
  const service = await httpUpstream(t, (request, response) => {
    void readAll(request).then((body) => {
      if (body.length > 0) seen.push(JSON.parse(body.toString()) as Seen);
      response.end('ok');
    });
  });
  const gateway = await startTestGateway(t, {
    services: { audit: { instances: [service.url] } },
    events: {
      engines: { broker: { url: broker } },
      streams: { commits: { engine: 'broker' } },
      consumers: { audit: { stream: 'commits', service: 'audit', from: 'earliest', backoff: '100ms' } },
    },
    routes: [
      { match: { path: '/other' }, service: 'audit', auth: 'public' },
      {
        match: { path: '/commits/:id' },
        publish: { stream: 'commits', subject: 'commits.{params.id}', ackTimeout: '500ms' },
        auth: 'public',
      },
      {
        match: { path: '/kept/:id' },
        publish: { stream: 'commits', subject: 'commits.{params.id}', ackTimeout: '500ms', outbox: true },
        auth: 'public',
      },
    ],
  });
  return { gateway, seen };
}

/** Of 8 KB each: what waits is more than the gateway keeps in memory, so that it must read on from the broker. */
const PAD = 'x'.repeat(8_000);
/** Each is a key of order, so that so many calls are under way at a time. */
const SUBJECTS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
const EACH = 200;
/** Calls that are under way while the broker dies, and answered after it has. */
const HELD = 4;

interface Called {
  readonly id: string;
  readonly subject: string;
  readonly data: { readonly n: number };
}

async function deliveries(t: Scope, broker: string) {
  /** Calls that were answered with success, in their order. */
  const effects: Called[] = [];
  const held: (() => void)[] = [];
  const state = { isHolding: false, refused: 0, calls: 0 };
  const service = await httpUpstream(t, (request, response) => {
    void readAll(request).then((body) => {
      const { id, subject, data } = JSON.parse(body.toString()) as Called;
      state.calls++;
      const take = (): void => {
        effects.push({ id, subject, data });
        response.end();
      };
      if (!state.isHolding || held.length >= HELD) return void setTimeout(take, 1);
      const isTaken = held.length % 2 === 0;
      held.push(() => {
        if (isTaken) return take();
        state.refused++;
        response.writeHead(500).end();
      });
    });
  });
  const gateway = await startTestGateway(t, {
    services: { audit: { instances: [service.url] } },
    events: {
      engines: { broker: { url: broker } },
      streams: { commits: { engine: 'broker' } },
      consumers: {
        audit: {
          stream: 'commits',
          service: 'audit',
          from: 'earliest',
          backoff: '100ms',
          order: 'key',
          concurrency: 8,
        },
      },
    },
    routes: [
      {
        match: { path: '/commits/:id' },
        publish: { stream: 'commits', subject: 'commits.{params.id}', maxSize: '8mb', ackTimeout: '30s' },
        auth: 'public',
      },
    ],
  });
  return { gateway, effects, held, state };
}

async function publishBatch({ url }: TestGateway, subject: string, from: number, count: number): Promise<number> {
  const events = Array.from({ length: count }, (_, index) => ({
    specversion: '1.0',
    id: `${subject}-${from + index}`,
    source: '/test',
    type: 'commit',
    data: { n: from + index, pad: PAD },
  }));
  const response = await fetch(`${url}/commits/${subject}`, {
    method: 'POST',
    headers: { 'content-type': 'application/cloudevents-batch+json' },
    body: JSON.stringify(events),
  });
  await response.text();
  return response.status;
}

async function publish({ url }: TestGateway, path: string, body: unknown, key?: string) {
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { 'idempotency-key': key }) },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

for (const { name, start: startBroker, knowsKeys, soon, timeout } of BROKERS) {
  test(`${name}: killed while events are published: nothing acknowledged is lost, a key has one effect`, {
    timeout,
  }, async (t) => {
    const broker = await startBroker();
    t.after(() => broker.stop());
    const { gateway, seen } = await start(t, broker.url);
    let isOver = false;
    const acknowledged = [0, 0, 0];
    const statuses = new Set<number>();
    // Each publisher has a key of order of its own, and repeats a request with its Idempotency-Key until it is
    // accepted.
    const publishers = acknowledged.map(async (_, who) => {
      for (let n = 0; !isOver; ) {
        const { status } = await publish(gateway, `/commits/${who}`, n, `${who}-${n}`);
        statuses.add(status);
        if (status === 202) acknowledged[who] = ++n;
        else await new Promise((resolve) => setTimeout(resolve, 20));
      }
    });
    const total = (): number => acknowledged.reduce((sum, each) => sum + each, 0);
    try {
      await until(() => total() > 30, 'events', soon);
      await broker.kill();
      await until(() => statuses.has(503), 'a 503', soon);
      const other = await fetch(`${gateway.url}/other`);
      assert.equal(other.status, 200, 'other traffic goes on');
      await broker.start();
      const before = total();
      await until(() => total() > before + 10, 'more events', soon);
    } finally {
      isOver = true;
      await Promise.all(publishers);
    }
    assert.deepEqual([...statuses].sort(), [202, 503]);
    for (const [who, count] of acknowledged.entries()) {
      const of = (): number[] => seen.filter(({ subject }) => subject === `commits.${who}`).map(({ data }) => data);
      await until(() => new Set(of()).size >= count, `all of ${who}`, soon);
      // A delivery may come twice when its worker or broker dies; the first ones are in order, and none is missing.
      const firsts = [...new Set(of())];
      assert.deepEqual(
        firsts,
        firsts.map((_, n) => n),
      );
    }
  });

  test(`${name}: away or silent, the outbox takes events and hands them over once, in order`, {
    timeout,
  }, async (t) => {
    const broker = await startBroker();
    t.after(() => broker.stop());
    const { gateway, seen } = await start(t, broker.url);
    assert.equal((await publish(gateway, '/kept/a', 0)).body['status'], 'accepted');
    broker.pause();
    const beganMs = performance.now();
    assert.equal((await publish(gateway, '/commits/a', 'lost or not', 'k')).status, 503);
    assert.ok(performance.now() - beganMs >= 400, 'after the time for an acknowledgement');
    assert.equal((await publish(gateway, '/kept/a', 1)).body['status'], 'queued');
    broker.resume();
    await broker.kill();
    for (const n of [2, 3, 4]) assert.equal((await publish(gateway, '/kept/a', n)).status, 202);
    const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
    assert.match(metrics, /gatehouse_events_outbox/);
    const health = (await (await fetch(`${gateway.url}/health`)).json()) as { readonly status: string };
    assert.notEqual(health.status, 'unhealthy', 'nothing else is');
    await broker.start();
    const numbers = (): number[] => seen.map(({ data }) => data).filter((data) => typeof data === 'number');
    await until(() => new Set(numbers()).size >= 5, 'all of them', soon);
    assert.deepEqual(knowsKeys ? numbers() : [...new Set(numbers())], [0, 1, 2, 3, 4]);
  });
}

for (const { name, start: startBroker, soon, timeout } of BROKERS) {
  test(`${name}: killed in the middle of deliveries to a service: none is lost, and none has two effects`, {
    timeout,
  }, async (t) => {
    const broker = await startBroker();
    t.after(() => broker.stop());
    const { gateway, effects, held, state } = await deliveries(t, broker.url);
    for (const subject of SUBJECTS) assert.equal(await publishBatch(gateway, subject, 0, EACH), 202);
    const total = SUBJECTS.length * EACH;
    await until(() => effects.length >= total / 8, 'an eighth of the deliveries', soon);
    state.isHolding = true;
    await until(() => held.length === HELD, 'calls that are under way', soon);
    const before = effects.length;
    assert.ok(before < total / 2, `${before} of ${total} were delivered: it is the middle`);
    await broker.kill();
    state.isHolding = false;
    for (const answer of held) answer();
    // What is in memory is delivered without the broker.
    await until(() => effects.length > before + HELD, 'deliveries without the broker', soon);
    await broker.start();
    await until(async () => (await publishBatch(gateway, 'later', 0, 20)) === 202, 'the next events', soon);
    const first = (): Called[] => effects.filter(({ id }) => !id.startsWith('later'));
    const unique = (): number => new Set(first().map(({ id }) => id)).size;
    await until(() => unique() >= total, 'all of them', soon);
    await until(() => effects.some(({ id }) => id === 'later-19'), 'those after them', soon);
    const [lost, doubled] = [total - unique(), first().length - unique()];
    t.diagnostic(`${name}: lost ${lost}, doubled ${doubled} of ${total}; tried again after 500: ${state.refused}`);
    assert.deepEqual({ lost, doubled }, { lost: 0, doubled: 0 });
    assert.equal(state.refused, HELD / 2);
    // In order by key: the kill moved nothing in front of anything.
    const lanes = new Map<string, number[]>();
    for (const { subject, data } of first()) {
      lanes.set(subject, [...(lanes.get(subject) ?? []), data.n]);
    }
    for (const [lane, numbers] of lanes)
      assert.deepEqual(
        numbers,
        numbers.toSorted((one, other) => one - other),
        lane,
      );
  });
}

test('RabbitMQ: short of disk it takes no events: 503 in time, and the next ones go when there is room', {
  timeout: RABBIT_TIMEOUT,
}, async (t) => {
  const broker = await startRabbit();
  t.after(() => broker.stop());
  const { gateway, seen } = await start(t, broker.url);
  assert.equal((await publish(gateway, '/commits/a', 0)).status, 202);
  await broker.diskAlarm(true);
  // It says so to who publishes (`connection.blocked`): the first waits for its acknowledgement, others do not.
  assert.equal((await publish(gateway, '/commits/b', 'lost or not')).status, 503);
  const reasons = async (): Promise<string> => await (await fetch(`${gateway.url}/health/detailed`)).text();
  await until(async () => (await reasons()).includes('takes nothing'), 'health says why', RABBIT_SOON);
  const beganMs = performance.now();
  const refused = await fetch(`${gateway.url}/kept/a`, { method: 'POST', body: '1' });
  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '10'], 'an outbox is for who is away');
  assert.ok(performance.now() - beganMs < 10_000, 'nothing waits for it');
  assert.equal((await fetch(`${gateway.url}/other`)).status, 200, 'other traffic goes on');
  await broker.diskAlarm(false);
  let n = 1;
  const accepted = async (): Promise<boolean> => (await publish(gateway, '/commits/a', n)).status === 202;
  for (; n <= 3; n++) await until(accepted, `event ${n}`, RABBIT_SOON);
  const numbers = (): number[] => seen.filter(({ subject }) => subject === 'commits.a').map(({ data }) => data);
  await until(() => new Set(numbers()).size >= 4, 'all of them', RABBIT_SOON);
  assert.deepEqual([...new Set(numbers())], [0, 1, 2, 3]);
});

test('Kafka: published, delivered in order, and silent: 503 in time, other traffic and the next events go on', {
  timeout: TIMEOUT,
}, async (t) => {
  const broker = await startKafka();
  t.after(() => broker.stop());
  const { gateway, seen } = await start(t, broker.url);
  const publishRetried = async (n: number): Promise<void> => {
    for (;;) {
      const { status } = await publish(gateway, '/commits/a', n, `key-${n}`);
      if (status === 202) return;
      assert.equal(status, 503);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  for (const n of [0, 1, 2]) await publishRetried(n);
  broker.pause();
  assert.equal((await publish(gateway, '/commits/a', 'lost')).status, 503);
  assert.equal((await fetch(`${gateway.url}/other`)).status, 200, 'other traffic goes on');
  broker.resume();
  for (const n of [3, 4]) await publishRetried(n);
  const numbers = (): number[] => [...new Set(seen.map(({ data }) => data))].filter((data) => typeof data === 'number');
  await until(() => numbers().length === 5, 'all of them', SOON);
  assert.deepEqual(numbers(), [0, 1, 2, 3, 4]);
});
