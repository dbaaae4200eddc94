/** The request body as a web stream: bytes are taken from the client as fast as the stream is read, and no faster. */
import { FAULTS, Fault } from '../../base/errors.ts';
import { ServiceError } from '../contract/user-handler.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { BodyConsumer } from '../exchange/request-body.ts';

/** Bytes that may wait in the stream. */
const HIGH_WATER_BYTES = 65_536;

export class PulledBody implements BodyConsumer {
  readonly gathersBytes = 0;
  readonly takesBody = true;
  readonly holdsBody = false;
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly #exchange: Exchange;
  #controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | null = null;
  #isBegun = false;
  #isOver = false;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
    this.stream = new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#pull(),
        cancel: () => {
          this.#isOver = true;
        },
      },
      { highWaterMark: HIGH_WATER_BYTES, size: (bytes) => bytes?.byteLength ?? 0 },
    );
  }

  #pull(): void {
    const { body, downstream } = this.#exchange;
    if (this.#isOver) return;
    if (this.#isBegun) {
      this.#exchange.onRequestDrain();
      return;
    }
    this.#isBegun = true;
    for (const bytes of body.kept) this.onBodyBytes(bytes);
    body.handedOver();
    if (body.complete) {
      this.onBodyEnd();
      return;
    }
    body.consumer = this;
    downstream.sendContinue();
    this.#exchange.onRequestDrain();
    downstream.flush();
  }

  onBodyGathered(): void {}

  onBodyBytes(bytes: Uint8Array): void {
    if (!this.#isOver && bytes.length > 0) this.#controller!.enqueue(Uint8Array.from(bytes));
  }

  flushBody(): boolean {
    return this.#isOver || (this.#controller!.desiredSize ?? 0) > 0;
  }

  onBodyEnd(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#controller!.close();
  }

  /** The exchange is over: whoever reads the body hears that it does not come. */
  abandon(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#controller!.error(new ServiceError(this.#exchange.fault ?? new Fault(FAULTS.downstreamAborted)));
  }
}
