/**
 * What a request of the gateway's own to a service carries on behalf of a client's (parts of a composition, calls of a
 * handler): identity, forwarding fields, request id, and the client's fields less those that are about the body,
 * ranges, conditions or codings of the one request.
 */
import { FieldBlock } from '../contract/field-block.ts';
import type { Exchange } from './exchange.ts';

const NOT_PASSED =
  /^(accept|accept-encoding|accept-ranges|range|if-.*|content-.*|expect|digest|repr-digest|idempotency-key|x-http-method.*|cache-control|pragma)$/i;

export function ownRequestBlock(exchange: Exchange): FieldBlock {
  const all = exchange.forwardedFields();
  const names: string[] = [];
  const values: string[] = [];
  for (let i = 0; i < all.names.length; i++) {
    const name = all.names[i]!;
    if (NOT_PASSED.test(name)) continue;
    names.push(name);
    values.push(all.values[i]!);
  }
  return new FieldBlock(names, values);
}
