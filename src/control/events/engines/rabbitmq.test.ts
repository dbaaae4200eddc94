/** RabbitMQ stream queues, by a real server that is killed in the middle of it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { olderCopy } from '../../../../test/support/older-copy.ts';
import { type RabbitServer, startRabbit } from '../../../../test/support/rabbitmq.ts';
import { until } from '../../../../test/support/until.ts';
import { engineSuite, event } from './engine.suite.ts';
import type { EngineFault } from './engine.ts';
import { RabbitEngine } from './rabbitmq.ts';

let server: RabbitServer;
before(async () => {
  server = await startRabbit();
});
after(() => server.stop());

const SIZES = {
  name: 'sizes',
  engine: 'rabbit',
  subjects: ['a.>'],
  maxAgeMs: 3_600_000,
  maxEvents: 1_000,
  maxBytes: 10_000_000,
};

test('an event that is larger than the server takes is refused alone: the next one is taken', async () => {
  await server.mostBytes(100_000);
  const engine = new RabbitEngine(server.url);
  try {
    await engine.start([SIZES]);
    const publish = (bytes: number) =>
      engine.publish('sizes', event(`of-${bytes}`, { data: Buffer.alloc(bytes) }), 20_000).then(
        () => 'taken',
        (error: EngineFault) => error.kind,
      );
    assert.equal(await publish(10), 'taken');
    // What is under way on the same channel may be repeated, and is not what was too large.
    const [, large, after] = await Promise.all([publish(11), publish(200_000), publish(12)]);
    assert.equal(large, 'too-large');
    assert.equal(after, 'unavailable');
    await until(async () => (await publish(10)) === 'taken', 'a small one is taken', 60_000);
    const beside = await Promise.all([publish(11), publish(200_000), publish(12)]);
    assert.deepEqual(beside, ['taken', 'too-large', 'taken'], 'now it is known');
    assert.equal(engine.problem, null);
  } finally {
    await engine.stop();
    await server.mostBytes(134_217_728);
  }
});

engineSuite({
  name: 'RabbitMQ streams',
  async open(streams) {
    const engine = new RabbitEngine(server.url);
    await engine.start(streams);
    return engine;
  },
  outage: {
    kill: () => server.kill(),
    back: () => server.start(),
  },
  copy: olderCopy(
    () => server,
    () => server.folder,
  ),
  async foreign(stream) {
    const { Connection } = await import('rabbitmq-client');
    const connection = new Connection(server.url);
    const publisher = connection.createPublisher({ confirm: true });
    await publisher.send({ routingKey: `gatehouse.${stream}`, durable: true }, { greeting: 'hello' });
    await publisher.close();
    await connection.close();
  },
  async lose(stream) {
    const { Connection } = await import('rabbitmq-client');
    const connection = new Connection(server.url);
    await connection.queueDelete({ queue: `gatehouse.${stream}` });
    await connection.close();
  },
  knowsKeys: false,
  givesPositions: false,
  trimsByCount: false,
});
