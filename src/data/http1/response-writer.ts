/**
 * Writes the responses of one downstream HTTP/1.1 connection, one after the other: status line, framing and connection
 * fields around what the exchange gives it (RFC 9112 §4 to §7). Whether the connection closes behind a response is for
 * connection.ts to say, between `frame` and `endHead`.
 */
import type { Socket } from 'node:net';
import { type FieldBlock, FieldStart } from '../contract/field-block.ts';
import type { RequestBuffers } from '../exchange/request-buffers.ts';
import { CONTENT_LENGTH } from '../parser/field-names.ts';
import { isHopByHop, MessageFraming, readResponseFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import { dropMask, type HeadWriter } from '../parser/head-writer.ts';
import { constant } from '../wire/outbox.ts';
import { WebSocketFrames } from '../wire/websocket-frames.ts';
import { MessageWriter } from './message-writer.ts';
import { ResponseFraming } from './response-framing.ts';
import { statusLine } from './status-line.ts';

const VERSION = constant('HTTP/1.1 ');
const CONTINUE = constant('HTTP/1.1 100 Continue\r\n\r\n');
const CLOSE = constant('Connection: close\r\n');
const LENGTH = new FieldStart('Content-Length');
/** RFC 9110 §8.6: no 1xx has a length; one that says so could be taken for a head with a body. */
const INTERIM_DROP = dropMask([CONTENT_LENGTH], isHopByHop);
/** What the Connection field of an interim head means; read and forgotten. */
const INTERIM_MEANING = new MessageFraming();

export class ResponseWriter {
  readonly outbox: MessageWriter;
  readonly framing = new ResponseFraming();
  #status = 0;
  /** The field line of the framing that was chosen, or empty. */
  #framingLine = '';
  /** Of a WebSocket, what has been sent to the client. */
  #frames: WebSocketFrames | null = null;

  constructor(socket: Socket, secure: boolean) {
    this.outbox = new MessageWriter(socket, secure);
  }

  interim(head: Head, request: RequestBuffers): void {
    // RFC 9110 §15.2: not to HTTP/1.0. A 100 that the client does not wait for is dropped as well.
    if (request.head.minor === 0 || this.framing.headSent) return;
    if (head.status === 100 && !request.meaning.expectsContinue) return;
    readResponseFraming(head, '', INTERIM_MEANING);
    this.outbox.text(statusLine(head.status));
    this.outbox.copyFields(head, INTERIM_DROP, INTERIM_MEANING.nominated, null);
    this.outbox.end();
  }

  /** To a client that waits for it, or that is asked in this way whether it is still there. */
  continue(): void {
    this.outbox.bytes(CONTINUE, 0, CONTINUE.length);
    this.outbox.flush();
  }

  startHead(status: number, from: Head | null): HeadWriter {
    const { outbox } = this;
    this.#status = status;
    if (from !== null && from.reasonEnd > from.reasonStart) {
      // Status, space and reason as they came: the parser has seen that they stand like this.
      outbox.bytes(VERSION, 0, VERSION.length);
      outbox.bytes(from.bytes, from.reasonStart - 4, from.reasonEnd);
      outbox.end();
    } else {
      outbox.text(statusLine(status));
    }
    return outbox;
  }

  /** Decides how the body ends; `framing.endsByClose` is known from here on. */
  frame(bodyLength: number, declareLength: boolean, request: Head): void {
    const status = this.#status;
    this.#framingLine = this.framing.choose(bodyLength, request.method, status, request.minor);
    if (!declareLength || bodyLength < 0 || status === 204 || status === 304) return;
    const { outbox } = this;
    outbox.begin(LENGTH);
    outbox.integer(bodyLength);
    outbox.end();
  }

  /** `closes`: behind this response. `minor`: of the request's version. */
  endHead(closes: boolean, minor: number): void {
    const { outbox } = this;
    if (closes) outbox.bytes(CLOSE, 0, CLOSE.length);
    else if (minor === 0) outbox.text('Connection: keep-alive\r\n');
    if (this.#framingLine !== '') outbox.text(this.#framingLine);
    outbox.end();
  }

  endUpgrade(protocol: string): void {
    this.framing.chooseTunnel();
    this.#frames = protocol.toLowerCase() === 'websocket' ? new WebSocketFrames() : null;
    this.outbox.text(`Connection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`);
  }

  body(bytes: Buffer, start: number, end: number): void {
    this.framing.body(this.outbox, bytes, start, end);
    this.#frames?.pass(bytes, start, end);
  }

  end(trailers: FieldBlock | null): void {
    this.framing.end(this.outbox, trailers);
  }

  /** A close frame of a WebSocket, unless it would stand inside another frame. */
  close(frame: Buffer): void {
    if (this.#frames?.isBetween !== true) return;
    this.outbox.bytes(frame, 0, frame.length);
    this.outbox.flush();
  }

  /** A response to what is no request; the connection closes behind it. */
  refusal(status: number, headers: Readonly<Record<string, string>>, body: string | Uint8Array): void {
    const { outbox } = this;
    const bytes = Buffer.from(body);
    outbox.text(statusLine(status));
    for (const name in headers) outbox.field(name, headers[name]!);
    outbox.field('Content-Length', `${bytes.length}`);
    outbox.bytes(CLOSE, 0, CLOSE.length);
    outbox.end();
    outbox.piece(bytes);
    outbox.flush();
  }
}
