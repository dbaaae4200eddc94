/**
 * What a worker and the event bridge say to each other over a message port about requests to `publish`, `subscribe` and
 * `builtin: realtime` routes. Both sides gather what they have to say over one turn of their event loop and post it as
 * one batch, in order; all bytes of a batch lie in one piece of memory. A request is a call with a number that its
 * worker gave it.
 *
 *   worker -> bridge    OPEN, then TUNNEL_BYTES of an upgraded one    GONE    WROTE, DRAINED: how clients read
 *   bridge -> worker    REPLY | STREAM | UPGRADE, then WRITE, END | ABORT      TOOK: tunnel bytes were read
 */
import type { ChannelCall } from './events.ts';

/** Bytes of a call that may be under way to its client, or wait for it in its worker. */
export const CREDIT_BYTES = 64 * 1024;

export const OPEN = 0;
export const TUNNEL_BYTES = 1;
export const GONE = 2;
export const WROTE = 3;
export const DRAINED = 4;

/** The request as the bridge sees it. Names of fields are in lower case. */
export interface OpenedChannel {
  readonly channel: ChannelCall;
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Asks for a WebSocket. */
  readonly isUpgrade: boolean;
}

/** `from` and `to` are places in the bytes of the batch. */
export type ToBridgeItem =
  | readonly [kind: typeof OPEN, id: number, opened: OpenedChannel, from: number, to: number]
  | readonly [kind: typeof TUNNEL_BYTES, id: number, from: number, to: number]
  /** The client is gone, or the response is not needed any more. */
  | readonly [kind: typeof GONE, id: number]
  /** All writes of a batch are with the kernel, but for these calls, whose clients read too slowly. */
  | readonly [kind: typeof WROTE, batch: number, stopped: readonly number[]]
  /** The client of one that was stopped has read all of it. */
  | readonly [kind: typeof DRAINED, id: number];

export interface ToBridgeBatch {
  readonly kind: 'channels';
  readonly items: readonly ToBridgeItem[];
  readonly bytes: Uint8Array;
}

export const REPLY = 0;
export const STREAM = 1;
export const UPGRADE = 2;
export const WRITE = 3;
export const END = 4;
export const ABORT = 5;
export const TOOK = 6;

export type ToWorkerItem =
  /** The whole response. */
  | readonly [kind: typeof REPLY, id: number, status: number, headers: Record<string, string>, body: string]
  /** 200 with server-sent events, which follow by WRITE. */
  | readonly [kind: typeof STREAM, id: number]
  /** 101; the bytes are the head as HTTP/1.1 has it. What follows by WRITE are frames. */
  | readonly [kind: typeof UPGRADE, id: number, from: number, to: number]
  /** The same bytes for each of these calls. */
  | readonly [kind: typeof WRITE, ids: Uint32Array, from: number, to: number]
  | readonly [kind: typeof END, id: number]
  | readonly [kind: typeof ABORT, id: number]
  /** So many bytes of the client's were read. */
  | readonly [kind: typeof TOOK, id: number, bytes: number];

export interface ToWorkerBatch {
  readonly kind: 'channels';
  /** Counts up; 0: nothing in it is to be reported by WROTE. */
  readonly batch: number;
  readonly items: readonly ToWorkerItem[];
  readonly bytes: Uint8Array;
}

/** Pieces of a batch's bytes, until they are put into one piece of memory. */
export class BatchBytes {
  length = 0;
  readonly #pieces: Uint8Array[] = [];

  /** Where it begins. */
  add(piece: Uint8Array): number {
    const from = this.length;
    this.#pieces.push(piece);
    this.length += piece.byteLength;
    return from;
  }

  /** All of them, in memory of its own, which may be handed to another thread; nothing is left. */
  take(): Uint8Array<ArrayBuffer> {
    const whole = new Uint8Array(this.length);
    let at = 0;
    for (const piece of this.#pieces) {
      whole.set(piece, at);
      at += piece.byteLength;
    }
    this.#pieces.length = 0;
    this.length = 0;
    return whole;
  }
}
