/** NATS JetStream, by a real server that is killed in the middle of it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type NatsServer, startNats } from '../../../../test/support/nats.ts';
import { olderCopy } from '../../../../test/support/older-copy.ts';
import { until } from '../../../../test/support/until.ts';
import { engineSuite, event, readAll, streamSettings } from './engine.suite.ts';
import { NatsEngine } from './nats.ts';

let server: NatsServer;
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
  copy: olderCopy(
    () => server,
    () => server.folder,
  ),
  async foreign(stream) {
    const { connect } = await import('@nats-io/transport-node');
    const connection = await connect({ servers: server.url.replace('nats://', '') });
    connection.publish(`gatehouse.${stream}.x`, 'hello');
    await connection.flush();
    await connection.close();
  },
  async lose(stream) {
    const { connect } = await import('@nats-io/transport-node');
    const { jetstreamManager } = await import('@nats-io/jetstream');
    const connection = await connect({ servers: server.url.replace('nats://', '') });
    await (await jetstreamManager(connection)).streams.delete(`GH_${stream}`);
    await connection.close();
  },
  knowsKeys: true,
  givesPositions: true,
  trimsByCount: true,
});

test('NATS JetStream: a reader goes on when the server has ended the consumer that its pages came from', async (t) => {
  const engine = new NatsEngine({ urls: [server.url], replicas: 1 });
  t.after(() => engine.stop());
  const stream = `gone_${process.pid}`;
  await engine.start([streamSettings({ name: stream })]);
  const ids = Array.from({ length: 60 }, (_, i) => `e${i}`);
  await Promise.all(ids.map((id) => engine.publish(stream, event(id), 10_000)));
  const first = await engine.read(stream, null, 20);
  const { connect } = await import('@nats-io/transport-node');
  const { jetstreamManager } = await import('@nats-io/jetstream');
  const connection = await connect({ servers: server.url.replace('nats://', '') });
  t.after(() => connection.close());
  const { consumers } = await jetstreamManager(connection);
  const names: string[] = [];
  for await (const { name } of consumers.list(`GH_${stream}`)) names.push(name);
  assert.equal(names.length, 1);
  await consumers.delete(`GH_${stream}`, names[0]!);
  const second = await engine.read(stream, first.events.at(-1)!.position, 20);
  assert.deepEqual(
    [...first.events, ...second.events].map(({ id }) => id),
    ids.slice(0, 40),
  );
  assert.equal((await readAll(engine, stream, 25)).length, 60);
});

test('NATS JetStream: who follows goes on when the server has ended its consumer', async (t) => {
  const engine = new NatsEngine({ urls: [server.url], replicas: 1 });
  t.after(() => engine.stop());
  const stream = `followed_${process.pid}`;
  await engine.start([streamSettings({ name: stream })]);
  const { connect } = await import('@nats-io/transport-node');
  const { jetstreamManager } = await import('@nats-io/jetstream');
  const connection = await connect({ servers: server.url.replace('nats://', '') });
  t.after(() => connection.close());
  const { consumers } = await jetstreamManager(connection);
  const names = async (): Promise<string[]> => {
    const found: string[] = [];
    for await (const { name } of consumers.list(`GH_${stream}`)) found.push(name);
    return found;
  };
  const seen: string[] = [];
  const tail = engine.tail(stream, null, {
    onEvents: (events) => void seen.push(...events.map(({ id }) => id)),
    onGap: () => void seen.push('gap'),
  });
  t.after(() => tail.stop());
  const wanted: string[] = [];
  for (let round = 0; round < 3; round++) {
    let name = '';
    const isThere = async (): Promise<boolean> => {
      [name = ''] = await names();
      return name !== '';
    };
    await until(isThere, 'a consumer', 60_000);
    await Promise.all(
      Array.from({ length: 700 }, (_, i) => {
        wanted.push(`r${round}e${i}`);
        if (i === 350) void consumers.delete(`GH_${stream}`, name).catch(() => {});
        return engine.publish(stream, event(`r${round}e${i}`), 10_000);
      }),
    );
    await until(() => seen.length >= wanted.length, 'all of them', 60_000);
  }
  assert.deepEqual(seen, wanted);
});
