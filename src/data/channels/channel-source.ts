/**
 * One request of a `publish`, `subscribe` or hub route on its way through the event bridge: its body is gathered, the
 * bridge gets all of it by the worker's link, and what the bridge says goes to the client: a whole response,
 * server-sent events, or the frames of a WebSocket.
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import { CREDIT_BYTES, type OpenedChannel } from '../contract/channel-link.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { BodyConsumer } from '../exchange/request-body.ts';
import type { ResponseHandler, ResponseSource } from '../exchange/response-source.ts';
import { tooLarge } from '../exchange/route-faults.ts';
import { MessageFraming, UNKNOWN_LENGTH } from '../parser/framing.ts';
import { Head, readResponseHead } from '../parser/head.ts';
import { constant } from '../wire/outbox.ts';
import type { BridgeLink, LinkedCall } from './bridge-link.ts';

const NO_BYTES = Buffer.alloc(0);
const LIMITS = { maxHeadBytes: 4_096, maxTargetBytes: 0, maxFields: 16 };
/** Of all server-sent events; nothing in it changes. */
const STREAM_HEAD = headOf(
  constant(
    'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n\r\n',
  ),
);
const STREAM_FRAMING = new MessageFraming();
STREAM_FRAMING.bodyLength = UNKNOWN_LENGTH;

export class ChannelSource implements ResponseSource, BodyConsumer, LinkedCall {
  id = 0;
  gathersBytes: number;
  takesBody = false;
  isEventStream = false;
  readonly holdsBody = false;
  readonly #exchange: Exchange;
  readonly #link: BridgeLink;
  readonly #handler: ResponseHandler;
  readonly #maxBytes: number;
  #isOpen = false;
  #isOver = false;
  /** Its client reads too slowly; the bridge knows. */
  #isStopped = false;
  /** Bytes of the client's that the bridge has not read yet. */
  #unread = 0;
  #isHeldUp = false;

  /** `maxBytes` of the request's body. */
  constructor(exchange: Exchange, link: BridgeLink, handler: ResponseHandler, maxBytes: number) {
    this.#exchange = exchange;
    this.#link = link;
    this.#handler = handler;
    this.#maxBytes = maxBytes;
    this.gathersBytes = maxBytes + 1;
  }

  start(): void {
    const { body, downstream, upgrade } = this.#exchange;
    if (upgrade !== '') {
      body.consumer = this;
      this.gathersBytes = 0;
      this.#open(NO_BYTES);
    } else if (body.length > this.#maxBytes) this.onFault(tooLarge(this.#maxBytes));
    else if (body.complete) this.#open(body.length === 0 ? NO_BYTES : body.whole());
    else {
      body.consumer = this;
      downstream.sendContinue();
      this.#handler.onRequestDrain();
    }
  }

  #open(body: Uint8Array): void {
    this.#isOpen = true;
    if (!this.#link.open(this, opened(this.#exchange), body)) this.onFault(new Fault(FAULTS.overloaded));
  }

  // --- the request's body --------------------------------------------------------------------------------------------

  onBodyGathered(): void {
    if (this.#isOpen || this.#isOver) return;
    const { body } = this.#exchange;
    if (body.received > this.#maxBytes) this.onFault(tooLarge(this.#maxBytes));
    else if (body.complete) this.#open(body.whole());
  }

  onBodyBytes(bytes: Uint8Array): void {
    if (this.#isOver) return;
    this.#unread += bytes.length;
    this.#link.tunnelBytes(this, bytes);
  }

  flushBody(): boolean {
    this.#isHeldUp = this.#unread > CREDIT_BYTES;
    return !this.#isHeldUp;
  }

  onBodyEnd(): void {}

  onTook(bytes: number): void {
    this.#unread -= bytes;
    if (!this.#isHeldUp || this.#unread > CREDIT_BYTES) return;
    this.#isHeldUp = false;
    this.#handler.onRequestDrain();
  }

  // --- the response --------------------------------------------------------------------------------------------------

  onReply(status: number, headers: Record<string, string>, body: string): void {
    this.#isOver = true;
    this.#handler.onReply({ status, headers, body });
    this.#handler.flush();
  }

  onStream(): void {
    this.isEventStream = true;
    this.#handler.onHead(STREAM_HEAD, STREAM_FRAMING);
    if (!this.#isOver) this.#handler.flush();
  }

  onUpgrade(bytes: Buffer): void {
    const head = headOf(bytes);
    this.takesBody = true;
    this.#handler.onUpgraded(head, 'websocket', NO_BYTES);
    for (const early of this.#exchange.body.kept) this.onBodyBytes(early);
    this.#exchange.body.handedOver();
    if (!this.#isOver) this.#handler.flush();
  }

  onBytes(bytes: Buffer, from: number, to: number): void {
    this.#handler.onBody(bytes, from, to);
  }

  flushBytes(): boolean {
    if (this.#isOver) return true;
    this.#isStopped = !this.#handler.flush();
    return !this.#isStopped;
  }

  onEnd(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#handler.onEnd(null);
    this.#handler.flush();
  }

  onFault(fault: Fault): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#handler.onFault(fault);
    this.#handler.flush();
  }

  resume(): void {
    if (!this.#isStopped || this.#isOver) return;
    this.#isStopped = false;
    this.#link.drained(this);
  }

  abandon(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#isOpen) this.#link.gone(this);
  }
}

function headOf(bytes: Buffer): Head {
  const head = new Head(LIMITS.maxFields);
  if (readResponseHead(bytes, 0, bytes.length, LIMITS, head) <= 0)
    throw new TypeError(`the event bridge wrote a head that is none: ${head.detail}`);
  return head;
}

/** Fields that the bridge looks at, beside those of CloudEvents. */
const FIELDS: ReadonlySet<string> = new Set([
  'accept',
  'content-type',
  'idempotency-key',
  'last-event-id',
  'origin',
  'sec-websocket-key',
  'sec-websocket-protocol',
  'sec-websocket-version',
  'traceparent',
  'tracestate',
]);

function opened(exchange: Exchange): OpenedChannel {
  const headers: Record<string, string> = { 'x-request-id': exchange.requestId, host: exchange.authority };
  const { names, values } = exchange.forwardedFields();
  for (let i = 0; i < names.length; i++) {
    const name = names[i]!.toLowerCase();
    if (!FIELDS.has(name) && !name.startsWith('ce-')) continue;
    const before = headers[name];
    headers[name] = before === undefined ? values[i]! : `${before}, ${values[i]}`;
  }
  const { trace, target, upstreamPath } = exchange;
  const path = upstreamPath === '' ? target.path : upstreamPath;
  const query = exchange.isQueryChanged ? exchange.upstreamQuery : target.hasQuery ? target.query : null;
  if (trace !== null) {
    headers['traceparent'] = trace.traceparent;
    if (trace.traceState !== '') headers['tracestate'] = trace.traceState;
  }
  const isUpgrade = exchange.upgrade !== '';
  if (isUpgrade) {
    headers['upgrade'] = exchange.upgrade;
    // Over HTTP/2 there is none, and the result is not used (RFC 8441 §5).
    if (exchange.protocol === '2') headers['sec-websocket-key'] = ANY_KEY;
  }
  return {
    channel: exchange.channel!,
    method: exchange.method,
    url: query === null ? path : `${path}?${query}`,
    headers,
    isUpgrade,
  };
}

const ANY_KEY = 'AAAAAAAAAAAAAAAAAAAAAA==';
