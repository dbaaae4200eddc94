/**
 * Publishes to a broker and reads from it by nothing but its own client, as a program without a gateway would; for
 * engines.ts, which starts it with how (`alone`, or behind a plain `http` server), the kind of broker, its URL,
 * seconds, how many at once, how many alone, the port, the body, events of a batch and batches at once.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { median } from './lib/statistics.ts';

const [, , mode, kind = '', url = '', seconds = '', atOnce = '', alone = '', port = '', body = '', ...batches] =
  process.argv;
const [batch = 0, batchesAtOnce = 0] = batches.map(Number);
const IS_BATCH = /^application\/cloudevents-batch\+json/;
const WARM_UP_MS = 3_000;

interface Bare {
  /** Resolves with its position once it is acknowledged. */
  publish(data: Buffer): Promise<unknown>;
  /** Each from the oldest on; resolves when `take` gives false. */
  read(take: (position: string, data: Uint8Array | string) => boolean): Promise<void>;
}

async function nats(): Promise<Bare> {
  const { connect } = await import('@nats-io/transport-node');
  const { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } = await import('@nats-io/jetstream');
  const connection = await connect({ servers: url.replace('nats://', '') });
  const manager = await jetstreamManager(connection);
  const stream = `BARE_${mode}`;
  await manager.streams.add({ name: stream, subjects: [`bare.${mode}.>`] });
  const js = jetstream(connection);
  return {
    publish: async (data) => (await js.publish(`bare.${mode}.a`, data)).seq,
    async read(take) {
      const made = await manager.consumers.add(stream, {
        ack_policy: AckPolicy.None,
        deliver_policy: DeliverPolicy.All,
        name: 'bare',
      });
      const consumer = await js.consumers.get(stream, made.name);
      for await (const { seq, data } of await consumer.consume({ max_messages: 500 })) {
        if (!take(String(seq), data)) break;
      }
    },
  };
}

async function redis(): Promise<Bare> {
  const { Redis } = await import('ioredis');
  const client = new Redis(url);
  const key = `bare-${mode}`;
  return {
    publish: (data) => client.xadd(key, '*', 'data', data),
    async read(take) {
      let after = '0-0';
      for (;;) {
        const found = await client.xread('COUNT', 500, 'STREAMS', key, after);
        for (const [position, [, data = '']] of found?.[0]?.[1] ?? []) {
          after = position;
          if (!take(position, data)) return;
        }
      }
    },
  };
}

const bare = await (kind === 'nats' ? nats() : redis());
if (mode === 'http') serve(bare);
else await measure(bare);

/**
 * POST publishes its body, which must be JSON, or each of a batch of CloudEvents; GET sends events as they are, as
 * server-sent events.
 */
function serve({ publish, read }: Bare): void {
  createServer((request, response) => {
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      void read((position, data) => sendEvent(response, position, data));
      return;
    }
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', async () => {
      const data = Buffer.concat(pieces);
      const parsed = JSON.parse(data.toString()) as unknown;
      const events = IS_BATCH.test(request.headers['content-type'] ?? '')
        ? (parsed as { readonly data: unknown }[]).map((event) => Buffer.from(JSON.stringify(event.data)))
        : [data];
      const text = JSON.stringify(
        await Promise.all(events.map(async (each) => ({ id: randomUUID(), position: await publish(each) }))),
      );
      response.writeHead(202, { 'content-type': 'application/json', 'content-length': text.length });
      response.end(text);
    });
  }).listen(Number(port), '127.0.0.1');
}

function sendEvent(response: ServerResponse, position: string, data: Uint8Array | string): boolean {
  const text = typeof data === 'string' ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString();
  response.write(`id: ${position}\ndata: ${text}\n\n`);
  return !response.destroyed;
}

async function measure({ publish, read }: Bare): Promise<void> {
  const payload = Buffer.from(body);
  const doFor = async (ms: number, workers: number, act: () => Promise<unknown>): Promise<number> => {
    let count = 0;
    const endAt = performance.now() + ms;
    await Promise.all(
      Array.from({ length: workers }, async () => {
        for (; performance.now() < endAt; count++) await act();
      }),
    );
    return count;
  };
  const publishFor = (ms: number): Promise<number> => doFor(ms, Number(atOnce), () => publish(payload));
  const publishBatches = (ms: number): Promise<number> =>
    doFor(ms, batchesAtOnce, () => Promise.all(Array.from({ length: batch }, () => publish(payload))));
  const warmed = await publishFor(WARM_UP_MS);
  await delay(WARM_UP_MS / 6);
  const times: number[] = [];
  for (let i = 0; i < Number(alone); i++) {
    const beganAt = performance.now();
    await publish(payload);
    times.push(performance.now() - beganAt);
  }
  const before = process.cpuUsage();
  const count = await publishFor(Number(seconds) * 1_000);
  const { user, system } = process.cpuUsage(before);
  const total = warmed + times.length + count;
  const readBefore = process.cpuUsage();
  let seen = 0;
  await read(() => ++seen < total);
  const taken = process.cpuUsage(readBefore);
  await publishBatches(WARM_UP_MS);
  const batchesBefore = process.cpuUsage();
  const sent = (await publishBatches(Number(seconds) * 1_000)) * batch;
  const batched = process.cpuUsage(batchesBefore);
  process.send!({
    perSecond: count / Number(seconds),
    microseconds: (user + system) / count,
    alone: median(times),
    batched: (batched.user + batched.system) / sent,
    received: (taken.user + taken.system) / total,
  });
}
