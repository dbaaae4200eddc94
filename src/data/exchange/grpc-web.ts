/**
 * gRPC-Web for services that speak gRPC: a browser's request becomes a call, and the response ends with a frame
 * that holds the trailers, which scripts cannot read otherwise (PROTOCOL-WEB.md of grpc/grpc). Messages pass as they
 * are; the text form is base64 both ways. Used by the exchange where a route's service has `protocol: grpc`.
 */
import { Base64Reader, Base64Writer } from '../../base/base64-stream.ts';
import { FAULTS, Fault } from '../../base/errors.ts';
import type { BodyFilter, BodyOutput } from '../contract/body-access.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { Reply } from '../contract/policy.ts';
import type { Head } from '../parser/head.ts';
import type { Exchange } from './exchange.ts';
import { faultFields, faultTrailers, isGrpcType, isGrpcWebType, NO_STATUS, readCode } from './grpc.ts';

/** Flag of the last frame: trailers, not a message. */
const TRAILERS = 0x80;
const FRAME_HEAD = 5;
/** In a response without messages the head has these, where scripts may not see them. */
const STATUS_FIELDS = ['grpc-status', 'grpc-message', 'grpc-status-details-bin'] as const;

export class GrpcWebCall {
  readonly #exchange: Exchange;
  readonly #responseType: string;
  readonly #isText: boolean;
  #response: WebResponse | null = null;

  private constructor(exchange: Exchange, contentType: string) {
    this.#exchange = exchange;
    this.#responseType = responseTypeOf(contentType, exchange.header('accept'));
    this.#isText = isText(this.#responseType);
  }

  /** Null when the request is not gRPC-Web. Before the request's filters are in use. */
  static of(exchange: Exchange): GrpcWebCall | null {
    const contentType = exchange.header('content-type');
    if (contentType === null || !isGrpcWebType(contentType)) return null;
    exchange.setUpstreamHeader('Content-Type', contentType.replace(/grpc-web(-text)?/i, 'grpc'));
    exchange.removeUpstreamHeader('X-Grpc-Web');
    exchange.removeUpstreamHeader('Accept');
    if (isText(contentType)) exchange.filterRequestBody(new TextRequest());
    return new GrpcWebCall(exchange, contentType);
  }

  /** What is no gRPC passes as it is: clients read the status of HTTP then. */
  onHead(head: Head): void {
    if (head.status !== 200 || !isGrpcType(head.valueOf('content-type'))) return;
    const exchange = this.#exchange;
    const inHead: [string, string][] = [];
    for (const name of STATUS_FIELDS) {
      const value = head.valueOf(name);
      if (value === null) continue;
      inHead.push([name, value]);
      exchange.removeResponseHeader(name);
    }
    exchange.setResponseHeader('Content-Type', this.#responseType);
    this.#response = new WebResponse(exchange, this.#isText, inHead);
    exchange.filterResponseBody(this.#response);
  }

  /** The response can still end with a status. */
  get mayEnd(): boolean {
    return this.#response?.isEnded === false;
  }
}

/** As `grpcReply`, with the status where a gRPC-Web client looks for it. */
export function grpcWebReply(fault: Fault, contentType: string, accept: string | null): Reply {
  const type = responseTypeOf(contentType, accept);
  const { names, values } = faultTrailers(fault.kind, fault.detail, fault.retryAfterSeconds);
  const frame = trailersFrame(names.map((name, i) => [name, values[i]!]));
  return {
    status: 200,
    headers: { ...faultFields(fault), 'Content-Type': type },
    body: isText(type) ? frame.toString('base64') : frame,
  };
}

function isText(contentType: string): boolean {
  return /^application\/grpc-web-text/i.test(contentType);
}

/** That of the request, unless the client asks for the other form. */
function responseTypeOf(contentType: string, accept: string | null): string {
  const wanted = accept === null ? null : /application\/grpc-web(?:-text)?(?:\+[\w.-]+)?/i.exec(accept);
  return wanted === null ? contentType : wanted[0];
}

/** Lower-case lines as in a head of HTTP/1.1, without a blank behind the colon. */
function trailersFrame(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  const text = fields.map(([name, value]) => `${name.toLowerCase()}:${value}\r\n`).join('');
  const frame = Buffer.allocUnsafe(FRAME_HEAD + text.length);
  frame[0] = TRAILERS;
  frame.writeUInt32BE(text.length, 1);
  frame.latin1Write(text, FRAME_HEAD);
  return frame;
}

/** A request as base64, which may be padded wherever the client flushed. */
class TextRequest implements BodyFilter {
  readonly #reader = new Base64Reader();
  #out: BodyOutput | null = null;

  attach(out: BodyOutput): void {
    this.#out = out;
  }

  write(bytes: Buffer, start: number, end: number): boolean {
    const decoded = this.#reader.read(bytes.latin1Slice(start, end));
    if (decoded !== null) return this.#out?.write(decoded, 0, decoded.length) ?? true;
    this.#out?.fail(new Fault(FAULTS.malformedBody, { detail: 'it is not base64' }));
    return true;
  }

  flush(): void {
    this.#out?.flush();
  }

  end(): void {
    if (this.#reader.isWhole) this.#out?.end(null);
    else this.#out?.fail(new Fault(FAULTS.malformedBody, { detail: 'its base64 ends in the middle' }));
  }

  resume(): void {
    this.#out?.resume();
  }

  abandon(): void {
    this.#out = null;
  }
}

/** Messages as they come, then the trailers as a frame of their own. */
class WebResponse implements BodyFilter {
  isEnded = false;
  readonly #exchange: Exchange;
  readonly #writer: Base64Writer | null;
  readonly #inHead: readonly (readonly [string, string])[];
  readonly #frames = new FrameEnds();
  #out: BodyOutput | null = null;

  constructor(exchange: Exchange, isText: boolean, inHead: readonly (readonly [string, string])[]) {
    this.#exchange = exchange;
    this.#writer = isText ? new Base64Writer() : null;
    this.#inHead = inHead;
  }

  attach(out: BodyOutput): void {
    this.#out = out;
  }

  write(bytes: Buffer, start: number, end: number): boolean {
    const out = this.#out;
    if (out === null) return true;
    if (this.#writer === null) return out.write(bytes, start, end);
    this.#frames.pass(bytes, start, end);
    const text = Buffer.from(this.#writer.write(bytes, start, end), 'latin1');
    return out.write(text, 0, text.length);
  }

  /** A whole message does not wait for the next one: it is padded, and clients read that. */
  flush(): void {
    if (this.#writer !== null && this.#frames.isAtEnd) this.#writePadded(this.#writer);
    this.#out?.flush();
  }

  end(trailers: FieldBlock | null): void {
    if (this.isEnded) return;
    this.isEnded = true;
    const frame = trailersFrame(this.#statusOf(trailers));
    if (this.#writer === null) this.#out?.write(frame, 0, frame.length);
    else {
      const text = Buffer.from(this.#writer.write(frame, 0, frame.length) + this.#writer.end(), 'latin1');
      this.#out?.write(text, 0, text.length);
    }
    this.#out?.end(null);
  }

  resume(): void {
    this.#out?.resume();
  }

  abandon(): void {
    this.isEnded = true;
    this.#out = null;
  }

  #writePadded(writer: Base64Writer): void {
    const rest = Buffer.from(writer.end(), 'latin1');
    if (rest.length > 0) this.#out?.write(rest, 0, rest.length);
  }

  /** A response that ends without a status is no success. */
  #statusOf(trailers: FieldBlock | null): (readonly [string, string])[] {
    const { names, values } = trailers ?? { names: [], values: [] };
    const all = [...this.#inHead, ...names.map((name, i) => [name, values[i]!] as const)];
    const status = all.find(([name, value]) => name.toLowerCase() === 'grpc-status' && readCode(value) >= 0);
    const fields = status === undefined ? NO_STATUS.names.map((name, i) => [name, NO_STATUS.values[i]!] as const) : all;
    this.#exchange.grpcStatus = Number(fields.find(([name]) => name.toLowerCase() === 'grpc-status')![1]);
    return fields;
  }
}

/** Knows whether all messages that began have ended: a byte of flags, four of length, the message. */
class FrameEnds {
  #head = 0;
  #length = 0;
  #left = 0;

  get isAtEnd(): boolean {
    return this.#head === 0 && this.#left === 0;
  }

  pass(bytes: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, end - at);
        this.#left -= taken;
        at += taken;
        continue;
      }
      if (this.#head > 0) this.#length = this.#length * 256 + bytes[at]!;
      at++;
      this.#head++;
      if (this.#head < FRAME_HEAD) continue;
      this.#left = this.#length;
      this.#head = 0;
      this.#length = 0;
    }
  }
}
