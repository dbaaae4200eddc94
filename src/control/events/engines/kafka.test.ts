/** Kafka, by the broker of librdkafka: the protocol is real, the log is not kept over a kill. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Producer } from '@platformatic/kafka';
import { type KafkaBroker, startKafka } from '../../../../test/support/kafka.ts';
import { until } from '../../../../test/support/until.ts';
import { engineSuite, event, readAll, retried, streamSettings } from './engine.suite.ts';
import { KafkaEngine } from './kafka.ts';

const NEVER = 600_000;

let broker: KafkaBroker;
before(async () => {
  broker = await startKafka();
});
after(() => broker.stop());

async function opened(url: string, name: string): Promise<KafkaEngine> {
  const engine = new KafkaEngine({ urls: [url], replicas: 1 });
  await engine.start([streamSettings({ name })]);
  return engine;
}

engineSuite({
  name: 'Kafka',
  async open(streams) {
    const engine = new KafkaEngine({ urls: [broker.url], replicas: 1 });
    await engine.start(streams);
    await until(() => engine.problem === null, 'it is connected', 30_000);
    return engine;
  },
  knowsKeys: false,
  givesPositions: true,
  trimsByCount: false,
});

test('Kafka: what another program writes to the topic is an event, a CloudEvent or not', async (t) => {
  const engine = await opened(broker.url, 'foreign');
  t.after(() => engine.stop());
  await until(() => engine.problem === null, 'it is connected', 30_000);
  const [host, port] = broker.url.slice('kafka://'.length).split(':');
  const producer = new Producer({
    clientId: 'another',
    bootstrapBrokers: [{ host: host!, port: Number(port) }],
    autocreateTopics: true,
  });
  t.after(() => producer.close());
  const message = { topic: 'gatehouse.foreign', partition: 0 };
  const headers = new Map(
    Object.entries({
      ce_id: 'c1',
      ce_type: 'made',
      ce_source: '/s',
      ce_subject: 'a.b',
      'content-type': 'text/plain',
    }).map(([name, text]) => [Buffer.from(name), Buffer.from(text)] as const),
  );
  await producer.send({ messages: [{ ...message, key: Buffer.from('k'), value: Buffer.from('hello'), headers }] });
  await producer.send({ messages: [{ ...message, value: Buffer.from('{}') }] });
  const [cloudEvent, plain] = await readAll(engine, 'foreign');
  const { position: _, data, ...rest } = cloudEvent!;
  assert.equal(Buffer.from(data).toString(), 'hello');
  assert.deepEqual(rest, {
    id: 'c1',
    subject: 'a.b',
    key: 'k',
    contentType: 'text/plain',
    attributes: { type: 'made', source: '/s' },
    dedupeId: null,
  });
  assert.equal(plain!.id, 'gatehouse.foreign-1');
  assert.equal(plain!.subject, 'gatehouse.foreign');
  assert.equal(Buffer.from(plain!.data).toString(), '{}');
});

test('Kafka: a broker that is silent is a fault when the wait is over, and it goes on when it is back', async (t) => {
  const own = await startKafka();
  t.after(() => own.stop());
  const engine = await opened(own.url, 'silent');
  t.after(() => engine.stop());
  await until(() => engine.problem === null, 'it is connected', 30_000);
  const seen: string[] = [];
  const onEvents = (events: readonly { id: string }[]): void => void seen.push(...events.map(({ id }) => id));
  engine.tail('silent', null, { onEvents, onGap: () => void seen.push('gap') });
  await engine.publish('silent', event('e0'), NEVER);
  await until(() => seen.includes('e0'), 'the first', 30_000);
  own.pause();
  const silent = engine.publish('silent', event('e1'), 1_000);
  await assert.rejects(silent, { name: 'EngineFault', kind: 'unavailable' });
  own.resume();
  await retried(() => engine.publish('silent', event('e2'), 5_000));
  await until(() => seen.includes('e2'), 'what came after', 60_000);
  assert.ok(!seen.includes('gap'));
});

test('Kafka: without a broker it starts, says what is wrong without secrets, and refuses at once', async (t) => {
  const own = await startKafka();
  await own.stop();
  const url = own.url.replace('//', '//me:hidden@');
  const engine = await opened(url, 'away');
  t.after(() => engine.stop());
  await until(() => engine.problem !== 'not connected yet', 'it was tried', 30_000);
  assert.match(engine.problem!, /^Kafka cannot be used: /);
  assert.doesNotMatch(engine.problem!, /hidden/);
  await assert.rejects(engine.publish('away', event('e'), NEVER), { name: 'EngineFault', kind: 'unavailable' });
});
