/**
 * A copy of a request for a shadow service, sent when the real answer has begun, so that it can delay nothing. The
 * answer is read and thrown away, faults are counted and forgotten. Only requests whose body is whole and small are
 * copied; the shadow's balancer, pool and limits are its own.
 */
import type { FaultKind } from '../../base/errors.ts';
import { Fault } from '../../base/errors.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import { FieldRecorder } from '../parser/field-recorder.ts';
import type { AttemptHandler, UpstreamInstance, UpstreamService } from './attempt.ts';
import { Attempt } from './attempt.ts';
import type { Downstream } from './downstream.ts';
import type { Exchange } from './exchange.ts';
import { PerConnectionCache } from './per-connection-cache.ts';
import type { RequestBuffers } from './request-buffers.ts';
import { authorityFor, writeRequestFields } from './request-head.ts';
import type { UpstreamStream } from './upstream-stream.ts';

export function sendMirror(exchange: Exchange, incoming: RequestBuffers): void {
  const mirror = exchange.route!.mirror!;
  const { body, runtime, live } = exchange;
  if (mirror.ratio < 1 && Math.random() >= mirror.ratio) return;
  const service = live.services.get(mirror.service);
  if (service === undefined || !body.complete || !body.isReplayable || body.received > mirror.maxBodyBytes) {
    runtime.metrics.add('mirror_dropped', 1);
    return;
  }
  const endpoint = service.pick(exchange, [], NOBODY_WAITS);
  if (endpoint === 'wait' || endpoint instanceof Fault) {
    if (endpoint === 'wait') service.cancelWait(NOBODY_WAITS);
    runtime.metrics.add('mirror_dropped', 1);
    return;
  }
  runtime.metrics.add('mirrored', 1);
  // Written now: when the connection is there the exchange may be gone.
  const recorder = new FieldRecorder();
  writeRequestFields(recorder, exchange, incoming, null);
  new MirrorAttempt(exchange, service, endpoint, recorder.block()).start();
}

const NOBODY_WAITS = { onAdmitted: () => {}, onRefused: () => {} };

/** Takes the answer's bytes and keeps none. */
const NOWHERE: Downstream = {
  cache: new PerConnectionCache(''),
  peer: { address: '', port: 0, secure: false, trusted: false, clientCertificate: null },
  sendInterim: () => {},
  sendContinue: () => {},
  startHead: () => new FieldRecorder(),
  endHead: () => {},
  endUpgrade: () => {},
  sendBody: () => {},
  sendEnd: () => {},
  flush: () => true,
  bodyInHand: false,
  holdsBytes: false,
  pauseBody: () => {},
  resumeBody: () => {},
  abort: () => {},
  exchangeDone: () => {},
};

class MirrorAttempt implements AttemptHandler {
  readonly downstream = NOWHERE;
  readonly #method: string;
  readonly #authority: string;
  readonly #path: string;
  readonly #query: string | null;
  readonly #fields: FieldBlock;
  readonly #length: number;
  readonly #body: readonly Uint8Array[];
  readonly #attempt: Attempt;

  constructor(exchange: Exchange, service: UpstreamService, endpoint: UpstreamInstance, fields: FieldBlock) {
    this.#method = exchange.method;
    this.#authority = authorityFor(exchange, endpoint);
    this.#path = exchange.upstreamPath;
    this.#query = exchange.target.hasQuery ? exchange.target.query : null;
    this.#fields = fields;
    this.#length = exchange.body.length;
    this.#body = [...exchange.body.kept];
    this.#attempt = new Attempt(this, service, endpoint, exchange.runtime.clock, exchange.runtime.wheel);
  }

  start(): void {
    this.#attempt.start();
  }

  writeHead(stream: UpstreamStream, attempt: Attempt): void {
    const { basePath } = attempt.endpoint.settings;
    stream.begin(attempt, this.#method, this.#authority, basePath, this.#path, this.#query).fields(this.#fields);
    stream.endHead(this.#length, false, '', false);
  }

  onAttemptReady(attempt: Attempt): void {
    for (const bytes of this.#body) attempt.sendBody(bytes, false);
    attempt.sendEnd(null);
  }

  mayResend(): boolean {
    return true;
  }

  onAttemptInterim(): void {}
  onAttemptHead(): void {}
  onAttemptBody(): void {}
  onAttemptDrain(): void {}

  onAttemptEnd(attempt: Attempt): void {
    attempt.release(true);
    this.#finish(attempt, null);
  }

  onAttemptUpgraded(attempt: Attempt): void {
    attempt.cancel();
    this.#finish(attempt, null);
  }

  onAttemptFault(attempt: Attempt, kind: FaultKind): void {
    this.#finish(attempt, kind);
  }

  #finish(attempt: Attempt, kind: FaultKind | null): void {
    attempt.service.finish(attempt.endpoint, attempt.status, kind, attempt.firstByteMs, false);
  }
}
