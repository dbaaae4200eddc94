/**
 * The bridge's end of the line to one worker (contract/channel-link.ts): its calls, and what is said to them, gathered
 * over one turn of the event loop. Bytes that go to many calls, as an event does, are sent once with the list of them.
 */
import type { MessagePort } from 'node:worker_threads';
import {
  ABORT,
  BatchBytes,
  DRAINED,
  END,
  GONE,
  OPEN,
  type OpenedChannel,
  REPLY,
  STREAM,
  TOOK,
  type ToBridgeBatch,
  type ToWorkerBatch,
  type ToWorkerItem,
  TUNNEL_BYTES,
  UPGRADE,
  WRITE,
  WROTE,
} from '../../../data/contract/channel-link.ts';
import { Channel } from './channel.ts';

/** What a batch may gather before it is sent: the worker begins while the bridge goes on. */
const MOST_WRITES = 1_024;
const MOST_BYTES = 256 * 1024;
/** Bytes from which a batch is handed over rather than copied. */
const HANDED_OVER_BYTES = 16 * 1024;

/** Bytes and who gets them. */
interface Write {
  readonly from: number;
  to: number;
  /** Place among the items of the batch. */
  readonly item: number;
  readonly channels: Channel[];
  /** What it is shared by. */
  readonly first: Uint8Array;
}

export class WorkerLink {
  readonly #port: MessagePort;
  readonly #onOpen: (channel: Channel, opened: OpenedChannel, body: Buffer) => void;
  readonly #channels = new Map<number, Channel>();
  /** The batch that is being gathered. */
  #batch = 1;
  #items: (ToWorkerItem | Write)[] = [];
  readonly #bytes = new BatchBytes();
  readonly #shared = new Map<Uint8Array, Write>();
  #writes = 0;
  #isPlanned = false;
  /** Of batches that the worker has not reported yet. */
  readonly #underWay = new Map<number, readonly Write[]>();

  constructor(
    port: MessagePort,
    onOpen: (channel: Channel, opened: OpenedChannel, body: Buffer) => void,
    onClose: () => void,
  ) {
    this.#port = port;
    this.#onOpen = onOpen;
    port.on('message', (message: ToBridgeBatch) => {
      if (message.kind === 'channels') this.#onBatch(message);
    });
    port.on('close', () => {
      for (const channel of [...this.#channels.values()]) this.#onGone(channel.id);
      onClose();
    });
  }

  // --- what comes ----------------------------------------------------------------------------------------------------

  #onBatch({ items, bytes }: ToBridgeBatch): void {
    const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (const item of items) {
      switch (item[0]) {
        case OPEN: {
          const [, id, opened, from, to] = item;
          const channel = new Channel(this, id);
          this.#channels.set(id, channel);
          this.#onOpen(channel, opened, whole.subarray(from, to));
          break;
        }
        case TUNNEL_BYTES:
          this.#channels.get(item[1])?.onBytes(whole.subarray(item[2], item[3]));
          break;
        case GONE:
          this.#onGone(item[1]);
          break;
        case WROTE:
          this.#onWrote(item[1], item[2]);
          break;
        case DRAINED:
          this.#channels.get(item[1])?.onRead();
          break;
        default:
      }
    }
  }

  #onGone(id: number): void {
    const channel = this.#channels.get(id);
    this.#channels.delete(id);
    channel?.onGone();
  }

  #onWrote(batch: number, stopped: readonly number[]): void {
    const writes = this.#underWay.get(batch);
    if (writes === undefined) return;
    this.#underWay.delete(batch);
    for (const id of stopped) this.#channels.get(id)?.onStopped();
    for (const { from, to, channels } of writes) for (const channel of channels) channel.onWritten(to - from);
  }

  // --- what is said --------------------------------------------------------------------------------------------------

  reply(channel: Channel, status: number, headers: Record<string, string>, body: string): void {
    this.#plan([REPLY, channel.id, status, headers, body]);
    this.#channels.delete(channel.id);
  }

  stream(channel: Channel): void {
    this.#say(channel, [STREAM, channel.id]);
  }

  upgrade(channel: Channel, head: Buffer): void {
    const from = this.#bytes.add(head);
    this.#say(channel, [UPGRADE, channel.id, from, this.#bytes.length]);
  }

  took({ id }: Channel, bytes: number): void {
    this.#plan([TOOK, id, bytes]);
  }

  end(channel: Channel): void {
    this.#plan([END, channel.id]);
    this.#channels.delete(channel.id);
  }

  abort(channel: Channel): void {
    this.#plan([ABORT, channel.id]);
    this.#channels.delete(channel.id);
  }

  /** `bytes` must stay as they are, and the same object for all who get the same. */
  write(channel: Channel, bytes: Uint8Array): void {
    const isFirst = channel.batch !== this.#batch;
    const last = isFirst ? -1 : channel.lastItem;
    const shared = this.#shared.get(bytes);
    // What a channel was sent later must not overtake what it was sent before.
    if (shared !== undefined && shared.item > last) {
      shared.channels.push(channel);
      this.#mark(channel, shared.item);
    } else this.#writeAnew(channel, bytes, last);
    if (++this.#writes >= MOST_WRITES || this.#bytes.length >= MOST_BYTES) this.#send();
  }

  #writeAnew(channel: Channel, bytes: Uint8Array, last: number): void {
    const newest = this.#items.length - 1;
    const before = this.#items[newest];
    const from = this.#bytes.add(bytes);
    const to = this.#bytes.length;
    // One after the other to the same one alone: they go as one.
    if (last === newest && newest >= 0 && !Array.isArray(before)) {
      const write = before as Write;
      if (write.channels.length === 1 && write.to === from) {
        write.to = to;
        // What it began with can be no one else's any more.
        this.#shared.delete(write.first);
        return;
      }
    }
    const write: Write = { from, to, item: newest + 1, channels: [channel], first: bytes };
    this.#shared.set(bytes, write);
    this.#say(channel, write);
  }

  #mark(channel: Channel, item: number): void {
    channel.batch = this.#batch;
    channel.lastItem = item;
  }

  #say(channel: Channel, item: ToWorkerItem | Write): void {
    this.#mark(channel, this.#items.length);
    this.#plan(item);
  }

  #plan(item: ToWorkerItem | Write): void {
    this.#items.push(item);
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    setImmediate(() => this.#send());
  }

  #send(): void {
    this.#isPlanned = false;
    if (this.#items.length === 0) return;
    const writes: Write[] = [];
    const items = this.#items.map((item): ToWorkerItem => {
      if (isSaid(item)) return item;
      writes.push(item);
      return [WRITE, Uint32Array.from(item.channels, ({ id }) => id), item.from, item.to];
    });
    const bytes = this.#bytes.take();
    const batch = writes.length === 0 ? 0 : this.#batch;
    if (batch > 0) this.#underWay.set(batch, writes);
    this.#batch++;
    this.#items = [];
    this.#shared.clear();
    this.#writes = 0;
    const transfer = bytes.byteLength > HANDED_OVER_BYTES ? [bytes.buffer] : [];
    this.#port.postMessage({ kind: 'channels', batch, items, bytes } satisfies ToWorkerBatch, transfer);
  }

  /** Sends what was gathered, before the thread ends. */
  flush(): void {
    this.#send();
  }
}

function isSaid(item: ToWorkerItem | Write): item is ToWorkerItem {
  return Array.isArray(item);
}
