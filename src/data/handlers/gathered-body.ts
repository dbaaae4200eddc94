/** A request body read whole, without a stream in between; the route's `maxRequestSize` bounds it. */
import { FAULTS, Fault } from '../../base/errors.ts';
import { GatheredBytes } from '../../base/gathered-bytes.ts';
import { ServiceError } from '../contract/user-handler.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { BodyConsumer } from '../exchange/request-body.ts';

export class GatheredBody implements BodyConsumer {
  readonly gathersBytes = 0;
  readonly takesBody = true;
  readonly holdsBody = false;
  readonly #exchange: Exchange;
  #bytes = new GatheredBytes();
  #resolve: ((body: Buffer) => void) | null = null;
  #reject: ((error: unknown) => void) | null = null;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** Once. Rejects with a `ServiceError` when the client breaks off. */
  read(): Promise<Buffer> {
    const { body, downstream } = this.#exchange;
    if (body.complete) {
      const whole = body.whole();
      body.handedOver();
      return Promise.resolve(whole);
    }
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      for (const bytes of body.kept) this.onBodyBytes(bytes);
      body.handedOver();
      body.consumer = this;
      downstream.sendContinue();
      this.#exchange.onRequestDrain();
      downstream.flush();
    });
  }

  onBodyGathered(): void {}

  onBodyBytes(bytes: Uint8Array): void {
    if (this.#resolve !== null) this.#bytes.add(bytes);
  }

  flushBody(): boolean {
    return true;
  }

  onBodyEnd(): void {
    this.#resolve?.(this.#bytes.bytes);
    this.#forget();
  }

  /** The exchange is over: whoever waits for the body hears that it does not come. */
  abandon(): void {
    this.#reject?.(new ServiceError(this.#exchange.fault ?? new Fault(FAULTS.downstreamAborted)));
    this.#forget();
  }

  #forget(): void {
    this.#resolve = null;
    this.#reject = null;
    this.#bytes = new GatheredBytes();
  }
}
