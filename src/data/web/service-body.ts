/**
 * The body of a service's response between the connection and a handler: read whole, piece by piece, or as a stream of
 * the web. Beyond a bound the service is held back until somebody takes what waits.
 */

/** Bytes that may wait for whoever reads them piece by piece. */
const MOST_WAITING_BYTES = 65_536;

export interface BodyOrigin {
  /** There is room again. */
  resume(): void;
  /** Nobody wants the rest. */
  giveUp(): void;
}

export class ServiceBody implements AsyncIterable<Uint8Array> {
  readonly #origin: BodyOrigin;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #isEnded = false;
  #isGathering = false;
  #error: { readonly reason: unknown } | null = null;
  #wake: (() => void) | null = null;

  constructor(origin: BodyOrigin) {
    this.#origin = origin;
  }

  // --- from the service ------------------------------------------------------------------------------------------

  push(bytes: Buffer): void {
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (!this.#isGathering) this.#wakeUp();
  }

  end(): void {
    this.#isEnded = true;
    this.#wakeUp();
  }

  fail(reason: unknown): void {
    this.#error ??= { reason };
    this.#wakeUp();
  }

  get isFull(): boolean {
    return !this.#isGathering && this.#waitingBytes >= MOST_WAITING_BYTES;
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = null;
  }

  // --- to the handler --------------------------------------------------------------------------------------------

  /** All of it, when it is here already; else null. */
  whole(): Buffer | null {
    return this.#isEnded && this.#error === null ? this.#takeAll() : null;
  }

  async gather(): Promise<Buffer> {
    this.#isGathering = true;
    this.#origin.resume();
    while (!this.#isEnded && this.#error === null) await this.#change();
    if (this.#error !== null) throw this.#error.reason;
    return this.#takeAll();
  }

  /** The next piece, or null at the end. */
  async next(): Promise<Buffer | null> {
    while (this.#waiting.length === 0) {
      if (this.#error !== null) throw this.#error.reason;
      if (this.#isEnded) return null;
      await this.#change();
    }
    const piece = this.#takeAll();
    if (!this.#isEnded) this.#origin.resume();
    return piece;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    let isWhole = false;
    try {
      for (let piece = await this.next(); piece !== null; piece = await this.next()) yield piece;
      isWhole = true;
    } finally {
      if (!isWhole) this.cancel();
    }
  }

  cancel(): void {
    this.#origin.giveUp();
  }

  stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        pull: async (controller) => {
          const piece = await this.next();
          if (piece === null) controller.close();
          else controller.enqueue(new Uint8Array(piece));
        },
        cancel: () => this.cancel(),
      },
      { highWaterMark: 0 },
    );
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #takeAll(): Buffer {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    return waiting.length === 1 ? waiting[0]! : Buffer.concat(waiting);
  }
}
