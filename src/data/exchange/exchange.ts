/**
 * THE STORY: one request from its head to the last byte of its answer. Read `#advance` for the way there, then the
 * callbacks below it in order: an attempt asks for the body, brings a head, brings the answer, ends. There is one error
 * exit, `fail`. How often and where to try is in tries.ts, what happens in each try in attempt.ts; everything about
 * HTTP/1.1 is behind `Downstream` and `Session`.
 *
 *   accept -> arrival -> route -> authenticate -> authorize -> limit -> requestHead -> requestBody
 *          -> [pick -> connect -> send -> upstreamHead]* -> responseHead -> responseBody -> finish
 */
import type { FaultKind } from '../../base/errors.ts';
import { FAULTS, Fault, messageOf } from '../../base/errors.ts';
import { Deadline } from '../../base/timers.ts';
import type { CompiledRoute } from '../config/active-config.ts';
import { checkField, type FieldBlock } from '../contract/field-block.ts';
import type { Outcome, PolicyHook, Reply } from '../contract/policy.ts';
import type { MirrorSettings, RetrySettings } from '../contract/snapshot.ts';
import type { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import { passingTrailers } from '../parser/trailers.ts';
import type { AccessLog } from '../response/access-log.ts';
import { faultReply } from '../response/problem.ts';
import type { WorkerRuntime } from '../runtime.ts';
import type { Attempt } from './attempt.ts';
import type { Downstream, DownstreamHandler } from './downstream.ts';
import { FieldChanges } from './field-changes.ts';
import { findRoute } from './find-route.ts';
import { callerAddress } from './forwarding.ts';
import { sendMirror } from './mirror.ts';
import { report, writeRecord } from './report.ts';
import type { RequestBuffers } from './request-buffers.ts';
import { writeRequestHead } from './request-head.ts';
import { writeResponseFields } from './response-head.ts';
import { tooLarge } from './route-faults.ts';
import { Tries } from './tries.ts';
import type { UpstreamStream } from './upstream-stream.ts';

/** Where `#advance` goes on after an asynchronous policy. */
const ARRIVAL = 0;
const ROUTE = 1;
const AUTHENTICATE = 2;
const AUTHORIZE = 3;
const LIMIT = 4;
const REQUEST_HEAD = 5;
const ACT = 6;

export class Exchange extends Tries implements DownstreamHandler {
  /** The path as the upstream gets it, before an instance's own prefix. */
  upstreamPath = '';
  bytesSent = 0;
  #requestComplete: boolean;
  #deadline: Deadline | null = null;

  constructor(runtime: WorkerRuntime, downstream: Downstream, incoming: RequestBuffers) {
    super(runtime, downstream, incoming);
    this.#requestComplete = this.body.complete;
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
    this.wentAsync = true;
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
    if (outcome instanceof Fault) this.fail(outcome);
    else this.reply(outcome);
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
      this.reply(route.answer(this));
      return;
    }
    const path = route.rewrite === null ? this.target.path : route.rewrite(this.target.path, this.matched);
    if (path === null) {
      this.fail(new Fault(FAULTS.unsafePath, { detail: 'rewritten, the path could be read in two ways' }));
      return;
    }
    this.upstreamPath = path;
    const service = route.chooseService!(this);
    this.service = service;
    const { retries, timeouts } = service.settings;
    if (this.body.length !== 0) this.#allowReplay(retries, route.mirror);
    if (timeouts.totalMs > 0) {
      this.#deadline = new Deadline(this, 0);
      this.runtime.wheel.set(this.#deadline, timeouts.totalMs);
    }
    this.tryNext();
  }

  /** What has been sent is kept only where it may be sent again: almost never for a POST. */
  #allowReplay({ attempts, methods, maxReplayBytes }: RetrySettings, mirror: MirrorSettings | null): void {
    const mayRepeat = attempts > 0 && (methods.includes(this.method) || this.header('idempotency-key') !== null);
    this.body.allowReplay(Math.max(mayRepeat ? maxReplayBytes : 0, mirror?.maxBodyBytes ?? 0));
  }

  writeHead(stream: UpstreamStream, attempt: Attempt): void {
    writeRequestHead(stream, attempt, this, this.incoming, attempt.endpoint, this.upstreamChanges);
  }

  onAttemptReady(attempt: Attempt): void {
    if (this.body.length === 0) {
      attempt.sendEnd(null);
      return;
    }
    for (const bytes of this.body.kept) attempt.sendBody(bytes, false);
    this.body.handedOver();
    if (this.#requestComplete) attempt.sendEnd(this.body.trailers);
    else this.downstream.resumeBody();
  }

  // --- requestBody -----------------------------------------------------------------------------------------------

  onRequestBody(bytes: Uint8Array, isVolatile: boolean): void {
    const attempt = this.attempt;
    if (this.status === 101) {
      this.body.received += bytes.length;
      attempt?.sendBody(bytes, isVolatile);
      return;
    }
    const limit = this.route?.settings.maxRequestBytes ?? Number.POSITIVE_INFINITY;
    if (this.body.received + bytes.length > limit) {
      this.body.received += bytes.length;
      this.fail(tooLarge(limit));
      return;
    }
    const sending = attempt?.isConnected === true;
    this.body.take(bytes, sending, isVolatile);
    if (!sending) {
      this.downstream.pauseBody();
      return;
    }
    attempt.sendBody(bytes, isVolatile);
  }

  onRequestRead(): void {
    const attempt = this.attempt;
    if (attempt?.isConnected !== true || attempt.flush()) return;
    if (!this.#requestComplete || this.status === 101) this.downstream.pauseBody();
  }

  get holdsRequestBytes(): boolean {
    return this.body.holdsBytes || this.attempt?.holdsBytes === true;
  }

  onRequestEnd(trailers: Head | null): void {
    if (this.#requestComplete) return;
    this.#requestComplete = true;
    this.body.complete = true;
    this.body.trailers = passingTrailers(trailers);
    const attempt = this.attempt;
    if (attempt?.isConnected !== true) return;
    attempt.sendEnd(this.body.trailers);
  }

  onAttemptDrain(attempt: Attempt): void {
    if (attempt === this.attempt && !this.isDone) this.downstream.resumeBody();
  }

  onRequestFault(fault: Fault): void {
    this.fail(fault);
    this.downstream.flush();
  }

  // --- upstreamHead ----------------------------------------------------------------------------------------------

  onAttemptInterim(_attempt: Attempt, head: Head): void {
    if (!this.headSent) this.downstream.sendInterim(head);
  }

  onAttemptHead(attempt: Attempt, head: Head, meaning: MessageFraming): void {
    if (this.service!.settings.retries.statuses.includes(head.status)) {
      if (this.leftToOther(attempt, null)) {
        attempt.cancel();
        return;
      }
      if (this.retried(attempt, null, head)) return;
    }
    this.choose(attempt);
    if (this.route!.mirror !== null) sendMirror(this, this.incoming);
    this.#sendAnswerHead(attempt, head, meaning);
  }

  // --- responseHead, responseBody --------------------------------------------------------------------------------

  #sendAnswerHead(attempt: Attempt, head: Head, meaning: MessageFraming): void {
    this.status = head.status;
    try {
      const cookie = attempt.service.stickyCookieFor(attempt.endpoint, this);
      if (cookie !== null) this.addResponseHeader('Set-Cookie', cookie);
      this.responseFields = head;
      this.#decorate();
      this.responseFields = null;
      this.headSent = true;
      const out = this.downstream.startHead(head.status, head);
      writeResponseFields(out, this, head, meaning, this.responseChanges);
      this.downstream.endHead(meaning.bodyLength, false);
    } catch (error) {
      this.#failInternally(error);
    }
  }

  #decorate(): void {
    const hooks = this.route?.responseHead;
    if (hooks === undefined) return;
    for (let i = 0; i < hooks.length; i++) hooks[i]!(this);
  }

  onAttemptBody(_attempt: Attempt, bytes: Buffer, start: number, end: number): void {
    this.bytesSent += end - start;
    this.downstream.sendBody(bytes, start, end);
  }

  onDownstreamDrain(): void {
    this.attempt?.resume();
  }

  onAttemptEnd(attempt: Attempt, trailers: FieldBlock | null): void {
    this.downstream.sendEnd(trailers);
    attempt.release(this.#requestComplete);
    this.#finish();
  }

  onAttemptUpgraded(attempt: Attempt, head: Head, rest: Buffer): void {
    const upgrade = head.valueOf('upgrade') ?? '';
    const { meaning } = this.incoming;
    // RFC 9110 §7.8: only to what the request named, and with a field that says so.
    const asked = meaning.upgrade < 0 ? '' : this.incoming.head.value(meaning.upgrade);
    if (asked === '' || upgrade.toLowerCase() !== asked.toLowerCase()) {
      attempt.cancel();
      this.onAttemptFault(attempt, FAULTS.upstreamMalformed, 'switched to a protocol that was not asked for');
      return;
    }
    this.choose(attempt);
    this.status = 101;
    this.headSent = true;
    if (this.#deadline !== null) this.runtime.wheel.clear(this.#deadline);
    this.runtime.metrics.add('tunnels_opened', 1);
    const out = this.downstream.startHead(101, null);
    writeResponseFields(out, this, head, null, this.responseChanges);
    this.downstream.endUpgrade(upgrade);
    if (rest.length > 0) this.onAttemptBody(attempt, rest, 0, rest.length);
  }

  // --- what can go wrong -----------------------------------------------------------------------------------------

  onAttemptFault(attempt: Attempt, kind: FaultKind, cause: string): void {
    if (this.isDone) return;
    if (!this.headSent && (this.leftToOther(attempt, kind) || this.retried(attempt, kind, null))) return;
    // Those of the connection pool say that there is too much to do at the moment.
    const more = kind.status === 503 ? { cause, retryAfterSeconds: 1 } : { cause };
    this.fail(new Fault(kind, more), attempt);
    this.downstream.flush();
  }

  onDeadline(): void {
    const attempt = this.attempt;
    attempt?.cancel();
    this.fail(new Fault(FAULTS.totalTimeout), attempt);
    this.downstream.flush();
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
    this.fail(new Fault(FAULTS.internal));
  }

  /** The one error exit: an honest answer while there can be one, an abort when bytes of another are on their way. */
  protected fail(fault: Fault, failed: Attempt | null = null): void {
    if (this.isDone) return;
    this.fault = fault;
    if (failed !== null) {
      this.count(failed, fault.kind, false);
      this.attempt = null;
    }
    if (this.headSent) {
      this.#finish();
      this.downstream.abort();
      return;
    }
    const { errorFormat } = this.live.gateway;
    const wallMs = this.runtime.clock.wallMs();
    this.reply(faultReply(fault, errorFormat, this.header('accept'), this.requestId, this.target.path, wallMs));
  }

  /** A response made by a policy, by the route itself or of a fault. */
  protected reply({ status, headers, body }: Reply): void {
    for (const name in headers) checkField(name, headers[name]!);
    this.status = status;
    const bytes =
      typeof body === 'string' ? Buffer.from(body, 'utf8') : Buffer.from(body.buffer, body.byteOffset, body.length);
    try {
      this.#decorate();
    } catch (error) {
      // The answer goes out undecorated: it may be the one that says that a policy is broken.
      this.runtime.log.error('a responseHead policy failed', {
        request_id: this.requestId,
        route: this.routeId,
        error: messageOf(error),
      });
    }
    this.headSent = true;
    const out = this.downstream.startHead(status, null);
    const changes = this.responseChanges;
    for (const name in headers) if (changes?.removes(name) !== true) out.field(name, headers[name]!);
    writeResponseFields(out, this, null, null, changes);
    this.downstream.endHead(bytes.length, true);
    this.downstream.sendBody(bytes, 0, bytes.length);
    this.bytesSent += bytes.length;
    this.downstream.sendEnd(null);
    this.#finish();
  }

  // --- finish ----------------------------------------------------------------------------------------------------

  #finish(): void {
    if (this.isDone) return;
    this.isDone = true;
    if (this.#deadline !== null) this.runtime.wheel.remove(this.#deadline);
    this.endTries();
    const nowMs = this.attempt === null ? this.runtime.clock.monotonicMs() : this.attempt.nowMs();
    report(this, nowMs);
    if (--this.live.active === 0 && this.live.retired) this.live.dispose();
    this.downstream.exchangeDone(nowMs);
  }

  writeRecord(log: AccessLog, status: number, elapsedMs: number): void {
    writeRecord(log, this, status, elapsedMs, this.logParts);
  }
}
