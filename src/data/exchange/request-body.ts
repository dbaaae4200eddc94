/**
 * The request body between the two sides: what has come, what waits for a connection, and what is kept so that a
 * further attempt can send it again. Held memory is bounded: while no attempt takes bytes the downstream is paused,
 * what is gathered before a connection is asked for ends at `requestBuffer`, and what is kept for replay at the
 * service's `maxReplayBytes`.
 */
import { GatheredBytes } from '../../base/gathered-bytes.ts';
import type { FieldBlock } from '../contract/field-block.ts';

/** A piece up to this long that is kept behind others is put together with them. */
const SMALL_BYTES = 2 * 1024;
/** In pieces of this length. */
const BLOCK_BYTES = 16 * 1024;

/** A call's memory for a short body, used again for another request's. */
export interface BodyMemory {
  bodyMemory(): Buffer;
}

/** Who gets the body: a call to a service. */
export interface BodyConsumer {
  /**
   * Has no connection yet and asks for none before so many bytes are here, or all of them; 0: it does not wait for
   * bytes.
   */
  readonly gathersBytes: number;
  /** They are here. */
  onBodyGathered(): void;
  /** Has a connection, and so takes bytes. */
  readonly takesBody: boolean;
  /** Bytes that it was given are still referred to. */
  readonly holdsBody: boolean;
  onBodyBytes(bytes: Uint8Array, isVolatile: boolean): void;
  /** Sends what was handed over. False: reads too slowly; the handler's `onRequestDrain` follows. */
  flushBody(): boolean;
  onBodyEnd(): void;
}

/**
 * The body of requests that have none: one for all, since nothing ever happens to it. A tunnel counts bytes and so has
 * one of its own.
 */
export function bodyOf(length: number, mayTunnel: boolean, memory: BodyMemory): RequestBody {
  return length === 0 && !mayTunnel ? NONE : new RequestBody(length, memory);
}

export class RequestBody {
  /** Of what is sent on: the declared one, that of a filter, or `UNKNOWN_LENGTH` (framing.ts). */
  length: number;
  received = 0;
  complete = false;
  /** Those that may pass, once complete. */
  trailers: FieldBlock | null = null;
  consumer: BodyConsumer | null = null;
  /** From the first byte on, as long as all of them are here. */
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  /** What comes in small pieces before a connection is asked for; the last of what is kept. */
  #gathered: GatheredBytes | null = null;
  /**
   * Where a short body is kept as long as nobody else refers to it, and how much of it there is; then `#kept` is empty.
   * Allocated anew for each gRPC call it made V8 mark the whole heap four times a second.
   */
  #memory: BodyMemory | null;
  #inMemory = 0;
  /** Some of what is kept lies in memory that the connection reads to. */
  #refers = false;
  #keeping = true;
  /** How much may be kept after it has been sent. */
  #maxKept = 0;

  constructor(length: number, memory: BodyMemory | null = null) {
    this.length = length;
    this.#memory = memory;
    this.complete = length === 0;
  }

  /** One that is here already. */
  static whole(parts: readonly Uint8Array[]): RequestBody {
    const body = new RequestBody(parts.reduce((sum, part) => sum + part.length, 0));
    body.#kept.push(...parts);
    body.#keptBytes = body.length;
    body.#maxKept = body.length;
    body.received = body.length;
    body.complete = true;
    return body;
  }

  /** Everything that came so far can be sent again. */
  get isReplayable(): boolean {
    return this.#keeping;
  }

  /** Some of the bytes that were taken are still here, or at the consumer's. */
  get holdsBytes(): boolean {
    return this.#refers || this.consumer?.holdsBody === true;
  }

  /** They stay as they are. */
  get kept(): readonly Uint8Array[] {
    this.#moveOut();
    const gathered = this.#gathered;
    if (gathered !== null) {
      this.#gathered = null;
      this.#kept.push(gathered.bytes);
    }
    return this.#kept;
  }

  /** All that is kept goes to `taker`. */
  sendKept(taker: { sendBody(bytes: Uint8Array, isVolatile: boolean): void }): void {
    if (this.#inMemory > 0) taker.sendBody(this.#memory!.bodyMemory().subarray(0, this.#inMemory), true);
    else for (const bytes of this.kept) taker.sendBody(bytes, false);
  }

  /** How much may be kept after it has been sent once; 0 when no further attempt is wanted. */
  allowReplay(maxBytes: number): void {
    this.#maxKept = maxBytes;
  }

  /** Takes bytes in; volatile ones are copied if they are kept. False: no attempt takes them yet, so they wait here. */
  take(bytes: Uint8Array, isVolatile: boolean): boolean {
    this.received += bytes.length;
    const consumer = this.consumer;
    const sent = consumer?.takesBody === true;
    const gathers = !sent && consumer !== null && consumer.gathersBytes > 0;
    if (this.#keeping) {
      if (sent && this.#keptBytes + bytes.length > this.#maxKept) {
        this.#forget();
      } else {
        // A piece with which enough is here is sent at once, or waits: a large one is not worth a copy.
        if (gathers && (isVolatile || this.received < consumer.gathersBytes))
          this.#gather(bytes, consumer.gathersBytes);
        else this.#keep(bytes, isVolatile);
        this.#keptBytes += bytes.length;
      }
    }
    if (sent) consumer!.onBodyBytes(bytes, isVolatile);
    return sent || gathers;
  }

  /** Who sends a byte at a time must not make us hold a read buffer, or an object, for each. */
  #gather(bytes: Uint8Array, most: number): void {
    this.#moveOut();
    this.#gathered ??= new GatheredBytes(this.length > 0 ? Math.min(this.length, most) : most);
    this.#gathered.add(bytes);
  }

  #keep(bytes: Uint8Array, isVolatile: boolean): void {
    if (isVolatile && this.#keepInMemory(bytes)) return;
    this.#moveOut();
    if (bytes.length <= SMALL_BYTES && (this.#gathered !== null || this.#kept.length > 0)) {
      this.#gather(bytes, BLOCK_BYTES);
      if (this.#gathered!.length >= BLOCK_BYTES) this.kept;
      return;
    }
    if (!isVolatile) this.#refers = true;
    this.kept;
    this.#kept.push(isVolatile ? Buffer.from(bytes) : bytes);
  }

  #keepInMemory(bytes: Uint8Array): boolean {
    if (this.#memory === null || this.#gathered !== null || this.#kept.length > 0) return false;
    const memory = this.#memory.bodyMemory();
    if (this.#inMemory + bytes.length > memory.length) return false;
    memory.set(bytes, this.#inMemory);
    this.#inMemory += bytes.length;
    return true;
  }

  /** What was in the call's memory has its own from now on. */
  #moveOut(): void {
    if (this.#inMemory === 0) return;
    this.#kept.push(Buffer.from(this.#memory!.bodyMemory().subarray(0, this.#inMemory)));
    this.#inMemory = 0;
  }

  /** The call's memory becomes another request's. */
  leaveMemory(): void {
    if (this.#inMemory > 0) this.#forget();
    this.#memory = null;
  }

  /** False: the consumer reads too slowly. */
  flush(): boolean {
    const { consumer } = this;
    if (consumer === null) return true;
    if (!consumer.takesBody && consumer.gathersBytes > 0 && this.received >= consumer.gathersBytes)
      consumer.onBodyGathered();
    return !consumer.takesBody || consumer.flushBody();
  }

  end(trailers: FieldBlock | null): void {
    this.complete = true;
    this.trailers = trailers;
    const { consumer } = this;
    if (consumer === null) return;
    if (consumer.takesBody) consumer.onBodyEnd();
    else if (consumer.gathersBytes > 0) consumer.onBodyGathered();
  }

  /** All of it; `complete` and held. */
  whole(): Buffer {
    return Buffer.concat(this.kept);
  }

  /** Begins anew with another length, before anything has been sent; gives back what it held. */
  reopen(length: number): readonly Uint8Array[] {
    const held = this.kept;
    this.#refers = false;
    this.#kept = [];
    this.#keptBytes = 0;
    this.#keeping = true;
    this.received = 0;
    this.length = length;
    this.complete = false;
    return held;
  }

  /** All that was held has been sent: keep it only if it may be sent again. */
  handedOver(): void {
    if (this.#keptBytes > this.#maxKept) this.#forget();
  }

  #forget(): void {
    this.#keeping = this.received === 0;
    this.#refers = false;
    this.#gathered = null;
    this.#inMemory = 0;
    this.#kept.length = 0;
    this.#keptBytes = 0;
  }
}

const NONE = new RequestBody(0);
