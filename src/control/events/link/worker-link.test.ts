/** Both ends of the line between a worker and the bridge, over a real message channel. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { systemClock } from '../../../base/clock.ts';
import type { Fault } from '../../../base/errors.ts';
import { BridgeLink, type LinkedCall } from '../../../data/channels/bridge-link.ts';
import { CREDIT_BYTES, type OpenedChannel, type ToWorkerBatch } from '../../../data/contract/channel-link.ts';
import type { Channel } from './channel.ts';
import { WorkerLink } from './worker-link.ts';

const REQUEST: OpenedChannel = {
  channel: {
    route: 'r',
    subject: 's',
    key: null,
    caller: null,
    account: null,
    plan: null,
    expires: null,
    address: '192.0.2.1',
  },
  method: 'GET',
  url: '/events?after=1',
  headers: { accept: 'text/event-stream' },
  isUpgrade: false,
};

/** A client that takes what it can: nothing while it is `slow`. */
class Client implements LinkedCall {
  id = 0;
  slow = false;
  text = '';
  readonly told: string[] = [];
  onReply(status: number, _headers: Record<string, string>, body: string): void {
    this.told.push(`reply ${status} ${body}`);
  }
  onStream(): void {
    this.told.push('stream');
  }
  onUpgrade(head: Buffer): void {
    this.told.push(`upgrade ${head.toString()}`);
  }
  onBytes(bytes: Buffer, from: number, to: number): void {
    this.text += bytes.toString('latin1', from, to);
  }
  flushBytes(): boolean {
    return !this.slow;
  }
  onEnd(): void {
    this.told.push('end');
  }
  onTook(bytes: number): void {
    this.told.push(`took ${bytes}`);
  }
  onFault({ kind }: Fault): void {
    this.told.push(`fault ${kind.status}`);
  }
}

function line(t: TestContext) {
  const { port1, port2 } = new MessageChannel();
  const worker = new BridgeLink(systemClock);
  const opened: { channel: Channel; request: OpenedChannel; body: string }[] = [];
  let isClosed = false;
  const bridge = new WorkerLink(
    port1,
    (channel, request, body) => void opened.push({ channel, request, body: body.toString() }),
    () => {
      isClosed = true;
    },
  );
  const batches: ToWorkerBatch[] = [];
  port2.on('message', (batch: ToWorkerBatch) => void batches.push(batch));
  worker.serve(port2);
  t.after(() => {
    port1.close();
    worker.close();
  });
  return { worker, bridge, opened, batches, port: port1, isClosed: () => isClosed };
}

/** Turns of the event loop until it holds. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 1));
}

async function openAll(
  { worker, opened }: Pick<ReturnType<typeof line>, 'worker' | 'opened'>,
  count: number,
): Promise<{ clients: Client[]; channels: Channel[] }> {
  const clients = Array.from({ length: count }, () => new Client());
  for (const client of clients) assert.ok(worker.open(client, REQUEST, Buffer.alloc(0)));
  await until(() => opened.length === count);
  return { clients, channels: opened.map(({ channel }) => channel) };
}

test('a request comes as it is, and its reply goes back to the one who asked', async (t) => {
  const both = line(t);
  const client = new Client();
  both.worker.open(client, REQUEST, Buffer.from('the body'));
  both.worker.open(new Client(), REQUEST, Buffer.from('another'));
  await until(() => both.opened.length === 2);
  const [first] = both.opened;
  assert.deepEqual([first!.request, first!.body, both.opened[1]!.body], [REQUEST, 'the body', 'another']);
  first!.channel.reply(202, {}, 'done');
  await until(() => client.told.length > 0);
  assert.deepEqual(client.told, ['reply 202 done']);
});

test('an event for a thousand clients crosses once, in one message', async (t) => {
  const both = line(t);
  const { clients, channels } = await openAll(both, 1_000);
  const before = both.batches.length;
  const event = Buffer.from('data: 1\n\n');
  for (const channel of channels) channel.write(event);
  await until(() => clients.every(({ text }) => text === 'data: 1\n\n'));
  const [batch] = both.batches.slice(before);
  assert.equal(both.batches.length, before + 1);
  assert.equal(batch!.bytes.byteLength, event.byteLength);
});

test('each client gets what was written to it in its order, whatever is shared with others', async (t) => {
  const both = line(t);
  const { clients, channels } = await openAll(both, 3);
  const wanted = ['', '', ''];
  const shared = ['A', 'B', 'C'].map((text) => Buffer.from(text));
  let seed = 7;
  const next = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * below);
  };
  for (let i = 0; i < 2_000; i++) {
    const who = next(3);
    const bytes = next(2) === 0 ? shared[next(3)]! : Buffer.from(String(i));
    wanted[who] += bytes.toString();
    channels[who]!.write(bytes);
  }
  await until(() => clients.every(({ text }, i) => text.length === wanted[i]!.length));
  assert.deepEqual(
    clients.map(({ text }) => text),
    wanted,
  );
});

test('a client that does not read gets 64 KB of credit and no more, and goes on when it reads', async (t) => {
  const both = line(t);
  const { clients, channels } = await openAll(both, 2);
  const [slow, quick] = clients as [Client, Client];
  slow.slow = true;
  let drained = 0;
  for (const channel of channels) channel.onDrain(() => drained++);
  const piece = Buffer.alloc(1_024, 'x');
  let written = 0;
  while (channels[0]!.write(piece)) written += piece.byteLength;
  assert.ok(written < CREDIT_BYTES, `${written}`);
  assert.equal(channels[1]!.write(piece), true);
  await until(() => slow.text.length >= written && quick.text.length === 1_024);
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(drained, 0);
  assert.equal(channels[0]!.write(piece), false);
  slow.slow = false;
  await until(() => slow.text.length >= written + 2 * piece.byteLength);
  both.worker.drained(slow);
  await until(() => drained === 1);
  assert.equal(channels[0]!.write(piece), true);
});

test('who is gone is written to no more, and an end comes behind all that was written', async (t) => {
  const both = line(t);
  const { clients, channels } = await openAll(both, 2);
  let closed = 0;
  channels[0]!.onClose(() => closed++);
  both.worker.gone(clients[0]!);
  await until(() => closed === 1);
  assert.equal(channels[0]!.write(Buffer.from('x')), false);
  channels[1]!.stream();
  channels[1]!.write(Buffer.from('last'));
  channels[1]!.end();
  await until(() => clients[1]!.told.includes('end'));
  assert.deepEqual([clients[1]!.text, clients[1]!.told], ['last', ['stream', 'end']]);
});

test('a bridge that ends fails what it was asked for with 503; requests that come now wait for the next one', async (t) => {
  const both = line(t);
  const { clients } = await openAll(both, 1);
  both.port.close();
  await until(() => clients[0]!.told.length > 0);
  assert.deepEqual(clients[0]!.told, ['fault 503']);
  const late = new Client();
  assert.ok(both.worker.open(late, REQUEST, Buffer.from('kept')));
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  const bodies: string[] = [];
  new WorkerLink(
    port1,
    (channel, _request, body) => {
      bodies.push(body.toString());
      channel.reply(200, {}, '');
    },
    () => {},
  );
  both.worker.serve(port2);
  await until(() => late.told.length > 0);
  assert.deepEqual([bodies, late.told], [['kept'], ['reply 200 ']]);
});

test('a worker that ends takes its calls with it', async (t) => {
  const both = line(t);
  const { channels } = await openAll(both, 2);
  let closed = 0;
  for (const channel of channels) channel.onClose(() => closed++);
  both.worker.close();
  await until(() => both.isClosed());
  assert.equal(closed, 2);
});
