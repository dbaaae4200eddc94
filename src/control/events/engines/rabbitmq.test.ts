/** RabbitMQ stream queues, by a real server that is killed in the middle of it. */
import { after, before } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { BrokerServer } from '../../../../test/support/nats.ts';
import { startRabbit } from '../../../../test/support/rabbitmq.ts';
import { engineSuite } from './engine.suite.ts';
import { RabbitEngine } from './rabbitmq.ts';

/** A server that is killed sooner after a queue was made comes back without the queue (seen with 3.10). */
const QUEUE_IS_WRITTEN_MS = 5_000;

let server: BrokerServer;
before(async () => {
  server = await startRabbit();
});
after(() => server.stop());

engineSuite({
  name: 'RabbitMQ streams',
  async open(streams) {
    const engine = new RabbitEngine(server.url);
    await engine.start(streams);
    return engine;
  },
  outage: {
    kill: async () => {
      await delay(QUEUE_IS_WRITTEN_MS);
      await server.kill();
    },
    back: () => server.start(),
  },
  knowsKeys: false,
  givesPositions: false,
  trimsByCount: false,
});
