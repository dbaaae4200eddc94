/** Requests to a route with `builtin: realtime`: a WebSocket, server-sent events, or what lies below the hub's path. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ChannelCall } from '../../../data/contract/events.ts';
import { methodNotAllowed, REFUSALS, type Refusal, unavailable } from '../http.ts';
import type { Hub, HubRoute } from './hub.ts';
import { callerOf, type KnownCaller } from './known-caller.ts';
import { openHubSse } from './sse.ts';

const NOT_READY = unavailable('the route is not ready yet', 1);

export async function serveHub(
  hub: Hub | null,
  request: IncomingMessage,
  response: ServerResponse,
  call: ChannelCall,
  route: HubRoute,
): Promise<Refusal | undefined> {
  if (hub === null) return NOT_READY;
  const path = pathBelow(request, route);
  if (path === null) return REFUSALS.notFound;
  if (path.length > 0) return await hub.serve(request, response, call, path);
  if (request.method !== 'GET') return methodNotAllowed('GET');
  const caller = (await byTicket(hub, request)) ?? callerOf(call);
  return await openHubSse(hub, request, response, call, route, caller);
}

/** A refusal, or undefined: the socket is the hub's. */
export async function upgradeHub(
  hub: Hub | null,
  upgrade: { readonly request: IncomingMessage; readonly socket: Duplex; readonly head: Buffer },
  call: ChannelCall,
  route: HubRoute,
  isFull: boolean,
): Promise<Refusal | undefined> {
  if (hub === null) return NOT_READY;
  const { request } = upgrade;
  if (pathBelow(request, route)?.length !== 0) return REFUSALS.notFound;
  // Loaded with the first WebSocket.
  const [{ openHubSocket }, { originRefusal }] = await Promise.all([
    import('./websocket.ts'),
    import('../subscribe/websocket.ts'),
  ]);
  const forbidden = originRefusal(request, route);
  if (forbidden !== undefined) return forbidden;
  const ticketed = await byTicket(hub, request);
  const tooMany = hub.refusalFor(ticketed ?? callerOf(call), call.address);
  if (tooMany !== undefined) return tooMany;
  if (isFull) return unavailable('there are too many connections', 5);
  openHubSocket(hub, upgrade, call, route, ticketed);
  return undefined;
}

/** Who the ticket in the query was made for; null without one that holds. */
async function byTicket(hub: Hub, request: IncomingMessage): Promise<KnownCaller | null> {
  const query = request.url?.split('?')[1];
  const ticket = query === undefined ? null : new URLSearchParams(query).get('ticket');
  return ticket === null ? null : await hub.tickets.take(ticket);
}

/** Segments of the path behind the hub's own; null for what cannot be read. */
function pathBelow(request: IncomingMessage, { segments }: HubRoute): string[] | null {
  const parts = (request.url?.split('?')[0] ?? '').split('/').filter((part) => part !== '');
  try {
    return parts.slice(segments).map(decodeURIComponent);
  } catch {
    return null;
  }
}
