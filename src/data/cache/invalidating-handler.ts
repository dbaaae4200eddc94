/**
 * Stands between an unsafe request's response and the exchange, on routes that store nothing themselves: a success
 * makes what is stored of its URL invalid (RFC 9111 §4.4), before the client hears of it.
 */

import type { ResponseHandler } from '../exchange/response-source.ts';
import type { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import type { CachedRequest } from './cached-response.ts';
import type { Invalidator } from './invalidator.ts';
import { PassingHandler } from './passing-handler.ts';

export class InvalidatingHandler extends PassingHandler {
  readonly #invalidator: Invalidator;
  readonly #request: CachedRequest;

  constructor(invalidator: Invalidator, request: CachedRequest, next: ResponseHandler) {
    super(next);
    this.#invalidator = invalidator;
    this.#request = request;
  }

  override onHead(head: Head, framing: MessageFraming): void {
    this.#invalidator.afterResponse(this.#request, head);
    this.next.onHead(head, framing);
  }
}
