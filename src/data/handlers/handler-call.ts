/**
 * One request to a handler of the user's: gives it a `Request` of the exchange, whose body comes as it is read, and
 * makes a reply of its `Response`: at once where its body is there, else as the client takes it. What a handler throws,
 * returns wrongly or never returns is the guard's business (user-policies/hook-guard.ts).
 */
import type { Clock } from '../../base/clock.ts';
import { Fault } from '../../base/errors.ts';
import { isFieldName, isFieldValue } from '../contract/field-block.ts';
import type { Reply } from '../contract/policy.ts';
import type { HandlerDefinition } from '../contract/user-handler.ts';
import type { Exchange, GoneListener } from '../exchange/exchange.ts';
import type { ResponseHandler, ResponseSource } from '../exchange/response-source.ts';
import type { AcquiredModule } from '../user-policies/user-policies.ts';
import type { FieldSource } from '../web/fields.ts';
import { type RequestOrigin, WebRequest } from '../web/request.ts';
import { type PlainResponse, WebResponse } from '../web/response.ts';
import { ServiceBody } from '../web/service-body.ts';
import { GatheredBody } from './gathered-body.ts';
import { OwnContext } from './handler-context.ts';
import { PulledBody } from './pulled-body.ts';

/** The gateway frames the message itself. */
const FRAMING = /^(content-length|transfer-encoding|connection|keep-alive|upgrade|te|trailer)$/;
const NO_BODY = new Uint8Array(0);

export class HandlerCall implements ResponseSource, GoneListener, RequestOrigin {
  readonly #exchange: Exchange;
  readonly #acquired: AcquiredModule<HandlerDefinition>;
  readonly #clock: Clock;
  readonly #handler: ResponseHandler;
  /** Made when it is asked for: with it a request costs twice as much. */
  #abort: AbortController | null = null;
  /** Why nobody waits any more, once that is so. */
  #endedBy: 'AbortError' | 'TimeoutError' | null = null;
  #request: WebRequest | null = null;
  #context: OwnContext | null = null;
  /** Of the request body, once it is asked for. */
  #reader: GatheredBody | PulledBody | null = null;
  #isOver = false;

  constructor(exchange: Exchange, acquired: AcquiredModule<HandlerDefinition>, clock: Clock, handler: ResponseHandler) {
    this.#exchange = exchange;
    this.#acquired = acquired;
    this.#clock = clock;
    this.#handler = handler;
  }

  start(): void {
    const { definition, guard, options, log } = this.#acquired;
    const exchange = this.#exchange;
    // The exchange ends the source that streams the body, which is another one then.
    exchange.onGone(this);
    const request = new WebRequest(this);
    const context = new OwnContext(exchange, this, options, log, this.#clock);
    this.#request = request;
    this.#context = context;
    const outcome = guard.run(
      'handle',
      (call) => {
        call.whenLate = () => this.#stop('TimeoutError');
        return definition.handle(request as unknown as Request, context);
      },
      checked,
    );
    if (!(outcome instanceof Promise)) this.#settle(outcome);
    else
      void outcome.then((made) => {
        this.#settle(made);
        this.#handler.flush();
      });
  }

  resume(): void {}

  abandon(): void {
    this.#isOver = true;
    this.#stop('AbortError');
  }

  /** Nobody waits for the handler any more. What it keeps of the request must not show another one. */
  onGone(): void {
    this.#stop('AbortError');
    this.#reader?.abandon();
    this.#request?.detach();
    this.#context?.detach();
  }

  // --- where the request comes from ------------------------------------------------------------------------------

  get method(): string {
    return this.#exchange.method;
  }

  get hasBody(): boolean {
    const { body, method } = this.#exchange;
    return body.length !== 0 && method !== 'GET' && method !== 'HEAD';
  }

  url(): string {
    const { scheme, authority, target } = this.#exchange;
    const host = authority === '' ? 'localhost' : authority;
    return `${scheme}://${host}${target.path}${target.hasQuery ? `?${target.query}` : ''}`;
  }

  fields(): FieldSource {
    return this.#exchange.forwardedFields();
  }

  gather(): Promise<Buffer> {
    const reader = new GatheredBody(this.#exchange);
    this.#reader = reader;
    return reader.read();
  }

  stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    const reader = new PulledBody(this.#exchange);
    this.#reader = reader;
    return reader.stream;
  }

  get signal(): AbortSignal {
    if (this.#abort === null) {
      this.#abort = new AbortController();
      if (this.#endedBy !== null) this.#abort.abort(reasonOf(this.#endedBy));
    }
    return this.#abort.signal;
  }

  #stop(by: 'AbortError' | 'TimeoutError'): void {
    if (this.#endedBy !== null) return;
    this.#endedBy = by;
    this.#abort?.abort(reasonOf(by));
  }

  #settle(made: Response | Fault): void {
    if (made instanceof Fault) this.#fail(made);
    else if (this.#isOver) void made.body?.cancel().catch(() => {});
    else {
      const plain = WebResponse.plain(made);
      if (plain !== null) this.#respond(this.#plainReply(plain));
      else void this.#streamed(made);
    }
  }

  #fail(fault: Fault): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#handler.onFault(fault);
  }

  #respond(reply: Reply): void {
    this.#isOver = true;
    this.#handler.onReply(reply);
  }

  #plainReply({ status, fields, body }: PlainResponse): Reply {
    const headers: Record<string, string> = {};
    let cookies: string[] | undefined;
    fields.load();
    for (let i = 0; i < fields.count; i++) {
      const name = fields.nameAt(i);
      const value = fields.valueAt(i);
      if (name !== 'set-cookie') addField(headers, name, value);
      else if (isFieldValue(value)) {
        cookies ??= [];
        cookies.push(value);
      }
    }
    if (body === null || status === 204 || status === 205 || status === 304) {
      if (body instanceof ServiceBody) body.cancel();
      return { status, headers, body: NO_BODY, cookies };
    }
    if (!(body instanceof ServiceBody)) return { status, headers, body, cookies };
    return { status, headers, body: body.whole() ?? this.#watched(body), cookies };
  }

  /** What goes wrong with it is counted and named. */
  async *#watched(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* body;
    } catch (error) {
      this.#acquired.guard.faultOf('body', error);
      throw error;
    }
  }

  // --- the runtime's own responses -------------------------------------------------------------------------------

  async #streamed(response: Response): Promise<void> {
    const reply = await this.#reply(response);
    if (this.#isOver) return;
    if (reply instanceof Fault) this.#fail(reply);
    else this.#respond(reply);
    this.#handler.flush();
  }

  /** A body that is there at once is sent with its length. */
  async #reply(response: Response): Promise<Reply | Fault> {
    const headers: Record<string, string> = {};
    response.headers.forEach((value, name) => {
      if (name !== 'set-cookie') addField(headers, name, value);
    });
    const cookies = response.headers.getSetCookie().filter(isFieldValue);
    const { status } = response;
    if (response.body === null || status === 204 || status === 205 || status === 304)
      return { status, headers, body: NO_BODY, cookies };
    const reader = response.body.getReader();
    try {
      const first = await reader.read();
      if (first.done) return { status, headers, body: NO_BODY, cookies };
      const piece = bytesOf(first.value);
      const second = reader.read();
      // A body of one piece ends within this turn of the event loop, if it ends.
      const next = await Promise.race([second, new Promise<null>((resolve) => setImmediate(resolve, null))]);
      if (next?.done === true) return { status, headers, body: piece, cookies };
      second.catch(() => {});
      return { status, headers, body: this.#watched(piecesOf(reader, piece, second)), cookies };
    } catch (error) {
      return this.#acquired.guard.faultOf('body', error);
    }
  }
}

function addField(headers: Record<string, string>, name: string, value: string): void {
  if (isFieldValue(value) && !FRAMING.test(name) && isFieldName(name)) headers[name] = value;
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;

async function* piecesOf(
  reader: Reader,
  first: Uint8Array,
  second: ReturnType<Reader['read']>,
): AsyncGenerator<Uint8Array> {
  let isWhole = false;
  try {
    yield first;
    for (let next = await second; !next.done; next = await reader.read()) yield bytesOf(next.value);
    isWhole = true;
  } finally {
    if (!isWhole) void reader.cancel().catch(() => {});
  }
}

/** Throws what is wrong with the response. */
function checked(response: unknown): Response {
  if (WebResponse.plain(response) !== null) return response as Response;
  // Not `instanceof`: a bundled library may bring a class of its own.
  const { status, headers, body } = (typeof response === 'object' && response !== null ? response : {}) as Response;
  if (typeof headers?.forEach !== 'function' || !Number.isInteger(status))
    throw new TypeError('it returned no Response');
  if (status < 200 || status > 599) throw new TypeError(`its response has the status ${status}`);
  if (body !== null && typeof body?.getReader !== 'function')
    throw new TypeError('the body of its response is no stream');
  if (body?.locked || (response as Response).bodyUsed)
    throw new TypeError('the body of its response has been read already');
  return response as Response;
}

function reasonOf(by: 'AbortError' | 'TimeoutError'): DOMException {
  return new DOMException(by === 'AbortError' ? 'the exchange is over' : 'the time of the handler is over', by);
}

/** What is no bytes is a defect of the handler, and said as one. */
function bytesOf(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  throw new TypeError('a piece of the body of its response is no Uint8Array');
}
