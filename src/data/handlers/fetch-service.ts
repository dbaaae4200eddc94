/**
 * `context.fetch` of handlers: `service:NAME/PATH?QUERY` is a request of the gateway's own to that service, as any
 * other goes through its balancer, breaker, retries and limits (upstream-call.ts); its response comes as it is read.
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import { FieldBlock } from '../contract/field-block.ts';
import type { Reply } from '../contract/policy.ts';
import { ServiceError } from '../contract/user-handler.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { MadeRequest } from '../exchange/outgoing-request.ts';
import { fieldsOfOwnRequests } from '../exchange/own-request-fields.ts';
import { RequestBody } from '../exchange/request-body.ts';
import type { ResponseHandler } from '../exchange/response-source.ts';
import { UpstreamCall } from '../exchange/upstream-call.ts';
import type { Head } from '../parser/head.ts';

const SCHEME = 'service:';
/** Bytes of a response that may wait for whoever reads it. */
const HIGH_WATER_BYTES = 65_536;
/** The engine writes these. */
const FRAMING = /^(host|content-length|transfer-encoding|connection|te|trailer|upgrade|keep-alive|expect)$/i;

export async function fetchService(
  exchange: Exchange,
  signal: AbortSignal,
  input: string | URL | Request,
  init: RequestInit = {},
): Promise<Response> {
  const address = typeof input === 'string' ? input : input instanceof URL ? input.href : input.url;
  const signals = [signal, ...(init.signal == null ? [] : [init.signal])];
  const both = signals.length === 1 ? signal : AbortSignal.any(signals);
  if (!address.startsWith(SCHEME)) return fetch(input, { ...init, signal: both });
  const { name, path, query } = serviceAddress(address);
  const service = exchange.live.services.get(name);
  if (service === undefined) throw new TypeError(`there is no service "${name}"`);
  // The web's own reading of method, fields and body: what it takes is taken here.
  const asked = new Request('http://service/', init);
  const bytes = asked.body === null ? null : new Uint8Array(await asked.arrayBuffer());
  both.throwIfAborted();
  const own = new Map<string, string>();
  asked.headers.forEach((value, field) => {
    if (!FRAMING.test(field)) own.set(field, value);
  });
  if (!own.has('accept-encoding')) own.set('accept-encoding', 'identity');
  const fields = fieldsOfOwnRequests(exchange).filter(([field]) => !own.has(field.toLowerCase()));
  const request = new MadeRequest({
    method: asked.method,
    path,
    query,
    fields: FieldBlock.of([...fields, ...own]),
    bodyLength: bytes?.length ?? 0,
    address: exchange.address,
    subject: exchange.subject,
  });
  const body = RequestBody.whole(bytes === null ? [] : [bytes]);
  return new Promise((resolve, reject) =>
    new ServiceFetch(exchange, both, resolve, reject).start(service, request, body),
  );
}

/** `service:users/v1/users?page=2`; a path alone may be left out. */
function serviceAddress(address: string): {
  readonly name: string;
  readonly path: string;
  readonly query: string | null;
} {
  const match = /^service:([^/?#]+)(\/[^?#]*)?(?:\?([^#]*))?$/.exec(address);
  const [, name = '', path = '/', query] = match ?? [];
  if (match === null || !/^[!-~]*$/.test(address) || path.includes('\\') || /\/\.{1,2}(?:\/|$)/.test(path))
    throw new TypeError(
      `not the address of a service: ${JSON.stringify(address.slice(0, 200))}; it is service:NAME/PATH, percent-encoded`,
    );
  return { name, path, query: query ?? null };
}

class ServiceFetch implements ResponseHandler {
  readonly holder = null;
  readonly #exchange: Exchange;
  readonly #signal: AbortSignal;
  readonly #resolve: (response: Response) => void;
  readonly #reject: (error: unknown) => void;
  readonly #onAbort = (): void => this.#giveUp(this.#signal.reason);
  #call: UpstreamCall | null = null;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #isOver = false;

  constructor(
    exchange: Exchange,
    signal: AbortSignal,
    resolve: (response: Response) => void,
    reject: (error: unknown) => void,
  ) {
    this.#exchange = exchange;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(service: UpstreamCall['service'], request: MadeRequest, body: RequestBody): void {
    const { runtime, live } = this.#exchange;
    this.#signal.addEventListener('abort', this.#onAbort, { once: true });
    runtime.metrics.add('handler_calls', 1);
    this.#call = new UpstreamCall(runtime, live, service, request, body, this);
    this.#call.start(runtime.clock.monotonicMs());
  }

  onInterim(): void {}

  onHead(head: Head): void {
    const headers = new Headers();
    for (let i = 0; i < head.count; i++) headers.append(head.name(i), head.value(i));
    const { status } = head;
    if (status === 204 || status === 205 || status === 304) {
      this.#resolve(new Response(null, { status, headers }));
      return;
    }
    const stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#call?.resume(),
        cancel: () => this.#giveUp(null),
      },
      { highWaterMark: HIGH_WATER_BYTES, size: (bytes) => bytes?.byteLength ?? 0 },
    );
    this.#resolve(new Response(stream, { status, headers }));
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    if (!this.#isOver && end > start) this.#controller?.enqueue(Uint8Array.from(bytes.subarray(start, end)));
  }

  onEnd(): void {
    if (this.#end()) this.#controller?.close();
  }

  onReply({ status, headers, body }: Reply): void {
    if (!this.#end()) return;
    const hasNone = status === 204 || status === 205 || status === 304;
    this.#resolve(new Response(hasNone ? null : (body as string), { status, headers }));
  }

  onUpgraded(): void {
    this.onFault(new Fault(FAULTS.upstreamMalformed));
  }

  onFault(fault: Fault): void {
    if (this.#end()) this.#failWith(new ServiceError(fault));
  }

  onRequestDrain(): void {}

  flush(): boolean {
    return this.#controller === null || this.#isOver || (this.#controller.desiredSize ?? 0) > 0;
  }

  #giveUp(reason: unknown): void {
    if (!this.#end()) return;
    this.#call?.abandon();
    if (reason !== null) this.#failWith(reason);
  }

  #failWith(error: unknown): void {
    if (this.#controller === null) this.#reject(error);
    else this.#controller.error(error);
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#signal.removeEventListener('abort', this.#onAbort);
    return true;
  }
}
