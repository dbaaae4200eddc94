/**
 * What a request of the gateway's own to a service carries on behalf of a client's (parts of a composition, calls of a
 * handler): identity, forwarding fields, request id, and the client's fields less those that are about the body,
 * ranges, conditions or codings of the one request.
 */
import type { Exchange } from './exchange.ts';

const NOT_PASSED =
  /^(accept|accept-encoding|accept-ranges|range|if-.*|content-.*|expect|digest|repr-digest|idempotency-key|x-http-method.*|cache-control|pragma)$/i;

export function fieldsOfOwnRequests(exchange: Exchange): [name: string, value: string][] {
  const { names, values } = exchange.forwardedFields();
  return names.flatMap((name, i) => (NOT_PASSED.test(name) ? [] : [[name, values[i]!] as [string, string]]));
}
