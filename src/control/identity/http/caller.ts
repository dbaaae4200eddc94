/**
 * Who sends a request, from the connection and the forwarded fields. Behind the gateway's Unix socket there is no peer
 * address and the forwarded list is the gateway's; on a TCP port the list is believed only from trusted proxies.
 * The caller is the last address in it that is not such a proxy.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type CidrSet, canonicalAddress } from '../../../base/ip.ts';
import type { Caller } from '../context.ts';

const MAX_USER_AGENT = 200;

export function callerOf(
  field: (name: string) => string | null,
  peerAddress: string | undefined,
  trusted: CidrSet,
  signal?: AbortSignal,
): Caller {
  const peer = canonicalAddress(peerAddress ?? '');
  let address = peer ?? '';
  if (peer === undefined || trusted.has(peer)) {
    for (const hop of (field('x-forwarded-for') ?? '').split(',').reverse()) {
      const next = canonicalAddress(hop.trim());
      if (next === undefined) break;
      address = next;
      if (!trusted.has(next)) break;
    }
  }
  const said = field('x-request-id') ?? '';
  return {
    address,
    userAgent: (field('user-agent') ?? '').slice(0, MAX_USER_AGENT),
    requestId: /^[A-Za-z0-9._-]{8,100}$/.test(said) ? said : randomUUID(),
    ...(signal === undefined ? {} : { signal }),
  };
}

export function callerOfMessage(request: IncomingMessage, trusted: CidrSet): Caller {
  const field = (name: string): string | null => {
    const value = request.headers[name];
    return Array.isArray(value) ? value.join(', ') : (value ?? null);
  };
  return callerOf(field, request.socket.remoteAddress, trusted);
}
