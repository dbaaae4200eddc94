/**
 * One request to a handler of the user's: makes a `Request` of the exchange, whose body comes as it is read, and a
 * reply of the `Response`, whose body is sent as the client takes it. What a handler throws, returns wrongly or never
 * returns is the guard's business (user-policies/hook-guard.ts).
 */
import type { Clock } from '../../base/clock.ts';
import { Fault } from '../../base/errors.ts';
import { isFieldName, isFieldValue } from '../contract/field-block.ts';
import type { Reply } from '../contract/policy.ts';
import type { HandlerContext, HandlerDefinition } from '../contract/user-handler.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { ResponseHandler, ResponseSource } from '../exchange/response-source.ts';
import type { AcquiredModule } from '../user-policies/user-policies.ts';
import { fetchService } from './fetch-service.ts';
import { PulledBody } from './pulled-body.ts';

/** The gateway frames the message itself. */
const FRAMING = /^(content-length|transfer-encoding|connection|keep-alive|upgrade|te|trailer)$/;
const NO_BODY = new Uint8Array(0);

export class HandlerCall implements ResponseSource {
  readonly #exchange: Exchange;
  readonly #acquired: AcquiredModule<HandlerDefinition>;
  readonly #clock: Clock;
  readonly #handler: ResponseHandler;
  /** Made when it is asked for: with it a request costs twice as much. */
  #abort: AbortController | null = null;
  /** Why nobody waits any more, once that is so. */
  #endedBy: 'AbortError' | 'TimeoutError' | null = null;
  #body: PulledBody | null = null;
  #isOver = false;

  constructor(exchange: Exchange, acquired: AcquiredModule<HandlerDefinition>, clock: Clock, handler: ResponseHandler) {
    this.#exchange = exchange;
    this.#acquired = acquired;
    this.#clock = clock;
    this.#handler = handler;
  }

  start(): void {
    const { definition, guard } = this.#acquired;
    // The exchange ends the source that streams the body, which is another one then.
    this.#exchange.onGone(() => this.#end());
    const outcome = guard.run(
      'handle',
      (call) => {
        call.whenLate = () => this.#stop('TimeoutError');
        const request = this.#request();
        return definition.handle(request, this.#context());
      },
      (response) => this.#checked(response),
    );
    if (outcome instanceof Promise) void outcome.then((made) => this.#settle(made));
    else void Promise.resolve(outcome).then((made) => this.#settle(made));
  }

  resume(): void {}

  abandon(): void {
    this.#isOver = true;
    this.#end();
  }

  /** Nobody waits for the handler any more. */
  #end(): void {
    this.#stop('AbortError');
    this.#body?.abandon();
  }

  get #signal(): AbortSignal {
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

  #request(): Request {
    const exchange = this.#exchange;
    const { method, scheme, authority, target } = exchange;
    const headers = new Headers();
    const { names, values } = exchange.forwardedFields();
    for (const [i, name] of names.entries()) headers.append(name, values[i]!);
    const url = `${scheme}://${authority === '' ? 'localhost' : authority}${target.path}${target.hasQuery ? `?${target.query}` : ''}`;
    if (exchange.body.length === 0 || method === 'GET' || method === 'HEAD')
      return this.#withSignal(new Request(url, { method, headers }));
    this.#body = new PulledBody(exchange);
    return this.#withSignal(
      new Request(url, { method, headers, body: this.#body.stream, duplex: 'half' } as RequestInit),
    );
  }

  #withSignal(request: Request): Request {
    return Object.defineProperty(request, 'signal', { get: () => this.#signal, configurable: true, enumerable: true });
  }

  #context(): HandlerContext {
    const exchange = this.#exchange;
    const { options, log } = this.#acquired;
    const signalOf = (): AbortSignal => this.#signal;
    return {
      options,
      requestId: exchange.requestId,
      routeId: exchange.routeId,
      params: exchange.params,
      identity: exchange.identity,
      address: exchange.address,
      log,
      clock: this.#clock,
      get signal() {
        return signalOf();
      },
      fetch: (input, init) => fetchService(exchange, this.#signal, input, init),
      logField: (name, value) => exchange.logField(name, value),
    };
  }

  /** Throws what is wrong with the response. */
  #checked(response: unknown): Response {
    // Not `instanceof`: a bundled library may bring a class of its own.
    const { status, headers, body } = (typeof response === 'object' && response !== null ? response : {}) as Response;
    if (typeof headers?.forEach !== 'function' || !Number.isInteger(status))
      throw new TypeError('it returned no Response');
    if (status < 200 || status > 599) throw new TypeError(`its response has the status ${status}`);
    if (body !== null && typeof body?.getReader !== 'function')
      throw new TypeError('the body of its response is no stream');
    if (body?.locked) throw new TypeError('the body of its response has been read already');
    return response as Response;
  }

  async #settle(made: Response | Fault): Promise<void> {
    if (!this.#isOver && !(made instanceof Fault)) {
      const reply = await this.#reply(made);
      if (!this.#isOver) {
        this.#isOver = true;
        if (reply instanceof Fault) this.#handler.onFault(reply);
        else this.#handler.onReply(reply);
        this.#handler.flush();
        return;
      }
      return;
    }
    if (made instanceof Fault) {
      if (this.#isOver) return;
      this.#isOver = true;
      this.#handler.onFault(made);
      this.#handler.flush();
    } else void made.body?.cancel().catch(() => {});
  }

  /** A body that is there at once is sent with its length. */
  async #reply(response: Response): Promise<Reply | Fault> {
    const headers: Record<string, string> = {};
    response.headers.forEach((value, name) => {
      if (name !== 'set-cookie' && !FRAMING.test(name) && isFieldName(name) && isFieldValue(value))
        headers[name] = value;
    });
    for (const cookie of response.headers.getSetCookie())
      if (isFieldValue(cookie)) this.#exchange.addResponseHeader('Set-Cookie', cookie);
    const { status } = response;
    if (response.body === null || status === 204 || status === 205 || status === 304)
      return { status, headers, body: NO_BODY };
    const reader = response.body.getReader();
    try {
      const first = await reader.read();
      if (first.done) return { status, headers, body: NO_BODY };
      const piece = bytesOf(first.value);
      const second = reader.read();
      // A body of one piece ends within this turn of the event loop, if it ends.
      const next = await Promise.race([second, new Promise<null>((resolve) => setImmediate(resolve, null))]);
      if (next?.done === true) return { status, headers, body: piece };
      second.catch(() => {});
      return { status, headers, body: this.#parts(reader, piece, second) };
    } catch (error) {
      return this.#acquired.guard.faultOf('body', error);
    }
  }

  async *#parts(
    reader: ReadableStreamDefaultReader<Uint8Array>,
    first: Uint8Array,
    second: ReturnType<ReadableStreamDefaultReader<Uint8Array>['read']>,
  ): AsyncGenerator<Uint8Array> {
    let isWhole = false;
    try {
      yield first;
      for (let next = await second; !next.done; next = await reader.read()) yield bytesOf(next.value);
      isWhole = true;
    } catch (error) {
      isWhole = true;
      this.#acquired.guard.faultOf('body', error);
      throw error;
    } finally {
      if (!isWhole) void reader.cancel().catch(() => {});
    }
  }
}

function reasonOf(by: 'AbortError' | 'TimeoutError'): DOMException {
  return new DOMException(by === 'AbortError' ? 'the exchange is over' : 'the time of the handler is over', by);
}

/** What is no bytes is a defect of the handler, and said as one. */
function bytesOf(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  throw new TypeError('a piece of the body of its response is no Uint8Array');
}
