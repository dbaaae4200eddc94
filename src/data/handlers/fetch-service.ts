/**
 * `context.fetch` of handlers: `service:NAME/PATH?QUERY` is a request of the gateway's own to that service, as any
 * other goes through its balancer, breaker, retries and limits (upstream-call.ts); its response comes as it is read.
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import { GatheredBytes } from '../../base/gathered-bytes.ts';
import { BodyVeil, unseen } from '../content/body-veil.ts';
import { isJsonType, mediaTypeOf } from '../content/media-type.ts';
import { DIGESTS_AND_RANGES, privateOf } from '../content/other-bytes.ts';
import { checkField, FieldBlock } from '../contract/field-block.ts';
import type { Reply } from '../contract/policy.ts';
import { ServiceError } from '../contract/user-handler.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { MadeRequest } from '../exchange/outgoing-request.ts';
import { ownRequestBlock } from '../exchange/own-request-fields.ts';
import { RequestBody } from '../exchange/request-body.ts';
import type { ResponseHandler } from '../exchange/response-source.ts';
import { UpstreamCall } from '../exchange/upstream-call.ts';
import type { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import { WebFields } from '../web/fields.ts';
import { WebResponse } from '../web/response.ts';
import { type BodyOrigin, ServiceBody } from '../web/service-body.ts';

const SCHEME = 'service:';
/** The engine writes these. */
const FRAMING = /^(host|content-length|transfer-encoding|connection|te|trailer|upgrade|keep-alive|expect)$/;
/** Of a traced exchange each attempt has its own. */
const TRACE = /^trace(parent|state)$/;
const PLAIN_METHOD = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/;

type Span = ReturnType<NonNullable<Exchange['observer']>['part']>;

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
  const { method, fields: own, body: bytes } = plainInit(input, init) ?? (await readInit(input, init));
  both.throwIfAborted();
  if (!own.has('accept-encoding')) own.set('accept-encoding', 'identity');
  const names: string[] = [];
  const values: string[] = [];
  const shared = ownRequestBlock(exchange);
  for (let i = 0; i < shared.names.length; i++) {
    if (own.has(shared.names[i]!)) continue;
    names.push(shared.names[i]!);
    values.push(shared.values[i]!);
  }
  const span = exchange.observer?.part() ?? null;
  for (let i = 0; i < own.count; i++) {
    if (FRAMING.test(own.nameAt(i)) || (exchange.trace !== null && TRACE.test(own.nameAt(i)))) continue;
    names.push(own.nameAt(i));
    values.push(own.valueAt(i));
  }
  for (let i = 0; i < names.length; i++) checkField(names[i]!, values[i]!);
  const request = new MadeRequest({
    method,
    path,
    query,
    fields: new FieldBlock(names, values),
    bodyLength: bytes?.length ?? 0,
    address: exchange.address,
    source: exchange.source,
    observer: span,
    subject: exchange.subject,
  });
  const body = RequestBody.whole(bytes === null ? [] : [bytes]);
  return new Promise((resolve, reject) =>
    new ServiceFetch(exchange, both, span, resolve, reject).start(service, request, body),
  );
}

interface Asked {
  readonly method: string;
  readonly fields: WebFields;
  readonly body: Uint8Array | null;
}

/** Of what is plainly right; null for all else, which the web's own reading decides on. */
function plainInit(input: string | URL | Request, { method = 'GET', headers, body = null }: RequestInit): Asked | null {
  if (typeof input !== 'string' && !(input instanceof URL)) return null;
  if (!PLAIN_METHOD.test(method)) return null;
  if (body === null) return { method, fields: WebFields.of(headers), body: null };
  if (typeof body !== 'string' || method === 'GET' || method === 'HEAD') return null;
  const fields = WebFields.of(headers);
  if (!fields.has('content-type')) fields.append('content-type', 'text/plain;charset=UTF-8');
  return { method, fields, body: Buffer.from(body, 'utf8') };
}

async function readInit(input: string | URL | Request, init: RequestInit): Promise<Asked> {
  const asked = new Request(typeof input === 'string' || input instanceof URL ? 'http://service/' : input, init);
  const body = asked.body === null ? null : new Uint8Array(await asked.arrayBuffer());
  return { method: asked.method, fields: WebFields.of(asked.headers), body };
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

const NO_ROLES: readonly string[] = [];

class ServiceFetch implements ResponseHandler, BodyOrigin {
  readonly holder = null;
  readonly #exchange: Exchange;
  readonly #signal: AbortSignal;
  readonly #span: Span | null;
  readonly #resolve: (response: Response) => void;
  readonly #reject: (error: unknown) => void;
  readonly #onAbort = (): void => this.#giveUp(this.#signal.reason);
  #call: UpstreamCall | null = null;
  #body: ServiceBody | null = null;
  #service = '';
  /** Of a service that hides fields: its body is held until all of it is there. */
  #veil: BodyVeil | null = null;
  #roles: readonly string[] = NO_ROLES;
  #veiled: { readonly status: number; readonly fields: WebFields } | null = null;
  #held = new GatheredBytes();
  #heldBytes = 0;
  #route = '';
  #status = 0;
  #startedMs = 0;
  /** Why there is no response, or no whole one; empty: there is. */
  #broken = '';
  #isOver = false;

  constructor(
    exchange: Exchange,
    signal: AbortSignal,
    span: Span | null,
    resolve: (response: Response) => void,
    reject: (error: unknown) => void,
  ) {
    this.#exchange = exchange;
    this.#signal = signal;
    this.#span = span;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(service: UpstreamCall['service'], request: MadeRequest, body: RequestBody): void {
    const { runtime, live } = this.#exchange;
    this.#signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#route = this.#exchange.routeId;
    const { name, visibility } = service.settings;
    this.#service = name;
    if (visibility !== undefined) {
      this.#veil = BodyVeil.of(visibility);
      this.#roles = this.#exchange.identity?.roles ?? NO_ROLES;
    }
    this.#call = new UpstreamCall(runtime, live, service, request, body, this);
    this.#startedMs = runtime.clock.monotonicMs();
    this.#call.start(this.#startedMs);
  }

  onInterim(): void {}

  onHead(head: Head, framing: MessageFraming): void {
    const fields = new WebFields();
    for (let i = 0; i < head.count; i++) fields.add(head.name(i).toLowerCase(), head.value(i));
    const { status } = head;
    this.#status = status;
    if (this.#veil !== null && framing.bodyLength !== 0) {
      if (this.#mayVeil(status, fields)) this.#veiled = { status, fields };
      return;
    }
    if (status !== 204 && status !== 205 && status !== 304) this.#body = new ServiceBody(this);
    this.#resolve(WebResponse.of(status, fields, this.#body));
  }

  /**
   * What cannot be looked into is no response. Nor are JSON lines and events: a route changes them one by one, while a
   * handler gets what a service hides from only when it is whole.
   */
  #mayVeil(status: number, fields: WebFields): boolean {
    const type = fields.get('content-type') ?? '';
    const isPlain = (fields.get('content-encoding') ?? 'identity') === 'identity';
    if (status === 206 || !isPlain || !isJsonType(mediaTypeOf(type))) {
      this.#refuse(`a response of status ${status} and type ${type || '(none)'} cannot be looked into`);
      return false;
    }
    for (const name of DIGESTS_AND_RANGES) fields.delete(name);
    fields.delete('content-length');
    fields.delete('etag');
    fields.set('cache-control', privateOf(fields.get('cache-control') ?? ''));
    return true;
  }

  #refuse(cause: string): void {
    this.#held = new GatheredBytes();
    this.#call?.abandon();
    this.onFault(unseen(cause));
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    if (this.#veiled !== null && !this.#isOver && end > start) {
      const { maxBytes } = this.#veil!;
      this.#heldBytes += end - start;
      if (this.#heldBytes <= maxBytes) this.#held.add(bytes, start, end);
      else this.#refuse(`longer than ${maxBytes} bytes`);
      return;
    }
    if (!this.#isOver && end > start) this.#body?.push(Buffer.from(bytes.subarray(start, end)));
  }

  onEnd(): void {
    if (this.#veiled !== null && !this.#isOver) {
      try {
        this.#resolveVeiled(this.#veiled.status, this.#veiled.fields);
      } catch (error) {
        this.onFault(error as Fault);
        return;
      }
    }
    if (this.#end()) this.#body?.end();
  }

  #resolveVeiled(status: number, fields: WebFields): void {
    const bytes = this.#veil!.apply(this.#held.bytes, this.#roles);
    this.#body = new ServiceBody(this);
    this.#body.push(bytes);
    this.#resolve(WebResponse.of(status, fields, this.#body));
  }

  onReply({ status, headers, body }: Reply): void {
    this.#status = status;
    if (!this.#end()) return;
    const hasNone = status === 204 || status === 205 || status === 304;
    this.#resolve(new Response(hasNone ? null : (body as string), { status, headers }));
  }

  onUpgraded(): void {
    this.onFault(new Fault(FAULTS.upstreamMalformed));
  }

  onFault(fault: Fault): void {
    this.#broken = fault.kind.reason;
    if (this.#end()) this.#failWith(new ServiceError(fault));
  }

  onRequestDrain(): void {}

  flush(): boolean {
    return this.#isOver || this.#body?.isFull !== true;
  }

  resume(): void {
    if (!this.#isOver) this.#call?.resume();
  }

  giveUp(): void {
    this.#giveUp(null);
  }

  #giveUp(reason: unknown): void {
    if (this.#isOver) return;
    if (reason !== null) this.#broken = 'aborted';
    this.#call?.abandon();
    this.#end();
    if (reason !== null) this.#failWith(reason);
  }

  #failWith(error: unknown): void {
    if (this.#body === null) this.#reject(error);
    else this.#body.fail(error);
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#signal.removeEventListener('abort', this.#onAbort);
    const { clock, asked } = this.#exchange.runtime;
    const status = this.#status;
    asked.add('call', this.#route, this.#service, this.#broken || `${Math.floor(status / 100)}xx`);
    const failed = this.#broken || (status >= 400 ? String(status) : '');
    this.#span?.end(`service ${this.#service}`, this.#startedMs, clock.monotonicMs(), failed);
    return true;
  }
}
