/** What policies need that read the body of a response: all of it, and not packed. */
import type { Fault } from '../../base/errors.ts';
import type { PolicyContext } from '../contract/policy.ts';
import { unpackableCoding } from './codings.ts';
import { RefusingFilter } from './refusing-filter.ts';
import { UnpackFilter } from './unpack-filter.ts';

/** In `requestHead`: a part of a body cannot be read as a whole, and a packed one not at all. */
export function askForWholeBody(exchange: PolicyContext): void {
  exchange.setUpstreamHeader('Accept-Encoding', 'identity');
  exchange.removeUpstreamHeader('Range');
  exchange.removeUpstreamHeader('If-Range');
}

/** What the service gets in this field (in lower case) after `askForWholeBody`; undefined: what it would get anyway. */
export function sentForWholeBody(name: string): string | null | undefined {
  if (name === 'accept-encoding') return 'identity';
  return name === 'range' || name === 'if-range' ? null : undefined;
}

/** In `responseHead`, for a service that packs though it was asked not to. False: it was refused. */
export function unpackResponse(exchange: PolicyContext, maxBytes: number, failed: (cause: string) => Fault): boolean {
  const field = exchange.sentHeader('content-encoding');
  const coding = unpackableCoding(field);
  if (coding === null) return true;
  if (coding === undefined) {
    refuseResponse(exchange, failed(`a response with Content-Encoding ${field} cannot be read`));
    return false;
  }
  exchange.removeResponseHeader('Content-Encoding');
  exchange.filterResponseBody(
    new UnpackFilter(coding, { maxBytes, maxRatio: 1_000 }, { tooLarge: failed, malformed: failed }),
  );
  return true;
}

/** In `responseHead`: the client gets the fault in place of the response. */
export function refuseResponse(exchange: PolicyContext, fault: Fault): void {
  exchange.filterResponseBody(new RefusingFilter(fault), { holdHead: true });
}
