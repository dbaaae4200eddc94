/** NATS JetStream, by a real server that is killed in the middle of it. */
import { after, before } from 'node:test';
import { type BrokerServer, startNats } from '../../../../test/support/nats.ts';
import { engineSuite } from './engine.suite.ts';
import { NatsEngine } from './nats.ts';

let server: BrokerServer;
before(async () => {
  server = await startNats();
});
after(() => server.stop());

engineSuite({
  name: 'NATS JetStream',
  async open(streams) {
    const engine = new NatsEngine({ urls: [server.url], replicas: 1 });
    await engine.start(streams);
    return engine;
  },
  outage: { kill: () => server.kill(), back: () => server.start() },
  knowsKeys: true,
  givesPositions: true,
  trimsByCount: true,
});
