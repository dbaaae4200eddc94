/**
 * Stands between an unsafe request's response and the exchange, on routes that store nothing themselves: a success
 * makes what is stored of its URL invalid (RFC 9111 §4.4), before the client hears of it.
 */

import type { Fault } from '../../base/errors.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { Reply } from '../contract/policy.ts';
import type { ResponseHandler } from '../exchange/response-source.ts';
import type { BytesHolder } from '../exchange/upstream-stream.ts';
import type { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import type { CachedRequest } from './cached-response.ts';
import type { Invalidator } from './invalidator.ts';

export class InvalidatingHandler implements ResponseHandler {
  readonly #invalidator: Invalidator;
  readonly #request: CachedRequest;
  readonly #handler: ResponseHandler;

  constructor(invalidator: Invalidator, request: CachedRequest, handler: ResponseHandler) {
    this.#invalidator = invalidator;
    this.#request = request;
    this.#handler = handler;
  }

  onHead(head: Head, framing: MessageFraming): void {
    this.#invalidator.afterResponse(this.#request, head);
    this.#handler.onHead(head, framing);
  }

  onInterim(head: Head): void {
    this.#handler.onInterim(head);
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    this.#handler.onBody(bytes, start, end);
  }

  onEnd(trailers: FieldBlock | null): void {
    this.#handler.onEnd(trailers);
  }

  onReply(reply: Reply): void {
    this.#handler.onReply(reply);
  }

  onUpgraded(head: Head, protocol: string, rest: Buffer): void {
    this.#handler.onUpgraded(head, protocol, rest);
  }

  onFault(fault: Fault): void {
    this.#handler.onFault(fault);
  }

  flush(): boolean {
    return this.#handler.flush();
  }

  get holder(): BytesHolder | null {
    return this.#handler.holder;
  }

  onRequestDrain(): void {
    this.#handler.onRequestDrain();
  }
}
