/**
 * A request like a client's, sent beside it and without its conditions: the cache refreshes a stale response with it.
 * It may outlive the exchange, so everything is written down now.
 */
import { FieldBlock } from '../contract/field-block.ts';
import type { UpstreamService } from './attempt.ts';
import type { Exchange } from './exchange.ts';
import { MadeRequest } from './outgoing-request.ts';
import { RequestBody } from './request-body.ts';
import { authorityFor } from './request-head.ts';
import type { ResponseHandler } from './response-source.ts';
import { UpstreamCall } from './upstream-call.ts';

const CONDITIONS = ['if-none-match', 'if-modified-since', 'if-match', 'if-unmodified-since', 'if-range', 'range'];

/** `conditions`: in place of those of the client. */
export function sendBeside(
  exchange: Exchange,
  service: UpstreamService,
  conditions: readonly (readonly [name: string, value: string])[],
  handler: ResponseHandler,
): void {
  const { runtime, live } = exchange;
  const { names, values } = exchange.forwardedFields();
  const kept = names
    .map((name, i) => [name, values[i]!] as const)
    .filter(([name]) => !CONDITIONS.includes(name.toLowerCase()));
  const request = new MadeRequest({
    method: 'GET',
    path: exchange.isAllStripped ? '' : exchange.upstreamPath,
    query: exchange.upstreamQuery,
    fields: FieldBlock.of([...kept, ...conditions]),
    authority: authorityFor(exchange, service),
    address: exchange.address,
    subject: exchange.subject,
  });
  new UpstreamCall(runtime, live, service, request, RequestBody.whole([]), handler).start(runtime.clock.monotonicMs());
}
