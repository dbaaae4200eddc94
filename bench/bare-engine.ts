/**
 * Publishes to a broker and reads from it by nothing but its own client, as a program without a gateway would; for
 * engines.ts, which starts it with the kind of broker, its URL, seconds, how many at once, how many alone, and the
 * body.
 */
import { median } from './lib/statistics.ts';

const [, , kind = '', url = '', seconds = '', atOnce = '', alone = '', body = ''] = process.argv;

interface Bare {
  /** Resolves once it is acknowledged. */
  publish(): Promise<unknown>;
  /** Resolves when so many have come. */
  readAll(total: number): Promise<void>;
}

async function nats(): Promise<Bare> {
  const { connect } = await import('@nats-io/transport-node');
  const { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } = await import('@nats-io/jetstream');
  const connection = await connect({ servers: url.replace('nats://', '') });
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: 'BARE', subjects: ['bare.>'] });
  const js = jetstream(connection);
  const payload = Buffer.from(body);
  return {
    publish: () => js.publish('bare.a', payload),
    async readAll(total) {
      const made = await manager.consumers.add('BARE', {
        ack_policy: AckPolicy.None,
        deliver_policy: DeliverPolicy.All,
        name: 'bare',
      });
      const consumer = await js.consumers.get('BARE', made.name);
      let seen = 0;
      for await (const _ of await consumer.consume({ max_messages: 500 })) if (++seen === total) break;
    },
  };
}

async function redis(): Promise<Bare> {
  const { Redis } = await import('ioredis');
  const client = new Redis(url);
  return {
    publish: () => client.xadd('bare', '*', 'data', body),
    async readAll(total) {
      let after = '0-0';
      for (let seen = 0; seen < total; ) {
        const found = await client.xread('COUNT', 500, 'STREAMS', 'bare', after);
        const entries = found?.[0]?.[1] ?? [];
        seen += entries.length;
        after = entries.at(-1)?.[0] ?? after;
      }
    },
  };
}

const { publish, readAll } = await (kind === 'nats' ? nats() : redis());
await Promise.all(Array.from({ length: Number(atOnce) }, publish));
const times: number[] = [];
for (let i = 0; i < Number(alone); i++) {
  const beganAt = performance.now();
  await publish();
  times.push(performance.now() - beganAt);
}
let count = 0;
const before = process.cpuUsage();
const endAt = performance.now() + Number(seconds) * 1_000;
await Promise.all(
  Array.from({ length: Number(atOnce) }, async () => {
    for (; performance.now() < endAt; count++) await publish();
  }),
);
const { user, system } = process.cpuUsage(before);
const total = count + times.length + Number(atOnce);
const readBefore = process.cpuUsage();
await readAll(total);
const read = process.cpuUsage(readBefore);
process.send!({
  perSecond: count / Number(seconds),
  microseconds: (user + system) / count,
  alone: median(times),
  received: (read.user + read.system) / total,
});
