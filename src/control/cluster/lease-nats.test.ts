/** The lease in a real NATS server, which is killed in the middle of it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type NatsServer, startNats } from '../../../test/support/nats.ts';
import { systemClock } from '../../base/clock.ts';
import { leaseSuite } from './lease.suite.ts';
import type { EpochFloor } from './lease.ts';
import { NatsLeaseStore } from './lease-nats.ts';

let server: NatsServer;
let clusters = 0;
const opened: NatsLeaseStore[] = [];
before(async () => {
  server = await startNats();
});
after(async () => {
  await Promise.all(opened.map((each) => each.close()));
  await server?.stop();
});

function open(name: string, node: string, floor: EpochFloor = async () => 0): NatsLeaseStore {
  const settings = { urls: [server.url], replicas: 1 };
  const store = new NatsLeaseStore({ settings, name, node, clock: systemClock, floor });
  opened.push(store);
  return store;
}

leaseSuite('NATS JetStream KV', {
  async open(floor) {
    const name = `cluster..${++clusters}.`;
    return [open(name, 'node 1.', floor), open(name, 'node.2', floor)];
  },
});

test('two clusters on one NATS have a queen each', async () => {
  const [one, two] = [open('left', 'n'), open('right', 'n')];
  assert.ok(await one.acquire('a', 60_000));
  assert.ok(await two.acquire('b', 60_000));
});

test('a server that is killed keeps the lease: its holder renews it, and another does not get it', async () => {
  const [one, two] = [open('killed', 'one'), open('killed', 'two')];
  const epoch = await one.acquire('a', 600_000);
  await server.kill();
  await assert.rejects(one.acquire('a', 600_000));
  await server.start();
  const giveUpMs = performance.now() + 60_000;
  let renewed: number | null | undefined;
  while (renewed === undefined) {
    try {
      renewed = await one.acquire('a', 600_000);
    } catch (error) {
      if (performance.now() > giveUpMs) throw error;
      await delay(100);
    }
  }
  assert.equal(renewed, epoch);
  assert.equal(await two.acquire('b', 600_000), null);
});

test('a key that holds something else is taken over, not read as a lease', async () => {
  const one = open('spoiled', 'one');
  const [{ connect }, { Kvm }] = [await import('@nats-io/transport-node'), await import('@nats-io/kv')];
  const connection = await connect({ servers: [server.url] });
  await one.read();
  const kv = await new Kvm(connection).open('gatehouse_leases');
  const key = `lease.${Buffer.from('spoiled').toString('base64url')}`;
  for (const text of ['', '{', 'null', '{"holder":"x"}', '{"holder":"x","epoch":"1","ttlMs":1e9}']) {
    await kv.put(key, text);
    assert.equal(await one.read(), null, text);
    assert.ok(await one.acquire('a', 60_000));
    await one.release('a');
  }
  await connection.close();
});
