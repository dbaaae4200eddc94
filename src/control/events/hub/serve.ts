/** Requests to a route with `builtin: realtime`: a WebSocket, server-sent events, or what lies below the hub's path. */
import { methodNotAllowed, REFUSALS, type Refusal, unavailable } from '../http.ts';
import type { ChannelRequest } from '../link/request.ts';
import type { Hub, HubRoute } from './hub.ts';
import { callerOf, type KnownCaller } from './known-caller.ts';
import { openHubSse } from './sse.ts';

const NOT_READY = unavailable('the route is not ready yet', 1);

export async function serveHub(
  hub: Hub | null,
  request: ChannelRequest,
  route: HubRoute,
): Promise<Refusal | undefined> {
  if (hub === null) return NOT_READY;
  const path = pathBelow(request, route);
  if (path === null) return REFUSALS.notFound;
  if (path.length > 0) return await hub.serve(request, path);
  if (request.method !== 'GET') return methodNotAllowed('GET');
  const caller = (await byTicket(hub, request)) ?? callerOf(request.call);
  return await openHubSse(hub, request, route, caller);
}

/** A refusal, or undefined: the client is the hub's. */
export async function upgradeHub(
  hub: Hub | null,
  request: ChannelRequest,
  route: HubRoute,
  isFull: boolean,
): Promise<Refusal | undefined> {
  if (hub === null) return NOT_READY;
  if (pathBelow(request, route)?.length !== 0) return REFUSALS.notFound;
  // Loaded with the first WebSocket.
  const [{ openHubSocket }, { originRefusal }] = await Promise.all([
    import('./websocket.ts'),
    import('../subscribe/websocket.ts'),
  ]);
  const forbidden = originRefusal(request, route);
  if (forbidden !== undefined) return forbidden;
  const ticketed = await byTicket(hub, request);
  const tooMany = hub.refusalFor(ticketed ?? callerOf(request.call), request.call.address);
  if (tooMany !== undefined) return tooMany;
  if (isFull) return unavailable('there are too many connections', 5);
  openHubSocket(hub, request, route, ticketed);
  return undefined;
}

/** Who the ticket in the query was made for; null without one that holds. */
async function byTicket(hub: Hub, request: ChannelRequest): Promise<KnownCaller | null> {
  const ticket = request.query.get('ticket');
  return ticket === null ? null : await hub.tickets.take(ticket);
}

/** Segments of the path behind the hub's own; null for what cannot be read. */
function pathBelow(request: ChannelRequest, { segments }: HubRoute): string[] | null {
  const parts = request.path.split('/').filter((part) => part !== '');
  try {
    return parts.slice(segments).map(decodeURIComponent);
  } catch {
    return null;
  }
}
