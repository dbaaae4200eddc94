/**
 * THE STORY: one request from its head to the last byte of its response. Read `#advance` for the way there, then the
 * methods below it in order: the body comes, a response comes, all of it is reported. There is one error exit, `#fail`.
 * Which instance responds, and how often one is asked, is in upstream-call.ts.
 *
 *   accept -> arrival -> route -> authenticate -> authorize -> limit -> requestHead -> requestBody
 *          -> [pick -> connect -> send -> upstreamHead]* -> responseHead -> responseBody -> finish
 */
import { FAULTS, Fault, messageOf } from '../../base/errors.ts';
import type { ActiveConfig, CompiledRoute } from '../config/active-config.ts';
import { checkField, type FieldBlock } from '../contract/field-block.ts';
import type { Outcome, PolicyHook, Reply } from '../contract/policy.ts';
import type { MirrorSettings, ServiceSettings } from '../contract/snapshot.ts';
import { IDEMPOTENCY_KEY } from '../parser/field-names.ts';
import { FieldRecorder } from '../parser/field-recorder.ts';
import { type MessageFraming, UNKNOWN_LENGTH } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import { passingTrailers } from '../parser/trailers.ts';
import { isRepeatable } from '../resilience/may-resend.ts';
import { faultReply } from '../response/problem.ts';
import type { WorkerRuntime } from '../runtime.ts';
import { actionFault } from './aggregate-call.ts';
import type { Attempt } from './attempt.ts';
import { BodyReading } from './body-reading.ts';
import { Context } from './context.ts';
import type { Downstream, DownstreamHandler } from './downstream.ts';
import { FieldChanges } from './field-changes.ts';
import { findRoute } from './find-route.ts';
import { callerAddress, REQUEST_DROP_LENGTH } from './forwarding.ts';
import { faultTrailers, grpcCode, grpcReply, isGrpcType, NO_STATUS, readCode, readTimeout } from './grpc.ts';
import { sendMirror } from './mirror.ts';
import type { OutgoingRequest } from './outgoing-request.ts';
import { report } from './report.ts';
import type { RequestBody } from './request-body.ts';
import { bodyOf } from './request-body.ts';
import type { RequestBuffers } from './request-buffers.ts';
import { writeRequestFields, writeRequestHead } from './request-head.ts';
import { writeResponseFields } from './response-head.ts';
import type { ResponseHandler } from './response-source.ts';
import { tooLarge } from './route-faults.ts';
import { UpstreamCall } from './upstream-call.ts';
import type { BytesHolder, UpstreamStream } from './upstream-stream.ts';

/** Where `#advance` goes on after an asynchronous policy. */
const ARRIVAL = 0;
const ROUTE = 1;
const AUTHENTICATE = 2;
const AUTHORIZE = 3;
const LIMIT = 4;
const REQUEST_HEAD = 5;
const ACT = 6;

export class Exchange extends Context implements DownstreamHandler, ResponseHandler, OutgoingRequest {
  readonly runtime: WorkerRuntime;
  readonly downstream: Downstream;
  /** The configuration this exchange began with; a reload does not change it on the way. */
  readonly live: ActiveConfig;
  readonly body: RequestBody;
  /** Null where no service is asked. */
  call: UpstreamCall | null = null;
  /** The path as the upstream gets it, before an instance's own prefix. */
  upstreamPath = '';
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
  /** The response of a gRPC call is under way, whose status comes behind it. */
  #endsByStatus = false;
  /** A policy waits for the body. */
  #reading: BodyReading | null = null;

  constructor(runtime: WorkerRuntime, downstream: Downstream, incoming: RequestBuffers) {
    super(downstream.peer, incoming, runtime.clock.monotonicMs());
    this.runtime = runtime;
    this.live = runtime.live;
    this.live.active++;
    this.downstream = downstream;
    this.body = bodyOf(incoming.meaning.bodyLength, incoming.meaning.upgrade >= 0);
  }

  /** Until a service is asked hardly any time passes, unless something is waited for. */
  get nowMs(): number {
    return this.#wentAsync || this.call !== null ? this.runtime.clock.monotonicMs() : this.startedMs;
  }

  /** `accept` is over: the head is whole and valid. */
  begin(): void {
    this.nameRequest(this.runtime.requestIds);
    this.address = callerAddress(this.peer, this.incoming.head, this.live.trusted);
    this.#advance(ARRIVAL);
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
    promised.then(
      (outcome) => {
        if (readsRequestOnlyWhilePending && !this.isDone) this.incoming.heldByPolicy = wasShared;
        if (this.isDone) return;
        if (outcome === undefined) this.#advance(phase, nextHook);
        else this.#settle(outcome);
        this.downstream.flush();
      },
      (error: unknown) => {
        if (this.isDone) return;
        this.#failInternally(error);
        this.downstream.flush();
      },
    );
  }

  #settle(outcome: Reply | Fault): void {
    if (outcome instanceof Fault) this.#fail(outcome);
    else this.onReply(outcome);
  }

  #findRoute(): boolean {
    const outcome = findRoute(this, this.incoming);
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
    if (route.answer !== null) {
      this.onReply(route.answer(this));
      return;
    }
    if (route.compose !== null) {
      this.#wait(route.compose(this).catch(actionFault), ACT, 0, false);
      return;
    }
    const path = route.rewrite === null ? this.target.path : route.rewrite(this.target.path, this.matched);
    if (path === null) {
      this.#fail(new Fault(FAULTS.unsafePath, { detail: 'rewritten, the path could be read in two ways' }));
      return;
    }
    this.upstreamPath = path;
    const service = route.chooseService!(this);
    if (this.body.length !== 0) this.#allowReplay(service.settings, route.mirror);
    if (service.settings.protocol === 'grpc') this.#readDeadline();
    const { nowMs } = this;
    this.call = new UpstreamCall(this.runtime, this.live, service, this, this.body, this);
    this.call.start(nowMs);
  }

  /** The client's own deadline holds here too; what is left of it goes on in its place (request-head.ts). */
  #readDeadline(): void {
    const timeoutMs = readTimeout(this.header('grpc-timeout'));
    if (timeoutMs < 0) return;
    this.deadlineMs = Math.max(1, timeoutMs);
    this.removeUpstreamHeader('grpc-timeout');
  }

  /** Of `deadlineMs`. */
  get remainingMs(): number {
    return this.deadlineMs - (this.runtime.clock.monotonicMs() - this.startedMs);
  }

  /**
   * What has been sent is kept only where it may be sent again: over HTTP/1.1 almost never for a POST, over HTTP/2 always,
   * since an instance says whether it has processed it (RFC 9113 §8.7).
   */
  #allowReplay({ protocol, retries }: ServiceSettings, mirror: MirrorSettings | null): void {
    const mayRepeat = retries.attempts > 0 && (protocol !== 'h1' || isRepeatable(retries, this));
    this.body.allowReplay(Math.max(mayRepeat ? retries.maxReplayBytes : 0, mirror?.maxBodyBytes ?? 0));
  }

  /** The fields of a request to any service on behalf of this one: the client's, forwarding, identity, request id. */
  forwardedFields(): FieldBlock {
    const recorder = new FieldRecorder();
    writeRequestFields(recorder, this, this.incoming, REQUEST_DROP_LENGTH, this.upstreamChanges);
    return recorder.block();
  }

  /** Called once if the exchange ends before its action has a response. */
  onGone(listener: () => void): void {
    this.#whenGone = listener;
  }

  // --- requestBody -----------------------------------------------------------------------------------------------

  /** See PolicyContext: the body waits here as it does while no service takes it, but is asked for. */
  readBody(maxBytes: number): Promise<Buffer> {
    const reading = new BodyReading(maxBytes);
    if (!reading.fits(this.body.length)) return reading.promise;
    if (this.body.complete) reading.complete(this.body);
    else {
      this.#reading = reading;
      this.downstream.sendContinue();
      this.downstream.resumeBody();
    }
    return reading.promise;
  }

  onRequestBody(bytes: Uint8Array, isVolatile: boolean): void {
    const { body } = this;
    if (this.status === 101) {
      body.received += bytes.length;
      body.consumer?.onBodyBytes(bytes, isVolatile);
      return;
    }
    const limit = this.route?.settings.maxRequestBytes ?? Number.POSITIVE_INFINITY;
    if (body.received + bytes.length > limit) {
      body.received += bytes.length;
      this.#fail(tooLarge(limit));
      return;
    }
    if (body.take(bytes, isVolatile)) return;
    // Nobody takes it yet; a policy that waits for the whole of it still wants it to come.
    if (this.#reading?.fits(body.received) !== true) this.downstream.pauseBody();
  }

  onRequestRead(): void {
    const { body } = this;
    if (!body.flush() && (!body.complete || this.status === 101)) this.downstream.pauseBody();
  }

  get holdsRequestBytes(): boolean {
    return this.body.holdsBytes;
  }

  onRequestEnd(trailers: Head | null): void {
    if (this.body.complete) return;
    this.body.end(passingTrailers(trailers));
    this.#reading?.complete(this.body);
  }

  onRequestDrain(): void {
    if (!this.isDone) this.downstream.resumeBody();
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
    if (this.call?.service.settings.protocol === 'grpc') this.#onGrpcHead(head, framing);
    try {
      const cookie = attempt === null ? null : attempt.service.stickyCookieFor(attempt.endpoint, this);
      if (cookie !== null) this.addResponseHeader('Set-Cookie', cookie);
      this.responseFields = head;
      this.#decorate();
      this.responseFields = null;
      this.#headSent = true;
      const out = this.downstream.startHead(head.status, head);
      writeResponseFields(out, this, head, framing, this.responseChanges);
      this.downstream.endHead(framing.bodyLength, false);
    } catch (error) {
      this.#failInternally(error);
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

  onUpgraded(head: Head, protocol: string, rest: Buffer): void {
    this.status = 101;
    this.#headSent = true;
    this.runtime.metrics.add('tunnels_opened', 1);
    const out = this.downstream.startHead(101, null);
    writeResponseFields(out, this, head, null, this.responseChanges);
    this.downstream.endUpgrade(protocol);
    if (rest.length > 0) this.onBody(rest, 0, rest.length);
  }

  #decorate(): void {
    const hooks = this.route === null ? this.live.unrouted : this.route.responseHead;
    for (let i = 0; i < hooks.length; i++) hooks[i]!(this);
  }

  /** A response made here: by a policy, by the route itself, by a fallback or of a fault. */
  onReply({ status, headers, body }: Reply): void {
    for (const name in headers) checkField(name, headers[name]!);
    this.status = status;
    const bytes =
      typeof body === 'string' ? Buffer.from(body, 'utf8') : Buffer.from(body.buffer, body.byteOffset, body.length);
    try {
      this.#decorate();
    } catch (error) {
      // The response goes out undecorated: it may be the one that says that a policy is broken.
      this.runtime.log.error('a responseHead policy failed', {
        request_id: this.requestId,
        route: this.routeId,
        error: messageOf(error),
      });
    }
    this.#headSent = true;
    const changes = this.responseChanges;
    const out = this.downstream.startHead(status, null);
    for (const name in headers) if (changes?.removes(name) !== true) out.field(name, headers[name]!);
    writeResponseFields(out, this, null, null, changes);
    this.downstream.endHead(bytes.length, true);
    this.onBody(bytes, 0, bytes.length);
    this.onEnd(null);
  }

  // --- responseBody ----------------------------------------------------------------------------------------------

  onBody(bytes: Buffer, start: number, end: number): void {
    this.bytesSent += end - start;
    this.downstream.sendBody(bytes, start, end);
  }

  flush(): boolean {
    return this.downstream.flush();
  }

  get holder(): BytesHolder | null {
    return this.downstream.holdsBytes ? this.downstream : null;
  }

  onDownstreamDrain(): void {
    this.call?.resume();
  }

  onEnd(trailers: FieldBlock | null): void {
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
        this.onEnd(faultTrailers(fault.kind));
        return;
      }
      this.#finish();
      this.downstream.abort();
      return;
    }
    // What a service still does is of no use; its connection is not either.
    this.call?.abandon();
    if (isGrpcType(this.header('content-type'))) {
      this.logField('grpc_status', grpcCode(fault.kind.status));
      this.onReply(grpcReply(fault.kind, fault.detail, fault.headers ?? {}));
      return;
    }
    const { errorFormat } = this.live.gateway;
    const wallMs = this.runtime.clock.wallMs();
    this.onReply(faultReply(fault, errorFormat, this.header('accept'), this.requestId, this.target.path, wallMs));
  }

  // --- finish ----------------------------------------------------------------------------------------------------

  /** The attempt whose response counts, or the latest. */
  get attempt(): Attempt | null {
    return this.call === null ? null : this.call.attempt;
  }

  #finish(): void {
    if (this.isDone) return;
    this.isDone = true;
    this.#whenGone?.();
    this.call?.abandon();
    const { attempt } = this;
    const nowMs = attempt === null ? this.runtime.clock.monotonicMs() : attempt.nowMs();
    report(this, nowMs, this.logParts);
    if (--this.live.active === 0 && this.live.retired) this.live.dispose();
    this.downstream.exchangeDone(nowMs);
  }
}
