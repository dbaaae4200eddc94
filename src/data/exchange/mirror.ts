/**
 * A copy of a request for a shadow service, sent when the real answer has begun, so that it can delay nothing. The
 * answer is read and thrown away, faults are counted and forgotten. Only requests whose body is whole and small are
 * copied; the shadow's balancer, pool and limits are its own.
 */
import type { FaultKind } from '../../base/errors.ts';
import { Fault } from '../../base/errors.ts';
import type { FieldWriter } from '../contract/field-writer.ts';
import { PerConnectionCache } from '../http1/per-connection-cache.ts';
import { writeUpstreamHead } from '../http1/upstream-head.ts';
import { TextSink } from '../wire/text-sink.ts';
import type { AttemptHandler, UpstreamInstance, UpstreamService } from './attempt.ts';
import { Attempt } from './attempt.ts';
import type { Downstream } from './downstream.ts';
import type { Exchange } from './exchange.ts';
import type { RequestBuffers } from './request-buffers.ts';

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
  const chunked = body.isChunked;
  // Written now: when the connection is there the exchange may be gone.
  const head = new TextSink();
  writeUpstreamHead(head, exchange, incoming, endpoint, null, '');
  new MirrorAttempt(exchange, service, endpoint, head.whole, [...body.kept], chunked).start();
}

const NOBODY_WAITS = { onAdmitted: () => {}, onRefused: () => {} };

/** Takes the answer's bytes and keeps none. */
const NOWHERE: Downstream = {
  texts: new PerConnectionCache(),
  peer: { address: '', port: 0, secure: false, trusted: false, clientCertificate: null },
  sendInterim: () => {},
  startHead: () => new TextSink(),
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
  readonly method: string;
  readonly #head: string;
  readonly #body: readonly Uint8Array[];
  readonly #chunked: boolean;
  readonly #attempt: Attempt;

  constructor(
    exchange: Exchange,
    service: UpstreamService,
    endpoint: UpstreamInstance,
    head: string,
    body: readonly Uint8Array[],
    chunked: boolean,
  ) {
    this.method = exchange.method;
    this.#head = head;
    this.#body = body;
    this.#chunked = chunked;
    this.#attempt = new Attempt(this, service, endpoint, exchange.runtime.clock, exchange.runtime.wheel);
  }

  start(): void {
    this.#attempt.start();
  }

  writeHead(out: FieldWriter): void {
    out.text(this.#head);
  }

  onAttemptReady(attempt: Attempt): void {
    for (const bytes of this.#body) attempt.sendBody(bytes, this.#chunked);
    attempt.sendEnd(this.#chunked, '');
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
