/**
 * THE STORY: one request from its head to the last byte of its response. Read `#advance` for the way there, then the
 * methods below it in order: the body comes, a response comes, all of it is reported. There is one error exit, `#fail`.
 * Which instance responds, and how often one is asked, is in upstream-call.ts.
 *
 *   accept -> arrival -> route -> authenticate -> authorize -> limit -> requestHead -> requestBody
 *          -> [pick -> connect -> send -> upstreamHead]* -> responseHead -> responseBody -> finish
 */
import { FAULTS, Fault, messageOf } from '../../base/errors.ts';
import { PHASES } from '../../base/vocabulary.ts';
import type { BodyFilter, ResponseFilterOptions } from '../contract/body-access.ts';
import { checkField, type FieldBlock } from '../contract/field-block.ts';
import type { Outcome, PolicyContext, PolicyHook, Reply } from '../contract/policy.ts';
import { CONNECTION, IDEMPOTENCY_KEY } from '../parser/field-names.ts';
import { FieldRecorder } from '../parser/field-recorder.ts';
import { MessageFraming, readResponseFraming, UNKNOWN_LENGTH } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import { passingTrailers } from '../parser/trailers.ts';
import { faultReply } from '../response/problem.ts';
import type { ExchangeTrace } from '../trace/exchange-trace.ts';
import type { Tracer } from '../trace/tracer.ts';
import type { Source } from '../wire/sources.ts';
import { NO_LONGER_ALLOWED } from '../wire/websocket-frames.ts';
import type { ActiveConfig, CompiledRoute } from './active-config.ts';
import type { Attempt } from './attempt.ts';
import { Context } from './context.ts';
import type { Downstream, DownstreamHandler } from './downstream.ts';
import { isEventStreamType } from './event-stream.ts';
import type { ExchangeHost } from './exchange-host.ts';
import { FieldChanges } from './field-changes.ts';
import { findRoute } from './find-route.ts';
import { callerAddress, callerScheme, requestDrop } from './forwarding.ts';
import {
  faultTrailers,
  grpcCode,
  grpcReply,
  isGrpcType,
  isGrpcWebType,
  NO_STATUS,
  PREVIOUS_ATTEMPTS,
  readCode,
  readTimeout,
} from './grpc.ts';
import { GrpcWebCall, grpcWebReply } from './grpc-web.ts';
import { sendMirror } from './mirror.ts';
import type { OutgoingRequest } from './outgoing-request.ts';
import { StreamedBody } from './reply-source.ts';
import { report } from './report.ts';
import { bodyOf, RequestBody } from './request-body.ts';
import { type RequestBodyOwner, RequestBodyWork } from './request-body-work.ts';
import type { RequestBuffers } from './request-buffers.ts';
import { writeRequestFields, writeRequestHead } from './request-head.ts';
import { type ResponseBodyOwner, ResponseBodyWork } from './response-body-work.ts';
import { writeResponseFields } from './response-head.ts';
import type { ResponseHandler, ResponseSource } from './response-source.ts';
import { tooLarge } from './route-faults.ts';
import type { UpstreamCall } from './upstream-call.ts';
import type { BytesHolder, UpstreamStream } from './upstream-stream.ts';
import { acceptFor, KEY } from './websocket-handshake.ts';

/** Where `#advance` goes on after an asynchronous policy. */
const ARRIVAL = 0;
const ROUTE = 1;
const AUTHENTICATE = 2;
const AUTHORIZE = 3;
const LIMIT = 4;
const REQUEST_HEAD = 5;
const REQUEST_BODY = 6;
const ACT = 7;
/** Their names in traces. */
const PHASE_NAMES = PHASES.slice(PHASES.indexOf('arrival'));

export class Exchange
  extends Context
  implements PolicyContext, DownstreamHandler, ResponseHandler, OutgoingRequest, RequestBodyOwner, ResponseBodyOwner
{
  readonly runtime: ExchangeHost;
  readonly downstream: Downstream;
  /** The configuration this exchange began with; a reload does not change it on the way. */
  readonly live: ActiveConfig;
  body: RequestBody;
  /** Where the response comes from; null until it is known, and where it was there at once. */
  #source: ResponseSource | null = null;
  /** Null where no service is asked. */
  call: UpstreamCall | null = null;
  /** The path as the upstream gets it, before an instance's own prefix. */
  upstreamPath = '';
  upstreamQuery: string | null = null;
  /** Of the path nothing is left but the instance's own prefix. */
  isAllStripped = false;
  /** A policy has said where the request goes: nothing of the route's rewrite holds. */
  isTargetChanged = false;
  /** `upstreamQuery` is a policy's and not the client's. */
  isQueryChanged = false;
  bytesReceived = 0;
  bytesSent = 0;
  isDone = false;
  /** The client has the head of a response, so there can be no other. */
  #headSent = false;
  /** Time has passed since the request came: something was waited for. */
  #wentAsync = false;
  /** What an action has under way that nobody waits for any more. */
  #whenGone: (() => void) | null = null;
  /** How long the client of a gRPC call waits for all of it, or 0. */
  deadlineMs = 0;
  #attemptsBefore = 0;
  /** The response of a gRPC call is under way, whose status comes behind it. */
  #endsByStatus = false;
  /** Null where the client does not speak gRPC-Web to a gRPC service. */
  #web: GrpcWebCall | null = null;
  /** Null as long as no policy touches the body. */
  #requestWork: RequestBodyWork | null = null;
  #responseWork: ResponseBodyWork | null = null;
  #isBodyReplaced = false;
  /** Among the streams that end with the credential of their caller. */
  #isWatched = false;
  isBodyUnpacked = false;
  /** Of the response that is being decorated. */
  #bodyLength = UNKNOWN_LENGTH;
  /** The head that waits for what a filter makes of the body. */
  #heldHead: Head | null = null;
  #heldReply: Reply | null = null;
  /** The client of a trusted proxy. */
  #behindProxy: Source | null = null;

  constructor(runtime: ExchangeHost, downstream: Downstream, incoming: RequestBuffers) {
    super(downstream.peer, incoming, runtime.clock.monotonicMs());
    this.runtime = runtime;
    this.live = runtime.live;
    this.live.active++;
    this.downstream = downstream;
    this.body = bodyOf(incoming.meaning.bodyLength, incoming.meaning.upgrade >= 0);
  }

  protected override get callerScheme(): 'http' | 'https' {
    return callerScheme(this.peer, this.incoming.head, this.live.trusted);
  }

  /** What the client's address holds of this worker. */
  get source(): Source {
    const { source } = this.peer;
    if (source !== null) return source;
    this.#behindProxy ??= this.runtime.sources.enter(this.address);
    return this.#behindProxy;
  }

  /** Until a service is asked hardly any time passes, unless something is waited for. */
  get nowMs(): number {
    return this.#wentAsync || this.call !== null ? this.runtime.clock.monotonicMs() : this.startedMs;
  }

  /** `accept` is over: the head is whole and valid. */
  begin(): void {
    this.nameRequest(this.runtime.requestIds);
    this.address = callerAddress(this.peer, this.incoming.head, this.live.trusted);
    const { tracer } = this.runtime;
    if (tracer !== null) this.#beginTrace(tracer);
    this.#advance(ARRIVAL);
  }

  /** The caller's trace goes on here; each attempt is told its own place in it (request-head.ts). */
  #beginTrace(tracer: Tracer): void {
    const parent = this.header('traceparent');
    const state = this.header('tracestate');
    this.trace = tracer.begin(parent, state, this.peer.trusted, this.startedMs);
    if (parent !== null) this.removeUpstreamHeader('traceparent');
    if (state !== null) this.removeUpstreamHeader('tracestate');
  }

  /** Told of each attempt. */
  get observer(): ExchangeTrace | null {
    return this.trace;
  }

  // --- the way there ---------------------------------------------------------------------------------------------

  /** From phase to phase, falling through, until something answers or an asynchronous policy is waited for. */
  #advance(from: number, hook = 0): void {
    try {
      switch (from) {
        // biome-ignore-start lint/suspicious/noFallthroughSwitchClause: the phases follow each other
        case ARRIVAL:
          if (this.#stoppedBy(this.live.arrival, ARRIVAL, hook)) return;
          hook = 0;
        case ROUTE:
          if (!this.#findRoute()) return;
        case AUTHENTICATE:
          if (this.#stoppedBy(this.route!.authenticate, AUTHENTICATE, hook)) return;
          hook = 0;
        case AUTHORIZE:
          if (this.#stoppedBy(this.route!.authorize, AUTHORIZE, hook)) return;
          hook = 0;
        case LIMIT:
          if (this.#stoppedBy(this.route!.limit, LIMIT, hook)) return;
          hook = 0;
        case REQUEST_HEAD:
          if (this.#stoppedBy(this.route!.requestHead, REQUEST_HEAD, hook)) return;
          hook = 0;
        case REQUEST_BODY:
          if (this.#stoppedBy(this.route!.requestBody, REQUEST_BODY, hook)) return;
        case ACT:
          this.#act(this.route!);
        // biome-ignore-end lint/suspicious/noFallthroughSwitchClause: the phases follow each other
      }
    } catch (error) {
      this.#failInternally(error);
    }
  }

  /** Runs the policies of one phase. True when the exchange must not go on now: answered, failed or waiting. */
  #stoppedBy(hooks: readonly PolicyHook[], phase: number, first: number): boolean {
    for (let i = first; i < hooks.length; i++) {
      const hook = hooks[i]!;
      const outcome = hook(this);
      if (outcome === undefined) continue;
      if (outcome instanceof Promise) {
        this.#wait(outcome, phase, i + 1, this.live.readOnlyWhilePending.has(hook));
        return true;
      }
      this.#settle(outcome);
      return true;
    }
    return false;
  }

  /** `readsRequestOnlyWhilePending`: once settled, nobody who was waited for looks at the request any more. */
  #wait(promised: Promise<Outcome>, phase: number, nextHook: number, readsRequestOnlyWhilePending: boolean): void {
    const wasShared = this.incoming.heldByPolicy;
    this.incoming.heldByPolicy = true;
    this.#wentAsync = true;
    const sinceMs = this.trace === null ? 0 : this.runtime.clock.monotonicMs();
    promised.then(
      (outcome) => {
        if (this.trace !== null) this.#traceWait(this.trace, phase, sinceMs, outcome instanceof Fault);
        if (readsRequestOnlyWhilePending && !this.isDone) this.incoming.heldByPolicy = wasShared;
        if (this.isDone) return;
        if (outcome === undefined) this.#advance(phase, nextHook);
        else this.#settle(outcome);
        this.downstream.flush();
      },
      (error: unknown) => {
        if (this.trace !== null) this.#traceWait(this.trace, phase, sinceMs, true);
        if (this.isDone) return;
        if (error instanceof Fault) this.#fail(error);
        else this.#failInternally(error);
        this.downstream.flush();
      },
    );
  }

  /** A policy that waited for something, such as an introspection or a shared limit. */
  #traceWait(trace: ExchangeTrace, phase: number, sinceMs: number, failed: boolean): void {
    const nowMs = this.runtime.clock.monotonicMs();
    if (this.isDone || nowMs - sinceMs < (this.runtime.tracer?.settings.policyMs ?? 0)) return;
    trace.addInner('', PHASE_NAMES[phase]!, sinceMs, nowMs, failed ? 'refused' : '');
  }

  #settle(outcome: Reply | Fault): void {
    if (outcome instanceof Fault) this.#fail(outcome);
    else this.onReply(outcome);
  }

  #findRoute(): boolean {
    let outcome = findRoute(this, this.incoming);
    if ((outcome !== null || this.route!.isBuiltIn) && this.runtime.abuse.keepsOut(this))
      outcome = new Fault(FAULTS.banned);
    if (outcome !== null) {
      this.#settle(outcome);
      return false;
    }
    const { responseFields } = this.route!;
    if (responseFields !== null) {
      this.responseChanges ??= new FieldChanges();
      this.responseChanges.addBlock(responseFields);
    }
    return true;
  }

  #act(route: CompiledRoute): void {
    if (route.takesGrpcWeb) this.#web = GrpcWebCall.of(this);
    this.#requestWork?.seal();
    const { nowMs } = this;
    const opened = route.action.open(this, this);
    if (opened instanceof Fault) this.#fail(opened);
    else if ('start' in opened) {
      this.#source = opened;
      opened.start(nowMs);
    } else this.onReply(opened);
  }

  /** The client's own deadline holds here too; what is left of it goes on in its place (request-head.ts). */
  readDeadline(): void {
    const attempts = this.header(PREVIOUS_ATTEMPTS);
    if (attempts !== null) {
      this.#attemptsBefore = /^\d{1,4}$/.test(attempts) ? Number(attempts) : 0;
      this.removeUpstreamHeader(PREVIOUS_ATTEMPTS);
    }
    const timeoutMs = readTimeout(this.header('grpc-timeout'));
    if (timeoutMs < 0) return;
    this.deadlineMs = Math.max(1, timeoutMs);
    this.removeUpstreamHeader('grpc-timeout');
  }

  /** How often a call was tried before this attempt, by its client and here (gRFC A6). */
  get previousAttempts(): number {
    return this.#attemptsBefore + Math.max(0, (this.call?.attemptsMade ?? 1) - 1);
  }

  /** Of `deadlineMs`. */
  get remainingMs(): number {
    return this.deadlineMs - this.elapsedMs;
  }

  get elapsedMs(): number {
    return this.runtime.clock.monotonicMs() - this.startedMs;
  }

  /** The fields of a request to any service on behalf of this one: the client's, forwarding, identity, request id. */
  forwardedFields(): FieldBlock {
    const recorder = new FieldRecorder();
    writeRequestFields(recorder, this, this.incoming, requestDrop(this.peer.trusted, true), this.upstreamChanges);
    return recorder.block();
  }

  /** An action looks at the request after it has returned: the request's memory is not used for another one. */
  keepRequest(): void {
    this.incoming.heldByPolicy = true;
    this.#wentAsync = true;
  }

  /** Called once if the exchange ends before its action has a response. */
  onGone(listener: () => void): void {
    this.#whenGone = listener;
  }

  // --- requestBody -----------------------------------------------------------------------------------------------

  onRequestBody(bytes: Uint8Array, isVolatile: boolean): void {
    this.bytesReceived += bytes.length;
    if (this.status === 101) {
      this.body.consumer?.onBodyBytes(bytes, isVolatile);
      return;
    }
    const limit = this.route?.settings.maxRequestBytes ?? Number.POSITIVE_INFINITY;
    if (this.bytesReceived > limit) this.#fail(tooLarge(limit));
    else if (this.#requestWork !== null) this.#requestWork.onBytes(bytes, isVolatile);
    else if (!this.body.take(bytes, isVolatile)) this.downstream.pauseBody();
  }

  onRequestRead(): void {
    this.#requestWork?.onRead();
    const { body } = this;
    if (!body.flush() && (!body.complete || this.status === 101)) this.downstream.pauseBody();
  }

  get holdsRequestBytes(): boolean {
    return this.body.holdsBytes;
  }

  get isEventStream(): boolean {
    if (!this.#headSent) return false;
    if (this.replyFields === null) return this.attempt?.isEventStream === true;
    return isEventStreamType(this.sentHeader('content-type'));
  }

  onRequestEnd(trailers: Head | null): void {
    if (this.#requestWork !== null) this.#requestWork.onEnd(passingTrailers(trailers));
    else if (!this.body.complete) this.body.end(passingTrailers(trailers));
  }

  onRequestDrain(): void {
    if (this.isDone) return;
    if (this.#requestWork === null) this.downstream.resumeBody();
    else this.#requestWork.drained();
  }

  readBody(maxBytes: number): Promise<Buffer> {
    this.#requestWork ??= new RequestBodyWork(this);
    return this.#requestWork.read(maxBytes);
  }

  replaceBody(bytes: Uint8Array): void {
    if (!this.body.complete) throw new TypeError('a body is replaced when it has been read');
    this.body = RequestBody.whole([bytes]);
    this.#isBodyReplaced = true;
  }

  filterRequestBody(filter: BodyFilter, length = UNKNOWN_LENGTH): void {
    this.#requestWork ??= new RequestBodyWork(this);
    this.#requestWork.filter(filter, length);
  }

  /** What is sent on is not what the client said it would be. */
  get changesRequestBody(): boolean {
    return this.#isBodyReplaced || this.#requestWork?.changesLength === true;
  }

  onRequestFault(fault: Fault): void {
    this.#fail(fault);
    this.downstream.flush();
  }

  // --- send: the request as it goes to the service ---------------------------------------------------------------

  get hasIdempotencyKey(): boolean {
    return this.incoming.head.find(IDEMPOTENCY_KEY) >= 0;
  }

  get upgrade(): string {
    const { head, meaning } = this.incoming;
    return meaning.upgrade < 0 ? '' : head.value(meaning.upgrade);
  }

  get bodyInHand(): boolean {
    return this.downstream.bodyInHand;
  }

  /**
   * The body may be gathered before a service is asked. Not what is here already, not a tunnel, not the messages of a
   * gRPC call, and not where the client waits for the service to say whether it wants the body (RFC 9110 §10.1.1).
   */
  get mayGatherBody(): boolean {
    const { meaning } = this.incoming;
    if (this.downstream.bodyWholeInHand || meaning.upgrade >= 0 || meaning.expectsContinue) return false;
    return !isGrpcType(this.header('content-type'));
  }

  writeHead(stream: UpstreamStream, attempt: Attempt): void {
    writeRequestHead(stream, attempt, this, this.incoming, this.upstreamChanges);
  }

  // --- responseHead ----------------------------------------------------------------------------------------------

  onInterim(head: Head): void {
    if (!this.#headSent) this.downstream.sendInterim(head);
  }

  onHead(head: Head, framing: MessageFraming): void {
    const { attempt } = this;
    if (this.route!.mirror !== null) sendMirror(this, this.incoming);
    this.status = head.status;
    if (this.#web !== null) this.#web.onHead(head);
    else if (this.call?.service.settings.protocol === 'grpc') this.#onGrpcHead(head, framing);
    try {
      const cookie = attempt === null ? null : attempt.service.stickyCookieFor(attempt.endpoint, this);
      if (cookie !== null) this.addResponseHeader('Set-Cookie', cookie);
      this.responseFields = head;
      this.#bodyLength = framing.bodyLength;
      this.#decorate(head);
      const work = this.#responseWork;
      if (work !== null) this.#filterResponse(work, head, null);
      else this.#sendHead(head, framing.nominated, null, framing.bodyLength, false);
      this.responseFields = this.#heldHead;
    } catch (error) {
      this.responseFields = null;
      if (error instanceof Fault) this.#fail(error);
      else this.#failInternally(error);
    }
  }

  /** A response with a body ends with its status; one without has it in the head, or is no success (grpc.ts). */
  #onGrpcHead(head: Head, framing: MessageFraming): void {
    // Over HTTP/1.1 nobody who calls reads trailers, so a call that breaks off has to be seen as that.
    if (head.status !== 200 || this.incoming.head.major !== 2 || !isGrpcType(this.header('content-type'))) return;
    this.#endsByStatus = framing.bodyLength === UNKNOWN_LENGTH;
    if (framing.bodyLength !== 0) return;
    const code = readCode(head.valueOf('grpc-status'));
    if (code >= 0) this.logField('grpc_status', code);
    else for (const [i, name] of NO_STATUS.names.entries()) this.setResponseHeader(name, NO_STATUS.values[i]!);
  }

  /** `reply`: in place of `head`, for a response made here. `declareLength`: the length is not among the fields. */
  #sendHead(
    head: Head | null,
    nominated: readonly string[] | null,
    reply: Reply | null,
    bodyLength: number,
    declareLength: boolean,
  ): void {
    this.#headSent = true;
    if (bodyLength === UNKNOWN_LENGTH && this.identity !== null)
      this.#isWatched = this.runtime.streams.watchResponse(this, this.#contentTypeOf(head, reply));
    const changes = this.responseChanges;
    const out = this.downstream.startHead(this.status, head !== null && head.status === this.status ? head : null);
    if (reply !== null)
      for (const name in reply.headers) if (changes?.removes(name) !== true) out.field(name, reply.headers[name]!);
    writeResponseFields(out, this, head, nominated, changes, declareLength);
    this.downstream.endHead(bodyLength, declareLength);
  }

  /** The body goes through filters, and so its length is another one; the head may have to wait for them. */
  #filterResponse(work: ResponseBodyWork, head: Head | null, reply: Reply | null): void {
    const hasBody = this.method !== 'HEAD' && this.status !== 204 && this.status !== 304;
    if (!hasBody) {
      work.abandon();
      this.#responseWork = null;
      this.#sendHead(head, nominatedBy(head), reply, this.method === 'HEAD' ? UNKNOWN_LENGTH : 0, true);
      return;
    }
    if (work.holdsHead) {
      this.#heldHead = head === null ? null : head.copy();
      this.#heldReply = reply;
    } else this.#sendHead(head, nominatedBy(head), reply, work.length, true);
    work.begin();
  }

  sendHeldHead(bodyLength: number): void {
    const head = this.#heldHead;
    this.#heldHead = null;
    this.responseFields = null;
    this.#sendHead(head, nominatedBy(head), this.#heldReply, bodyLength, true);
  }

  filterResponseBody(filter: BodyFilter, options: ResponseFilterOptions = {}): void {
    if (this.fault !== null || this.#headSent) {
      filter.abandon();
      return;
    }
    this.#responseWork ??= new ResponseBodyWork(this);
    this.#responseWork.filter(filter, options);
  }

  get responseLength(): number {
    // HTTP/1.1 knows one more length that is none: up to the end of the connection.
    return this.#responseWork === null ? Math.max(this.#bodyLength, UNKNOWN_LENGTH) : this.#responseWork.length;
  }

  setStatus(status: number): void {
    if (!this.#headSent) this.status = status;
  }

  setUpstreamQuery(query: string | null): void {
    if (query !== null && !/^[!-~]*$/.test(query)) throw new TypeError(`not a query: ${JSON.stringify(query)}`);
    this.upstreamQuery = query;
    this.isQueryChanged = true;
  }

  setUpstreamTarget(path: string, query: string | null): void {
    if (!/^\/[!-~]*$/.test(path) || /[?#\\]/.test(path) || (query !== null && !/^[!-~]*$/.test(query)))
      throw new TypeError(`not a target: ${JSON.stringify(path)}`);
    this.upstreamPath = path;
    this.upstreamQuery = query;
    this.isTargetChanged = true;
  }

  onUpgraded(head: Head, protocol: string, rest: Buffer): void {
    this.status = 101;
    this.#headSent = true;
    this.runtime.metrics.add('tunnels_opened', 1);
    if (this.identity !== null) this.#isWatched = this.runtime.streams.watch(this);
    const out = this.downstream.startHead(101, null);
    writeResponseFields(out, this, head, null, this.responseChanges, true);
    const accept = head.major === 2 && this.incoming.head.major === 1 ? acceptFor(this.header(KEY)) : null;
    if (accept !== null) out.field('Sec-WebSocket-Accept', accept);
    this.downstream.endUpgrade(protocol);
    if (rest.length > 0) this.onBody(rest, 0, rest.length);
  }

  /** `head`: that of a service. */
  #decorate(head: Head | null): void {
    const hooks = this.route === null ? this.live.unrouted : this.route.responseHead;
    const references = head === null ? null : this.route!.references;
    if (hooks.length === 0 && references === null) return;
    this.responseChanges?.mark();
    references?.putRight(this, head!);
    try {
      for (let i = 0; i < hooks.length; i++) hooks[i]!(this);
    } catch (error) {
      this.#forgetFilters();
      throw error;
    }
  }

  /** A response made here: by a policy, by the route itself, by a fallback or of a fault. */
  onReply(reply: Reply): void {
    const { headers, body } = reply;
    for (const name in headers) checkField(name, headers[name]!);
    this.status = reply.status;
    const bytes = typeof body === 'string' ? Buffer.from(body, 'utf8') : body instanceof Uint8Array ? body : null;
    this.replyFields = headers;
    this.#bodyLength = bytes === null ? UNKNOWN_LENGTH : bytes.length;
    try {
      this.#decorate(null);
    } catch (error) {
      if (error instanceof Fault && this.fault === null) {
        this.#fail(error);
        return;
      }
      // The response goes out undecorated: it may be the one that says that a policy is broken.
      this.runtime.log.error('a responseHead policy failed', {
        request_id: this.requestId,
        route: this.routeId,
        error: messageOf(error),
      });
    }
    const work = this.#responseWork;
    if (work !== null) this.#filterResponse(work, null, reply);
    else this.#sendHead(null, null, reply, bytes === null ? UNKNOWN_LENGTH : bytes.length, true);
    if (bytes !== null) {
      this.onBody(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length);
      this.onEnd(null);
      return;
    }
    const source = new StreamedBody(body as AsyncIterable<Uint8Array>, this);
    this.#source = source;
    if (this.method !== 'HEAD') source.start();
    else this.onEnd(null);
  }

  // --- responseBody ----------------------------------------------------------------------------------------------

  onBody(bytes: Buffer, start: number, end: number): void {
    if (this.#responseWork === null) this.sendBytes(bytes, start, end);
    else this.#responseWork.write(bytes, start, end);
  }

  sendBytes(bytes: Buffer, start: number, end: number): void {
    this.bytesSent += end - start;
    this.downstream.sendBody(bytes, start, end);
  }

  flush(): boolean {
    return this.#responseWork === null || this.isDone ? this.downstream.flush() : this.#responseWork.flush();
  }

  flushDownstream(): boolean {
    return this.downstream.flush();
  }

  get holder(): BytesHolder | null {
    return this.downstream.holdsBytes ? this.downstream : null;
  }

  onDownstreamDrain(): void {
    if (this.#responseWork === null) this.resumeSource();
    else this.#responseWork.drained();
  }

  resumeSource(): void {
    this.#source?.resume();
  }

  onEnd(trailers: FieldBlock | null): void {
    if (this.#responseWork === null) this.complete(trailers);
    else this.#responseWork.end(trailers);
  }

  complete(trailers: FieldBlock | null): void {
    this.downstream.sendEnd(this.#endsByStatus ? this.#withStatus(trailers) : trailers);
    this.#finish();
  }

  #withStatus(trailers: FieldBlock | null): FieldBlock {
    const code = readCode(trailers?.valueOf('grpc-status') ?? null);
    const ending = trailers === null || code < 0 ? NO_STATUS : trailers;
    this.logField('grpc_status', readCode(ending.valueOf('grpc-status')));
    return ending;
  }

  // --- what can go wrong -----------------------------------------------------------------------------------------

  onFault(fault: Fault): void {
    this.#fail(fault);
  }

  onDownstreamGone(): void {
    if (this.isDone) return;
    this.runtime.metrics.add('exchanges_aborted', 1);
    if (this.status !== 101) this.fault = new Fault(FAULTS.downstreamAborted);
    this.#finish();
  }

  endForCredential(): void {
    if (this.isDone) return;
    const fault = new Fault(FAULTS.credentialOver);
    if (this.status === 101) {
      this.fault = fault;
      this.downstream.sendClose(NO_LONGER_ALLOWED);
      this.#finish();
    } else this.#fail(fault);
    this.downstream.flush();
  }

  #contentTypeOf(head: Head | null, reply: Reply | null): string | null {
    return head === null ? (reply?.headers['Content-Type'] ?? null) : head.valueOf('content-type');
  }

  #failInternally(error: unknown): void {
    this.runtime.log.error('an exchange failed inside the gateway', {
      request_id: this.requestId,
      route: this.routeId,
      error: messageOf(error),
      stack: error instanceof Error ? (error.stack ?? '') : '',
    });
    this.#fail(new Fault(FAULTS.internal));
  }

  /** The one error exit: a proper response while there can be one, an abort when bytes of another are on their way. */
  #fail(fault: Fault): void {
    if (this.isDone) return;
    this.fault = fault;
    if (this.#headSent) {
      // A call says how it ended, also in the middle of its messages.
      if (this.#endsByStatus) {
        this.complete(faultTrailers(fault.kind));
        return;
      }
      if (this.#web?.mayEnd === true && this.#responseWork !== null) {
        this.#responseWork.end(faultTrailers(fault.kind));
        return;
      }
      this.#finish();
      this.downstream.abort();
      return;
    }
    // What a source still does is of no use.
    this.#source?.abandon();
    this.#dropHeldResponse();
    const contentType = this.header('content-type');
    const isWeb = isGrpcWebType(contentType);
    if (isWeb || isGrpcType(contentType)) {
      this.logField('grpc_status', grpcCode(fault.kind.status));
      const reply = isWeb ? grpcWebReply : grpcReply;
      this.onReply(reply(fault, contentType!, this.header('accept')));
      return;
    }
    const { errorFormat } = this.live.gateway;
    const wallMs = this.runtime.clock.wallMs();
    this.onReply(faultReply(fault, errorFormat, this.header('accept'), this.requestId, this.target.path, wallMs));
  }

  /** What filters and policies wanted changed of a response that will not be sent. */
  #dropHeldResponse(): void {
    if (this.#responseWork === null) return;
    this.#forgetFilters();
    this.#heldHead = null;
    this.responseFields = null;
  }

  #forgetFilters(): void {
    this.#responseWork?.abandon();
    this.#responseWork = null;
    this.responseChanges?.rollBack();
  }

  // --- finish ----------------------------------------------------------------------------------------------------

  /** The attempt whose response counts, or the latest. */
  get attempt(): Attempt | null {
    return this.call === null ? null : this.call.attempt;
  }

  #finish(): void {
    if (this.isDone) return;
    this.isDone = true;
    if (this.#isWatched) this.runtime.streams.leave(this);
    this.#whenGone?.();
    this.#source?.abandon();
    this.#responseWork?.abandon();
    this.#requestWork?.abandon(this.fault ?? new Fault(FAULTS.downstreamAborted));
    const { attempt } = this;
    const nowMs = attempt === null ? this.runtime.clock.monotonicMs() : attempt.nowMs();
    report(this, nowMs, this.logParts);
    if (this.#behindProxy !== null) this.runtime.sources.leave(this.#behindProxy);
    if (--this.live.active === 0 && this.live.retired) this.live.dispose();
    this.downstream.exchangeDone(nowMs);
  }
}

/** Fields that belong to the connection of the upstream (RFC 9110 §7.6.1), of a head that may be a copy. */
function nominatedBy(head: Head | null): readonly string[] | null {
  if (head === null || head.find(CONNECTION) < 0) return null;
  readResponseFraming(head, '', NOMINATED);
  return NOMINATED.nominated;
}

const NOMINATED = new MessageFraming();
