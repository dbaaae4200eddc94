/**
 * Events of the cluster over HTTP: as a stream (SSE, resumed by `Last-Event-ID`) or by long poll (`?after=&wait=`). A
 * client that asks for events older than what is kept gets a first event `gap` that says from where on it misses
 * nothing.
 */
import { createRoute, z } from '@hono/zod-openapi';
import type { Context, MiddlewareHandler } from 'hono';
import { streamSSE } from 'hono/streaming';
import type { Cluster } from './cluster.ts';
import { type ClusterApp, type ClusterEnv, json } from './json-route.ts';
import { ClusterRefusal } from './refusal.ts';
import * as schema from './schemas.ts';

const HEARTBEAT_MS = 15_000;
const MAX_LISTENERS = 1_000;
const PAGE = 500;

export function addEventRoutes(app: ClusterApp, cluster: Cluster, mayRead: MiddlewareHandler<ClusterEnv>): void {
  const { events, feed } = cluster;
  const route = createRoute({
    method: 'get',
    path: '/cluster/events',
    middleware: mayRead,
    summary: 'Events after an id: as a stream for `Accept: text/event-stream`, else by long poll',
    request: { query: schema.afterQuery },
    responses: { 200: json(z.object({ events: z.array(schema.eventSchema), last: z.int() }), 'The events.') },
  });
  app.openapi(route, async (context) => {
    if (feed.listening >= MAX_LISTENERS)
      throw new ClusterRefusal(503, 'SERVICE_UNAVAILABLE', `${MAX_LISTENERS} clients listen already`);
    const { after, limit, wait } = context.req.valid('query');
    if (context.req.header('accept')?.includes('text/event-stream') === true) {
      const resumed = Number(context.req.header('last-event-id'));
      const from = Number.isInteger(resumed) && resumed > 0 ? resumed : after;
      return stream(context, cluster, from || (await events.range()).last) as never;
    }
    let found = await events.after(after, limit);
    if (found.length === 0 && wait > 0) {
      await changed(cluster, wait * 1_000, context.req.raw.signal);
      found = await events.after(after, limit);
    }
    return context.json({ events: found.map(schema.shownEvent), last: found.at(-1)?.id ?? after }, 200);
  });
}

function stream(context: Context, cluster: Cluster, from: number): Response {
  return streamSSE(context, async (out) => {
    const ended = new AbortController();
    out.onAbort(() => ended.abort());
    let last = from;
    const { first } = await cluster.events.range();
    if (first > last + 1) {
      await out.writeSSE({ event: 'gap', id: String(first - 1), data: JSON.stringify({ from: last, to: first - 1 }) });
      last = first - 1;
    }
    while (!ended.signal.aborted && !cluster.isClosed) {
      const found = await cluster.events.after(last, PAGE).catch(() => []);
      for (const event of found)
        await out.writeSSE({ id: String(event.id), event: event.type, data: JSON.stringify(schema.shownEvent(event)) });
      last = found.at(-1)?.id ?? last;
      if (found.length > 0) continue;
      if (!(await changed(cluster, HEARTBEAT_MS, ended.signal))) await out.write(': still here\n\n');
    }
  });
}

/** True when there is something new, false after `ms` or when the client has gone. */
function changed(cluster: Cluster, ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const done = (is: boolean): void => {
      cancelListen();
      cancelTimer();
      signal.removeEventListener('abort', gone);
      resolve(is);
    };
    const gone = (): void => done(false);
    const cancelTimer = cluster.timers.after(ms, gone);
    const cancelListen = cluster.feed.listen(() => done(true));
    signal.addEventListener('abort', gone, { once: true });
    if (signal.aborted) gone();
  });
}
