/**
 * Who sends a request, from the connection and the forwarded fields. Behind the gateway's Unix socket there is no peer
 * address and the forwarded list is the gateway's; on a TCP port the list is believed only from trusted proxies.
 * The caller is the last address in it that is not such a proxy.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type CidrSet, canonicalAddress } from '../../../base/ip.ts';
import { DEVICE_COOKIE } from '../accounts/devices.ts';
import type { Caller } from '../caller.ts';
import { readPlace } from '../geoip/geoip.ts';

const MAX_USER_AGENT = 200;

export function callerOf(
  field: (name: string) => string | null,
  peerAddress: string | undefined,
  trusted: CidrSet,
  more: { readonly signal?: AbortSignal; readonly placeField?: string | undefined } = {},
): Caller {
  const peer = canonicalAddress(peerAddress ?? '');
  let address = peer ?? '';
  let throughProxy = false;
  if (peer === undefined || trusted.has(peer)) {
    for (const hop of (field('x-forwarded-for') ?? '').split(',').reverse()) {
      const next = canonicalAddress(hop.trim());
      if (next === undefined) break;
      address = next;
      if (!trusted.has(next)) break;
      throughProxy = true;
    }
  }
  const said = field('x-request-id') ?? '';
  // Who comes straight to the gateway could write anything into it.
  const place = throughProxy && more.placeField !== undefined ? readPlace(field(more.placeField)) : undefined;
  const device = new RegExp(`(?:^|;) *${DEVICE_COOKIE}=([^;]{1,300})`).exec(field('cookie') ?? '')?.[1];
  const languages = field('accept-language');
  return {
    address,
    userAgent: (field('user-agent') ?? '').slice(0, MAX_USER_AGENT),
    requestId: /^[A-Za-z0-9._-]{8,100}$/.test(said) ? said : randomUUID(),
    ...(more.signal === undefined ? {} : { signal: more.signal }),
    ...(place === undefined ? {} : { placeSaid: place }),
    ...(device === undefined ? {} : { device }),
    ...(languages === null ? {} : { languages }),
  };
}

export function callerOfMessage(request: IncomingMessage, trusted: CidrSet, placeField?: string): Caller {
  const field = (name: string): string | null => {
    const value = request.headers[name.toLowerCase()];
    return Array.isArray(value) ? value.join(', ') : (value ?? null);
  };
  return callerOf(field, request.socket.remoteAddress, trusted, { placeField });
}
