/**
 * Responses made in the gateway that are not there at once: one that is promised, and one whose body comes bit by bit.
 */
import { FAULTS, Fault, messageOf } from '../../base/errors.ts';
import type { Reply } from '../contract/policy.ts';
import type { ResponseHandler, ResponseSource } from './response-source.ts';

export class PromisedReply implements ResponseSource {
  readonly #make: () => Promise<Reply | Fault>;
  readonly #handler: ResponseHandler;
  #isOver = false;

  /** `make` is called once, when the response is wanted. */
  constructor(make: () => Promise<Reply | Fault>, handler: ResponseHandler) {
    this.#make = make;
    this.#handler = handler;
  }

  start(): void {
    this.#make().then(
      (outcome) => this.#settle(outcome),
      (error: unknown) =>
        this.#settle(error instanceof Fault ? error : new Fault(FAULTS.internal, { cause: messageOf(error) })),
    );
  }

  resume(): void {}

  abandon(): void {
    this.#isOver = true;
  }

  #settle(outcome: Reply | Fault): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (outcome instanceof Fault) this.#handler.onFault(outcome);
    else this.#handler.onReply(outcome);
    this.#handler.flush();
  }
}

/** The body of a reply, pulled part by part as the client takes it. Its head has been sent. */
export class StreamedBody implements ResponseSource {
  readonly #parts: AsyncIterator<Uint8Array>;
  readonly #handler: ResponseHandler;
  #isOver = false;
  #resume: (() => void) | null = null;

  constructor(parts: AsyncIterable<Uint8Array>, handler: ResponseHandler) {
    this.#parts = parts[Symbol.asyncIterator]();
    this.#handler = handler;
  }

  start(): void {
    void this.#pump();
  }

  async #pump(): Promise<void> {
    const handler = this.#handler;
    try {
      while (!this.#isOver) {
        const { done, value } = await this.#parts.next();
        if (this.#isOver) return;
        if (done === true) {
          this.#isOver = true;
          handler.onEnd(null);
          handler.flush();
          return;
        }
        const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
        handler.onBody(bytes, 0, bytes.length);
        if (handler.flush()) continue;
        await new Promise<void>((resolve) => {
          this.#resume = resolve;
        });
      }
    } catch (error) {
      if (this.#isOver) return;
      this.#isOver = true;
      handler.onFault(new Fault(FAULTS.internal, { cause: messageOf(error) }));
      handler.flush();
    }
  }

  resume(): void {
    this.#resume?.();
    this.#resume = null;
  }

  abandon(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.resume();
    // The producer must learn that its parts are not needed; its errors no longer matter.
    this.#parts.return?.()?.catch(() => {});
  }
}
