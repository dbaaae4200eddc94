/**
 * The worker's end of the line to the event bridge (contract/channel-link.ts), one for each worker. What calls have to
 * say is gathered over one turn of the event loop. While there is no bridge, as when the process starts or the bridge
 * is started again, calls wait a moment for it.
 */

import type { MessagePort } from 'node:worker_threads';
import type { Clock } from '../../base/clock.ts';
import { FAULTS, Fault } from '../../base/errors.ts';
import { type Cancel, every } from '../../base/system-timers.ts';
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
  type ToBridgeItem,
  type ToWorkerBatch,
  TUNNEL_BYTES,
  UPGRADE,
  WRITE,
  WROTE,
} from '../contract/channel-link.ts';
import type { PolicyEnvironment } from '../contract/policy.ts';

/** What the link says to a call. `flushBytes` gives false when its client reads too slowly; `drained` follows then. */
export interface LinkedCall {
  id: number;
  onReply(status: number, headers: Record<string, string>, body: string): void;
  onStream(): void;
  onUpgrade(head: Buffer): void;
  onBytes(bytes: Buffer, from: number, to: number): void;
  flushBytes(): boolean;
  onEnd(): void;
  onTook(bytes: number): void;
  /** Nothing follows. */
  onFault(fault: Fault): void;
}

interface Entry {
  readonly call: LinkedCall;
  readonly sinceMs: number;
  /** Null: it waits for a bridge. */
  port: MessagePort | null;
  /** Number of the batch that it was last written from. */
  touchedBy: number;
}

/** Requests of a worker that are under way or stay open; more are refused. */
const MOST_CALLS = 200_000;
/** Requests that may wait for a bridge, and how long. */
const MOST_WAITING = 1_000;
const WAIT_FOR_BRIDGE_MS = 3_000;
/** Longer than the bridge takes for any response: `ackTimeout` is at most 30 s. */
const RESPONSE_WITHIN_MS = 40_000;
const LOOK_EVERY_MS = 500;
/** Bytes from which a batch is handed over rather than copied. */
const HANDED_OVER_BYTES = 16 * 1024;
/** Clients that are written to before their bytes go to the kernel: fewer than scratch.ts keeps buffers for. */
const FLUSH_EVERY = 8;

const NOT_NOW = 'events are not available now';
const NOBODY: readonly number[] = [];

export class BridgeLink {
  readonly #clock: Clock;
  #port: MessagePort | null = null;
  readonly #calls = new Map<number, Entry>();
  /** To be sent once there is a bridge. */
  readonly #waiting = new Map<number, readonly [opened: OpenedChannel, body: Uint8Array]>();
  #lastId = 0;
  #items: ToBridgeItem[] = [];
  readonly #bytes = new BatchBytes();
  #isPlanned = false;
  #looking: Cancel | null = null;
  /** Ids of calls whose response has not begun, oldest first. */
  readonly #unanswered = new Set<number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  static of({ perWorker, clock }: PolicyEnvironment): BridgeLink {
    return perWorker('bridge-link', () => new BridgeLink(clock));
  }

  /** The bridge, or the one that follows it. */
  serve(port: MessagePort): void {
    this.#send();
    this.#port = port;
    port.on('message', (message: ToWorkerBatch) => {
      if (message.kind === 'channels') this.#onBatch(message);
    });
    port.on('close', () => this.#onClosed(port));
    for (const [id, [opened, body]] of this.#waiting) this.#open(id, this.#calls.get(id)!, opened, body);
    this.#waiting.clear();
  }

  /** False: there are too many. */
  open(call: LinkedCall, opened: OpenedChannel, body: Uint8Array): boolean {
    const isWaiting = this.#port === null;
    if (this.#calls.size >= MOST_CALLS || (isWaiting && this.#waiting.size >= MOST_WAITING)) return false;
    const id = ++this.#lastId;
    call.id = id;
    const sinceMs = this.#clock.monotonicMs();
    const entry: Entry = { call, sinceMs, port: null, touchedBy: 0 };
    this.#calls.set(id, entry);
    this.#unanswered.add(id);
    this.#looking ??= every(LOOK_EVERY_MS, () => this.#look());
    if (isWaiting) this.#waiting.set(id, [opened, Uint8Array.from(body)]);
    else this.#open(id, entry, opened, body);
    return true;
  }

  #open(id: number, entry: Entry, opened: OpenedChannel, body: Uint8Array): void {
    entry.port = this.#port;
    const from = this.#bytes.add(body);
    this.#plan([OPEN, id, opened, from, this.#bytes.length]);
  }

  /** Bytes of the client's in an upgraded call; they may be used again at once. */
  tunnelBytes({ id }: LinkedCall, bytes: Uint8Array): void {
    const from = this.#bytes.add(Uint8Array.from(bytes));
    this.#plan([TUNNEL_BYTES, id, from, this.#bytes.length]);
  }

  drained({ id }: LinkedCall): void {
    this.#plan([DRAINED, id]);
  }

  gone({ id }: LinkedCall): void {
    const entry = this.#forget(id);
    if (entry !== undefined && entry.port !== null) this.#plan([GONE, id]);
  }

  #forget(id: number): Entry | undefined {
    const entry = this.#calls.get(id);
    this.#calls.delete(id);
    this.#waiting.delete(id);
    this.#unanswered.delete(id);
    return entry;
  }

  // --- what is said --------------------------------------------------------------------------------------------------

  #plan(item: ToBridgeItem): void {
    this.#items.push(item);
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    setImmediate(() => this.#send());
  }

  #send(): void {
    this.#isPlanned = false;
    if (this.#items.length === 0) return;
    const items = this.#items;
    this.#items = [];
    const bytes = this.#bytes.take();
    const transfer = bytes.byteLength > HANDED_OVER_BYTES ? [bytes.buffer] : [];
    this.#port?.postMessage({ kind: 'channels', items, bytes } satisfies ToBridgeBatch, transfer);
  }

  // --- receiving -----------------------------------------------------------------------------------------------------

  #onBatch({ batch, items, bytes }: ToWorkerBatch): void {
    const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const touched: Entry[] = [];
    const stopped: number[] = [];
    for (const item of items) {
      switch (item[0]) {
        case WRITE: {
          const [, ids, from, to] = item;
          for (const id of ids) {
            const entry = this.#calls.get(id);
            if (entry === undefined) continue;
            entry.call.onBytes(whole, from, to);
            if (entry.touchedBy === batch) continue;
            entry.touchedBy = batch;
            touched.push(entry);
            if (touched.length >= FLUSH_EVERY) flush(touched, stopped);
          }
          break;
        }
        case END:
          flush(touched, stopped);
          this.#forget(item[1])?.call.onEnd();
          break;
        case ABORT:
          this.#forget(item[1])?.call.onFault(new Fault(FAULTS.upstreamReset));
          break;
        case REPLY:
          this.#forget(item[1])?.call.onReply(item[2], item[3], item[4]);
          break;
        case STREAM:
          this.#responds(item[1])?.onStream();
          break;
        case UPGRADE:
          this.#responds(item[1])?.onUpgrade(whole.subarray(item[2], item[3]));
          break;
        case TOOK:
          this.#calls.get(item[1])?.call.onTook(item[2]);
          break;
        default:
      }
    }
    flush(touched, stopped);
    if (batch > 0) this.#plan([WROTE, batch, stopped.length === 0 ? NOBODY : stopped]);
  }

  #responds(id: number): LinkedCall | undefined {
    this.#unanswered.delete(id);
    return this.#calls.get(id)?.call;
  }

  /** The bridge has ended: whether what it was asked for has happened is not known. */
  #onClosed(port: MessagePort): void {
    if (this.#port === port) this.#port = null;
    for (const [id, entry] of this.#calls) if (entry.port === port) this.#fail(id, 'the event bridge ended');
  }

  #look(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const id of this.#unanswered) {
      const entry = this.#calls.get(id)!;
      const withinMs = entry.port === null ? WAIT_FOR_BRIDGE_MS : RESPONSE_WITHIN_MS;
      if (nowMs - entry.sinceMs < withinMs) continue;
      if (entry.port !== null) this.#plan([GONE, id]);
      this.#fail(id, entry.port === null ? 'there is no event bridge' : 'the event bridge did not respond in time');
    }
    if (this.#unanswered.size > 0 || this.#looking === null) return;
    this.#looking();
    this.#looking = null;
  }

  #fail(id: number, cause: string): void {
    this.#forget(id)?.call.onFault(new Fault(FAULTS.noInstance, { message: NOT_NOW, cause, retryAfterSeconds: 1 }));
  }

  /** The worker ends. */
  close(): void {
    this.#send();
    this.#looking?.();
    this.#port?.close();
  }
}

/** Hands to the kernel what was written, and says whose clients read too slowly. */
function flush(touched: Entry[], stopped: number[]): void {
  for (const { call } of touched) if (!call.flushBytes()) stopped.push(call.id);
  touched.length = 0;
}
