/** RabbitMQ stream queues, by a real server that is killed in the middle of it. */
import { after, before } from 'node:test';
import type { BrokerServer } from '../../../../test/support/nats.ts';
import { startRabbit } from '../../../../test/support/rabbitmq.ts';
import { engineSuite } from './engine.suite.ts';
import { RabbitEngine } from './rabbitmq.ts';

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
    kill: () => server.kill(),
    back: () => server.start(),
  },
  async foreign(stream) {
    const { Connection } = await import('rabbitmq-client');
    const connection = new Connection(server.url);
    const publisher = connection.createPublisher({ confirm: true });
    await publisher.send({ routingKey: `gatehouse.${stream}`, durable: true }, { greeting: 'hello' });
    await publisher.close();
    await connection.close();
  },
  knowsKeys: false,
  givesPositions: false,
  trimsByCount: false,
});
