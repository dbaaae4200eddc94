/**
 * One attempt after another: picks an instance, begins an attempt, a second one beside a slow one (hedging), another one
 * after a failed one (retries), or turns to what the service falls back on; and reports each to its service once. What
 * an attempt brings, and what the caller gets, is told in exchange.ts, which is this with the story around it.
 */
import type { FaultKind } from '../../base/errors.ts';
import { Fault } from '../../base/errors.ts';
import type { AttemptWaiter } from '../balancer/service.ts';
import type { ActiveConfig } from '../config/active-config.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { Reply } from '../contract/policy.ts';
import type { MessageFraming } from '../parser/framing.ts';
import type { Head } from '../parser/head.ts';
import type { WorkerRuntime } from '../runtime.ts';
import type { AttemptHandler, UpstreamInstance, UpstreamService } from './attempt.ts';
import { Attempt } from './attempt.ts';
import { Context } from './context.ts';
import type { Downstream } from './downstream.ts';
import type { RequestBody } from './request-body.ts';
import { bodyOf } from './request-body.ts';
import type { RequestBuffers } from './request-buffers.ts';
import type { UpstreamStream } from './upstream-stream.ts';

const NO_ENDPOINTS: readonly UpstreamInstance[] = [];

export abstract class Tries extends Context implements AttemptHandler, AttemptWaiter {
  readonly downstream: Downstream;
  readonly runtime: WorkerRuntime;
  /** The configuration this exchange began with; a reload does not change it on the way. */
  readonly live: ActiveConfig;
  readonly body: RequestBody;
  service: UpstreamService | null = null;
  /** The attempt that answers, or the latest. */
  attempt: Attempt | null = null;
  attemptsMade = 0;
  isDone = false;
  /** The caller has the head of an answer, so there can be no other. */
  protected headSent = false;
  /** Time has passed since the request came: something was waited for. */
  protected wentAsync = false;
  #hedge: Attempt | null = null;
  #tried: readonly UpstreamInstance[] = NO_ENDPOINTS;
  /** Of the hedge or the next retry. */
  #timer: NodeJS.Timeout | null = null;

  constructor(runtime: WorkerRuntime, downstream: Downstream, incoming: RequestBuffers) {
    super(downstream.peer, incoming, runtime.clock.monotonicMs());
    this.runtime = runtime;
    this.live = runtime.live;
    this.live.active++;
    this.downstream = downstream;
    this.body = bodyOf(incoming.meaning.bodyLength, incoming.meaning.upgrade >= 0);
  }

  /** Until the first attempt hardly any time passes, unless something is waited for. */
  get nowMs(): number {
    return this.wentAsync || this.attemptsMade > 0 ? this.runtime.clock.monotonicMs() : this.startedMs;
  }

  protected abstract fail(fault: Fault, failed?: Attempt | null): void;
  protected abstract reply(reply: Reply): void;
  abstract writeHead(stream: UpstreamStream, attempt: Attempt): void;
  abstract onAttemptReady(attempt: Attempt): void;
  abstract onAttemptInterim(attempt: Attempt, head: Head): void;
  abstract onAttemptHead(attempt: Attempt, head: Head, meaning: MessageFraming): void;
  abstract onAttemptBody(attempt: Attempt, bytes: Buffer, start: number, end: number): void;
  abstract onAttemptEnd(attempt: Attempt, trailers: FieldBlock | null): void;
  abstract onAttemptUpgraded(attempt: Attempt, head: Head, rest: Buffer): void;
  abstract onAttemptFault(attempt: Attempt, kind: FaultKind, cause: string): void;
  abstract onAttemptDrain(attempt: Attempt): void;

  /** Tries the service: its next instance, its queue, or what it falls back on. */
  protected tryNext(): void {
    const service = this.service!;
    const { clock, wheel } = this.runtime;
    const { nowMs } = this;
    const endpoint = service.pick(this, this.#tried, this, nowMs);
    if (endpoint === 'wait') {
      this.wentAsync = true;
      return;
    }
    if (endpoint instanceof Fault) {
      this.#fallBack(endpoint);
      return;
    }
    this.attemptsMade++;
    const attempt = new Attempt(this, service, endpoint, clock, wheel, nowMs);
    this.attempt = attempt;
    attempt.start();
    if (service.hedges && this.attemptsMade === 1 && this.body.length === 0) this.#planHedge(service);
  }

  onAdmitted(): void {
    if (!this.isDone) this.tryNext();
    this.downstream.flush();
  }

  onRefused(fault: Fault): void {
    if (!this.isDone) this.#fallBack(fault);
    this.downstream.flush();
  }

  /** A second attempt beside a slow first one (hedging); whichever brings its head first counts. */
  #planHedge(service: UpstreamService): void {
    const delayMs = service.hedgeDelayMs(this.#retryRequest());
    if (delayMs < 0 || this.isDone) return;
    this.#timer = setTimeout(() => {
      if (this.isDone || this.headSent || this.#hedge !== null || this.attempt === null || !service.takeHedge()) return;
      const endpoint = service.pick(this, [this.attempt.endpoint], this);
      if (endpoint === 'wait') service.cancelWait(this);
      if (endpoint === 'wait' || endpoint instanceof Fault) return;
      this.runtime.metrics.add('hedges', 1);
      this.attemptsMade++;
      this.#hedge = new Attempt(this, service, endpoint, this.runtime.clock, this.runtime.wheel);
      this.#hedge.start();
    }, delayMs);
  }

  /** This attempt answers; the other one, if there is one, is given up. */
  protected choose(attempt: Attempt): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const hedge = this.#hedge;
    if (hedge === null) return;
    const loser = hedge === attempt ? this.attempt! : hedge;
    this.attempt = attempt;
    this.#hedge = null;
    this.#drop(loser);
  }

  /** One of two side by side (hedging) failed: true when the other one is left, and may still answer. */
  protected leftToOther(attempt: Attempt, kind: FaultKind | null): boolean {
    const other = attempt === this.#hedge ? this.attempt : this.#hedge;
    if (other === null) return false;
    this.count(attempt, kind, false);
    this.#tried = [...this.#tried, attempt.endpoint];
    this.attempt = other;
    this.#hedge = null;
    return true;
  }

  /** Tries again if the service says that it may and should. */
  protected retried(attempt: Attempt, kind: FaultKind | null, head: Head | null): boolean {
    const service = this.service!;
    const status = head?.status ?? 0;
    const retryAfter = head === null ? -1 : Number(head.valueOf('retry-after') ?? -1);
    const delayMs = service.retryDelayMs(
      this.#retryRequest(),
      this.attemptsMade,
      kind,
      status,
      attempt.reusedConnection,
      Number.isFinite(retryAfter) ? retryAfter : -1,
    );
    if (delayMs < 0) return false;
    this.count(attempt, kind, false);
    attempt.cancel();
    this.runtime.metrics.add('retries', 1);
    this.#tried = [...this.#tried, attempt.endpoint];
    this.attempt = null;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (delayMs === 0) {
      this.tryNext();
    } else {
      this.#timer = setTimeout(() => {
        this.#timer = null;
        if (!this.isDone) this.tryNext();
      }, delayMs);
    }
    return true;
  }

  #retryRequest(): { method: string; hasIdempotencyKey: boolean; bodyReplayable: boolean } {
    return {
      method: this.method,
      hasIdempotencyKey: this.header('idempotency-key') !== null,
      bodyReplayable: this.body.isReplayable,
    };
  }

  mayResend(): boolean {
    const { methods } = this.service!.settings.retries;
    if (!this.body.isReplayable || !(methods.includes(this.method) || this.header('idempotency-key') !== null))
      return false;
    this.runtime.metrics.add('stale_reuses', 1);
    return true;
  }

  /** No instance could be picked: the service's fallback, if it has one, answers instead. */
  #fallBack(fault: Fault): void {
    const fallback = this.service?.fallbackFor(fault) ?? null;
    if (fallback?.kind === 'respond') {
      this.reply(fallback.response);
    } else if (
      fallback?.kind === 'service' &&
      this.live.services.has(fallback.service) &&
      this.service!.settings.name !== fallback.service
    ) {
      this.service = this.live.services.get(fallback.service)!;
      this.#tried = NO_ENDPOINTS;
      this.tryNext();
    } else {
      this.fail(fault);
    }
  }

  /** Nothing is tried any more: what is under way is given up, what answered is counted. */
  protected endTries(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.attempt === null) this.service?.cancelWait(this);
    else this.#drop(this.attempt);
    if (this.#hedge !== null) this.#drop(this.#hedge);
  }

  /** Ends an attempt: one that answered counts as such, one that is given up counts for nothing. */
  #drop(attempt: Attempt): void {
    this.count(attempt, null, attempt !== this.attempt || attempt.status === 0 || this.fault !== null);
    if (this.status === 101) attempt.endTunnel();
    else attempt.cancel();
  }

  protected count(attempt: Attempt, kind: FaultKind | null, cancelled: boolean): void {
    if (attempt.counted) return;
    attempt.counted = true;
    const { settings, isRetired } = attempt.endpoint;
    if (!cancelled && !isRetired)
      this.runtime.metrics.instance(settings.slot, kind === null ? attempt.status : 0, attempt.firstByteMs / 1000);
    // The balancer learns slowness also from what was given up, such as a hedge's loser.
    const nowMs = attempt.nowMs();
    const tookMs = kind === null && !cancelled ? attempt.firstByteMs : nowMs - attempt.startedMs;
    attempt.service.finish(attempt.endpoint, attempt.status, kind, tookMs, cancelled, nowMs);
  }
}
