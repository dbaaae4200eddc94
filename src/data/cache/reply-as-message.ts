/**
 * The response of an action that answers with a `Reply` (a handler, a composition), handed on as head, body and end, as
 * those of services arrive: so it is stored, validated and invalidates by the same rules. What a service falls back on
 * is no such response and does not pass here.
 */

import { FAULTS, Fault } from '../../base/errors.ts';
import { REASON_PHRASES } from '../../base/reason-phrases.ts';
import { checkField } from '../contract/field-block.ts';
import type { Reply } from '../contract/policy.ts';
import { isEventStreamType } from '../exchange/event-stream.ts';
import { StreamedBody } from '../exchange/reply-source.ts';
import type { ResponseHandler, ResponseSource } from '../exchange/response-source.ts';
import { MessageFraming, readResponseFraming, UNKNOWN_LENGTH, UNTIL_CLOSE } from '../parser/framing.ts';
import { Head, type HeadLimits, readResponseHead } from '../parser/head.ts';
import type { CachedRequest } from './cached-response.ts';
import type { Invalidator, RespondedHead } from './invalidator.ts';
import { PassingHandler } from './passing-handler.ts';

/** It was made here, so its size is not a stranger's choice. */
const LIMITS: HeadLimits = { maxHeadBytes: 1_048_576, maxTargetBytes: 0, maxFields: 1_024 };

export class ReplyAsMessage extends PassingHandler implements ResponseSource {
  readonly #request: CachedRequest;
  readonly #invalidator: Invalidator;
  /** The action; then the body, where it comes bit by bit. */
  #source: ResponseSource | null = null;

  constructor(request: CachedRequest, invalidator: Invalidator, next: ResponseHandler) {
    super(next);
    this.#request = request;
    this.#invalidator = invalidator;
  }

  from(source: ResponseSource): this {
    this.#source = source;
    return this;
  }

  start(nowMs: number): void {
    this.#source?.start(nowMs);
  }

  resume(): void {
    this.#source?.resume();
  }

  abandon(): void {
    this.#source?.abandon();
  }

  override onReply(reply: Reply): void {
    const type = reply.headers['Content-Type'] ?? reply.headers['content-type'] ?? null;
    // Events have no end that a store could wait for, so they go on as a reply, which no handler behind looks at.
    if (isEventStreamType(type)) {
      this.#invalidator.afterResponse(this.#request, new HeadOfReply(reply));
      this.next.onReply(reply);
      return;
    }
    const { body } = reply;
    const bytes = typeof body === 'string' ? Buffer.from(body, 'utf8') : body instanceof Uint8Array ? body : null;
    const head = new Head(LIMITS.maxFields);
    const framing = new MessageFraming();
    const text = headText(reply, bytes);
    const isRead = readResponseHead(text, 0, text.length, LIMITS, head) === text.length;
    if (!isRead || !readResponseFraming(head, this.#request.method, framing)) {
      this.next.onFault(new Fault(FAULTS.internal, { cause: `a response made here is refused: ${head.detail}` }));
      return;
    }
    if (framing.bodyLength === UNTIL_CLOSE) framing.bodyLength = UNKNOWN_LENGTH;
    const hasBody = framing.bodyLength !== 0;
    this.next.onHead(head, framing);
    if (bytes === null && hasBody) {
      this.#source = new StreamedBody(body as AsyncIterable<Uint8Array>, this.next);
      this.#source.start(0);
      return;
    }
    if (bytes === null)
      (body as AsyncIterable<Uint8Array>)
        [Symbol.asyncIterator]()
        .return?.()
        ?.catch(() => {});
    else if (hasBody) this.next.onBody(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length);
    this.next.onEnd(null);
  }
}

class HeadOfReply implements RespondedHead {
  readonly status: number;
  readonly #headers: Reply['headers'];

  constructor({ status, headers }: Reply) {
    this.status = status;
    this.#headers = headers;
  }

  valueOf(name: string): string | null {
    for (const each in this.#headers) if (each.toLowerCase() === name) return this.#headers[each]!;
    return null;
  }
}

/** As a service would have sent it. */
function headText({ status, headers, cookies }: Reply, bytes: Uint8Array | null): Buffer {
  let text = `HTTP/1.1 ${status} ${REASON_PHRASES[status] ?? ''}\r\n`;
  const add = (name: string, value: string): void => {
    checkField(name, value);
    text += `${name}: ${value}\r\n`;
  };
  for (const name in headers) add(name, headers[name]!);
  for (const cookie of cookies ?? []) add('Set-Cookie', cookie);
  if (bytes !== null && status !== 204 && status !== 304) text += `Content-Length: ${bytes.length}\r\n`;
  return Buffer.from(`${text}\r\n`, 'latin1');
}
