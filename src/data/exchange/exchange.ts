/**
 * THE STORY: one request from its head to the last byte of its response. Read `#advance` for the way there, then the
 * methods below it in order: the body comes, and at the end all of it is reported. There is one error exit, `#fail`.
 * Which instance responds, and how often one is asked, is in upstream-call.ts; the way of the response to the client
 * is in outgoing-response.ts.
 *
 *   accept -> arrival -> route -> authenticate -> authorize -> limit -> requestHead -> requestBody
 *          -> [pick -> connect -> send -> upstreamHead]* -> responseHead -> responseBody -> finish
 */
import { FAULTS, Fault, messageOf, stackOf } from '../../base/errors.ts';
import type { BodyFilter, ResponseFilterOptions } from '../contract/body-access.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { Outcome, PolicyContext, PolicyHook, Reply } from '../contract/policy.ts';
import { checkStatus } from '../contract/policy-limits.ts';
import { IDEMPOTENCY_KEY } from '../parser/field-names.ts';
import { FieldRecorder } from '../parser/field-recorder.ts';
import { UNKNOWN_LENGTH } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import type { HeadWriter } from '../parser/head-writer.ts';
import { passingTrailers } from '../parser/trailers.ts';
import { faultReply } from '../response/problem.ts';
import type { ExchangeObserver } from '../trace/exchange-trace.ts';
import type { Source } from '../wire/sources.ts';
import { NO_LONGER_ALLOWED } from '../wire/websocket-frames.ts';
import type { ActiveConfig, CompiledRoute } from './active-config.ts';
import type { Attempt } from './attempt.ts';
import { Context } from './context.ts';
import type { Downstream, DownstreamHandler } from './downstream.ts';
import type { ExchangeHost } from './exchange-host.ts';
import { FieldChanges } from './field-changes.ts';
import { findRoute } from './find-route.ts';
import { requestDrop } from './forwarding.ts';
import {
  grpcCode,
  grpcReply,
  isCallType,
  isGrpcType,
  isGrpcWebType,
  PREVIOUS_ATTEMPTS,
  readTimeout,
  statusRecord,
} from './grpc.ts';
import { GrpcWebCall, grpcWebReply } from './grpc-web.ts';
import { sendMirror } from './mirror.ts';
import type { OutgoingRequest } from './outgoing-request.ts';
import { OutgoingResponse } from './outgoing-response.ts';
import { ProxiedClient } from './proxied-client.ts';
import { report } from './report.ts';
import { bodyOf, RequestBody } from './request-body.ts';
import { type RequestBodyOwner, RequestBodyWork } from './request-body-work.ts';
import type { RequestBuffers } from './request-buffers.ts';
import { sentField, writeRequestFields, writeRequestHead } from './request-head.ts';
import { tooLarge } from './route-faults.ts';
import type { StepTimes } from './step-times.ts';
import { beginTrace, timeRoute, tracePolicy } from './trace-request.ts';
import type { UpstreamCall } from './upstream-call.ts';
import type { UpstreamStream } from './upstream-stream.ts';

/** Where `#advance` goes on after an asynchronous policy. */
const ARRIVAL = 0;
const ROUTE = 1;
const AUTHENTICATE = 2;
const AUTHORIZE = 3;
const LIMIT = 4;
const REQUEST_HEAD = 5;
const REQUEST_BODY = 6;
const ACT = 7;

export interface GoneListener {
  onGone(): void;
}

export class Exchange extends Context implements PolicyContext, DownstreamHandler, OutgoingRequest, RequestBodyOwner {
  readonly runtime: ExchangeHost;
  readonly downstream: Downstream;
  /** The configuration this exchange began with; a reload does not change it on the way. */
  readonly live: ActiveConfig;
  readonly response: OutgoingResponse;
  body: RequestBody;
  /** Null where no service is asked. */
  call: UpstreamCall | null = null;
  bytesReceived = 0;
  isDone = false;
  /** Null but for a request that an operator tries. */
  times: StepTimes | null = null;
  /** Policies are timed: the trace is sampled, or there are `times`. */
  #isTimed = false;
  /** Time has passed since the request came: something was waited for. */
  #wentAsync = false;
  /** Work of an action that nothing waits for any more. */
  #whenGone: GoneListener | null = null;
  /** How long the client of a gRPC call waits for all of it, or 0. */
  deadlineMs = 0;
  #attemptsBefore = 0;
  /** 1: it is; 0: it is not; -1: nobody has looked. */
  #isGrpcCall = -1;
  /** Null as long as no policy touches the body. */
  #requestWork: RequestBodyWork | null = null;
  #isBodyReplaced = false;
  isBodyUnpacked = false;
  isOnce = false;
  mayHaveActed = false;
  /** The client of a trusted proxy. */
  #behindProxy: Source | null = null;

  constructor(runtime: ExchangeHost, downstream: Downstream, incoming: RequestBuffers) {
    super(downstream.peer, incoming, runtime.clock.monotonicMs());
    this.runtime = runtime;
    this.live = runtime.live;
    this.live.active++;
    this.downstream = downstream;
    this.response = new OutgoingResponse(this);
    this.body = bodyOf(incoming.meaning.bodyLength, incoming.meaning.upgrade >= 0, incoming);
  }

  /** Where it goes, when that does not follow from its URL: a policy has said so, or a trusted proxy. */
  get elsewhere(): string | null {
    const isMoved = this.isTargetChanged || this.isQueryChanged;
    const { client } = this;
    if (!isMoved && client === null) return null;
    const host = client?.host ?? this.authority;
    const prefix = client === null ? '' : client.prefix;
    if (!isMoved && host === this.authority && prefix === '') return null;
    return `${host} ${prefix} ${isMoved ? `${this.upstreamPath}?${this.upstreamQuery ?? ''}` : ''}`;
  }

  sentUpstream(name: string): string | null {
    return sentField(this, this.incoming, this.upstreamChanges, name);
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
    const { peer } = this;
    if (peer.trusted) this.client = new ProxiedClient(peer, this.incoming.head, this.live.trusted);
    this.address = this.client === null ? peer.address : this.client.address;
    const { tracer, tries } = this.runtime;
    if (tracer !== null) {
      this.trace = beginTrace(this, this.incoming.head, tracer);
      this.#isTimed = this.trace.isSampled;
    }
    if (tries !== null) {
      this.times = tries.begin(this);
      if (this.times !== null) {
        this.#isTimed = true;
        this.#wentAsync = true;
      }
    }
    this.#advance(ARRIVAL);
  }

  /** `traceparent` of a policy's question to `host`; null where nothing is traced. */
  traceparentFor(host: string): string | null {
    return this.trace === null ? null : this.trace.ask(host);
  }

  /** Called for each attempt. */
  get observer(): ExchangeObserver | null {
    return this.times ?? this.trace;
  }

  // --- the way there ---------------------------------------------------------------------------------------------

  /** From phase to phase, falling through, until something responds or an asynchronous policy is waited for. */
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

  /** Runs the policies of one phase. True when the exchange must not go on now: it has a response, failed or waits. */
  #stoppedBy(hooks: readonly PolicyHook[], phase: number, first: number): boolean {
    const isTimed = this.#isTimed;
    for (let i = first; i < hooks.length; i++) {
      const hook = hooks[i]!;
      const outcome = isTimed ? this.#timed(hook, phase) : hook(this);
      if (outcome === undefined) continue;
      if (outcome instanceof Promise) {
        this.#wait(outcome, phase, i + 1, hook);
        return true;
      }
      this.#settle(outcome);
      return true;
    }
    return false;
  }

  /** A sampled trace has a span of a policy that computes for long, too. */
  #timed(hook: PolicyHook, phase: number): ReturnType<PolicyHook> {
    const sinceMs = this.runtime.clock.monotonicMs();
    const outcome = hook(this);
    if (!(outcome instanceof Promise)) tracePolicy(this, phase, hook, sinceMs, outcome instanceof Fault);
    return outcome;
  }

  #wait(promised: Promise<Outcome>, phase: number, nextHook: number, hook: PolicyHook): void {
    const readsRequestOnlyWhilePending = this.live.readOnlyWhilePending.has(hook);
    const wasShared = this.incoming.heldByPolicy;
    this.incoming.heldByPolicy = true;
    this.#wentAsync = true;
    const sinceMs = this.observer === null ? 0 : this.runtime.clock.monotonicMs();
    promised.then(
      (outcome) => {
        tracePolicy(this, phase, hook, sinceMs, outcome instanceof Fault);
        if (readsRequestOnlyWhilePending && !this.isDone) this.incoming.heldByPolicy = wasShared;
        if (this.isDone) return;
        if (outcome === undefined) this.#advance(phase, nextHook);
        else this.#settle(outcome);
        this.downstream.flush();
      },
      (error: unknown) => {
        tracePolicy(this, phase, hook, sinceMs, true);
        if (this.isDone) return;
        this.failWith(error);
        this.downstream.flush();
      },
    );
  }

  #settle(outcome: Reply | Fault): void {
    if (outcome instanceof Fault) this.#fail(outcome);
    else this.response.onReply(outcome);
  }

  #findRoute(): boolean {
    const sinceMs = this.times === null ? 0 : this.runtime.clock.monotonicMs();
    let outcome = findRoute(this, this.incoming);
    if ((outcome !== null || this.route!.isBuiltIn) && this.runtime.abuse.keepsOut(this))
      outcome = new Fault(FAULTS.banned);
    if (this.times !== null) timeRoute(this, sinceMs, outcome);
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
    const { response } = this;
    if (route.takesGrpcWeb) response.web = GrpcWebCall.of(this);
    this.#requestWork?.seal();
    const { nowMs } = this;
    const { action, transcode } = route.settings;
    if (action.kind !== 'service' || transcode !== undefined) this.mayHaveActed = true;
    const opened = route.action.open(this, response);
    if (opened instanceof Fault) this.#fail(opened);
    else if ('start' in opened) {
      response.source = opened;
      opened.start(nowMs);
    } else response.onReply(opened);
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
    this.writeForwardedFields(recorder);
    return recorder.block();
  }

  writeForwardedFields(out: HeadWriter): void {
    writeRequestFields(
      out,
      this,
      this.incoming,
      requestDrop(this.peer.trusted, true, this.trace !== null),
      this.upstreamChanges,
    );
  }

  /** An action looks at the request after it has returned: the request's memory is not used for another one. */
  keepRequest(): void {
    this.incoming.heldByPolicy = true;
    this.#wentAsync = true;
  }

  /** Time passes before the action has a response. */
  takesTime(): void {
    this.#wentAsync = true;
  }

  /** `listener` is called once when the exchange is over, before the request's memory is used for another one. */
  onGone(listener: GoneListener): void {
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
    return this.response.isEventStream;
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
    return !this.isOnce && this.incoming.head.find(IDEMPOTENCY_KEY) >= 0;
  }

  get upgrade(): string {
    const { head, meaning } = this.incoming;
    return meaning.upgrade < 0 ? '' : head.value(meaning.upgrade);
  }

  get bodyInHand(): boolean {
    return this.downstream.bodyInHand;
  }

  /** By its content type; asked several times of each call. */
  get isGrpcCall(): boolean {
    if (this.#isGrpcCall < 0) this.#isGrpcCall = isGrpcType(this.header('content-type')) ? 1 : 0;
    return this.#isGrpcCall === 1;
  }

  /**
   * The body may be gathered before a service is asked. Not what is here already, not a tunnel, not the messages of a
   * gRPC call, and not where the client waits for the service to say whether it wants the body (RFC 9110 §10.1.1).
   */
  get mayGatherBody(): boolean {
    const { meaning } = this.incoming;
    if (this.downstream.bodyWholeInHand || meaning.upgrade >= 0 || meaning.expectsContinue) return false;
    return !this.isGrpcCall;
  }

  writeHead(stream: UpstreamStream, attempt: Attempt): void {
    this.mayHaveActed = true;
    writeRequestHead(stream, attempt, this, this.incoming, this.upstreamChanges);
  }

  // --- responseHead and responseBody are in outgoing-response.ts -------------------------------------------

  /** Before the first response of a service: what a mirror gets is the request as it was sent. */
  onServiceResponds(): void {
    if (this.route!.mirror !== null) sendMirror(this);
  }

  get bytesSent(): number {
    return this.response.bytesSent;
  }

  filterResponseBody(filter: BodyFilter, options: ResponseFilterOptions = {}): void {
    this.response.filterBody(filter, options);
  }

  get responseLength(): number {
    return this.response.length;
  }

  setStatus(status: number): void {
    checkStatus(status);
    if (!this.response.isHeadSent) this.status = status;
  }

  onDownstreamDrain(): void {
    this.response.drained();
  }

  // --- what can go wrong -----------------------------------------------------------------------------------------

  onFault(fault: Fault): void {
    this.#fail(fault);
  }

  onDownstreamGone(): void {
    if (this.isDone) return;
    this.runtime.metrics.add('exchanges_aborted', 1);
    if (this.status !== 101) this.fault = new Fault(FAULTS.downstreamAborted);
    this.finish();
  }

  endForCredential(): void {
    if (this.isDone) return;
    const fault = new Fault(FAULTS.credentialOver);
    if (this.status === 101) {
      this.fault = fault;
      this.downstream.sendClose(NO_LONGER_ALLOWED);
      this.finish();
    } else this.#fail(fault);
    this.downstream.flush();
  }

  /** What a policy threw. */
  failWith(error: unknown): void {
    if (error instanceof Fault) this.#fail(error);
    else this.#failInternally(error);
  }

  #failInternally(error: unknown): void {
    this.runtime.log.error('an exchange failed inside the gateway', {
      request_id: this.requestId,
      route: this.routeId,
      error: messageOf(error),
      stack: stackOf(error),
    });
    this.#fail(new Fault(FAULTS.internal));
  }

  /** The one error exit: a proper response while there can be one, an abort when bytes of another are on their way. */
  #fail(fault: Fault): void {
    if (this.isDone) return;
    this.fault = fault;
    const { response } = this;
    if (response.isHeadSent) {
      if (response.endsBy(fault)) return;
      this.finish();
      this.downstream.abort();
      return;
    }
    response.drop();
    const contentType = this.header('content-type');
    if (isCallType(contentType)) {
      const reply = isGrpcWebType(contentType) ? grpcWebReply : grpcReply;
      response.onReply(reply(fault, contentType!, this.header('accept')));
      return;
    }
    const { errorFormat } = this.live.gateway;
    const wallMs = this.runtime.clock.wallMs();
    response.onReply(faultReply(fault, errorFormat, this.header('accept'), this.requestId, this.target.path, wallMs));
  }

  // --- finish ----------------------------------------------------------------------------------------------------

  /** The attempt whose response counts, or the latest. */
  get attempt(): Attempt | null {
    return this.call === null ? null : this.call.attempt;
  }

  finish(): void {
    if (this.isDone) return;
    this.isDone = true;
    if (this.response.isWatched) this.runtime.streams.leave(this);
    this.#whenGone?.onGone();
    this.response.abandon();
    this.#requestWork?.abandon(this.fault ?? new Fault(FAULTS.downstreamAborted));
    const { attempt, fault } = this;
    if (fault !== null && this.grpcStatus < 0 && isCallType(this.header('content-type')))
      this.grpcStatus = grpcCode(fault.kind.status);
    if (this.grpcStatus >= 0) this.logConstant(statusRecord(this.grpcStatus));
    const nowMs = attempt === null ? this.runtime.clock.monotonicMs() : attempt.nowMs();
    report(this, nowMs, this.logParts);
    if (this.#behindProxy !== null) this.runtime.sources.leave(this.#behindProxy);
    if (--this.live.active === 0 && this.live.retired) this.live.dispose();
    // The memory is another request's next. A policy that has kept this object must not read of that one.
    if (!this.incoming.heldByPolicy) {
      this.body.leaveMemory();
      this.leaveRequest();
    }
    this.downstream.exchangeDone(nowMs);
  }
}
