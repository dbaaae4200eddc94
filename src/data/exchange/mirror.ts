/**
 * A copy of a request for a shadow service, sent when the real response has begun, so that it can delay nothing. Its
 * response is read and thrown away, faults are counted and forgotten. Only requests whose body is whole and small are
 * copied; the shadow's balancer, pool and limits are its own. It is sent once: no retry, no queue.
 */
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
  const call = new UpstreamCall(runtime, { services: live.services, once: true }, service, request, copy, NOBODY);
  call.start(runtime.clock.monotonicMs());
  runtime.metrics.add(call.attemptsMade === 0 ? 'mirror_dropped' : 'mirrored', 1);
}

/** Takes a response and keeps nothing of it. */
const NOBODY: ResponseHandler = {
  onInterim: () => {},
  onHead: () => {},
  onBody: () => {},
  onEnd: () => {},
  onReply: () => {},
  onUpgraded: () => {},
  onFault: () => {},
  flush: () => true,
  holder: null,
  onRequestDrain: () => {},
};
