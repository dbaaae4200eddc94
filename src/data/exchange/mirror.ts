/**
 * A copy of a request for a shadow service, sent when the real response has begun, so that it can delay nothing. Its
 * response is read and thrown away, faults are counted and forgotten. Only requests whose body is whole and small are
 * copied; the shadow's balancer, pool and limits are its own. It has one attempt, without retry and queue; where the
 * kept connection of that turns out to be closed, a request that may be sent again (may-resend.ts) goes over a new one.
 * A shadow that hangs holds as many copies as it has connections, and from then on gets none.
 */

import type { Fault } from '../../base/errors.ts';
import type { MetricsBank } from '../../base/metrics.ts';
import type { Exchange } from './exchange.ts';
import { MadeRequest } from './outgoing-request.ts';
import { RequestBody } from './request-body.ts';
import { authorityFor } from './request-head.ts';
import type { ResponseHandler } from './response-source.ts';
import { UpstreamCall } from './upstream-call.ts';

export function sendMirror(exchange: Exchange): void {
  const mirror = exchange.route!.mirror!;
  const { body, runtime, live } = exchange;
  if (mirror.ratio < 1 && runtime.random() >= mirror.ratio) return;
  const service = live.services.get(mirror.service);
  if (service === undefined || !body.complete || !body.isReplayable || body.received > mirror.maxBodyBytes) {
    runtime.metrics.add('mirror_dropped', 1);
    return;
  }
  const copy = RequestBody.whole([...body.kept]);
  const request = new MadeRequest({
    method: exchange.method,
    path: exchange.isAllStripped ? '' : exchange.upstreamPath,
    query: exchange.upstreamQuery,
    // Written now: when a connection is there the exchange may be gone. What policies keep from the service, such as
    // credentials that `auth` took off, is kept from the shadow too.
    fields: exchange.forwardedFields(),
    bodyLength: copy.length,
    authority: authorityFor(exchange, service),
    address: exchange.address,
    subject: exchange.subject,
  });
  const response = new ShadowResponse(runtime.metrics);
  const call = new UpstreamCall(runtime, { services: live.services, once: true }, service, request, copy, response);
  call.start(runtime.clock.monotonicMs());
}

/** Takes a response, keeps nothing of it, and counts whether the copy was sent. */
class ShadowResponse implements ResponseHandler {
  readonly holder = null;
  readonly #metrics: MetricsBank;
  #isCounted = false;

  constructor(metrics: MetricsBank) {
    this.#metrics = metrics;
  }

  #count(name: 'mirrored' | 'mirror_dropped'): void {
    if (!this.#isCounted) this.#metrics.add(name, 1);
    this.#isCounted = true;
  }

  onHead(): void {
    this.#count('mirrored');
  }

  onFault({ kind }: Fault): void {
    const wasSent = kind.phase !== 'pick' && kind.phase !== 'connect';
    this.#count(wasSent ? 'mirrored' : 'mirror_dropped');
  }

  flush(): boolean {
    return true;
  }

  onInterim(): void {}
  onBody(): void {}
  onEnd(): void {}
  onReply(): void {}
  onUpgraded(): void {}
  onRequestDrain(): void {}
}
