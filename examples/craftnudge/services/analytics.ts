/**
 * Analytics: reads the stream `commits` through the gateway, from where it was, and says what the commits tell. An
 * analysis that finds something worth saying sends it as notifications, by way of the gateway's queue. Speaks gRPC to
 * the gateway's API, and JSON where the gateway puts responses together.
 */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http2';
import type { Hono } from 'hono';
import * as z from 'zod';
import { follow, type StreamEvent } from '../../shared/event-stream.ts';
import {
  type Caller,
  callerOf,
  createApp,
  endOnSignal,
  Refusal,
  type Registration,
  type Running,
  readBody,
  readQuery,
  registerSoon,
  registrationOf,
  run,
} from '../../shared/service.ts';
import { metricsOf } from './analysis/metrics.ts';
import { type Nudge, nudgesOf } from './analysis/nudges.ts';
import { patternsOf } from './analysis/patterns.ts';
import { trendsOf } from './analysis/trends.ts';
import { AnalyticsStore, type Span } from './analytics-store.ts';
import type { Commit } from './commit-store.ts';
import { GrpcError, startGrpc } from './grpc-server.ts';

const moment = z.iso
  .datetime({ offset: true, message: 'a moment such as 2024-01-01T12:00:00Z' })
  .transform((text) => Date.parse(text));
const span = z.object({
  from: moment.optional(),
  to: moment.optional(),
  repository: z.string().max(200).optional(),
  /** `all` is everybody's, for administrators. */
  scope: z.enum(['own', 'all']).default('own'),
});
type SpanQuery = z.output<typeof span>;
const analyze = z.strictObject({
  from: moment.optional(),
  to: moment.optional(),
  repository: z.string().max(200).optional(),
  notify: z.boolean().default(true),
});

/** The route asks for the role as well; the service does not rely on it. */
function spanOf(caller: Caller, { from, to, repository, scope }: SpanQuery): Span {
  if (scope === 'all' && !caller.roles.includes('admin'))
    throw new Refusal(403, 'INSUFFICIENT_PERMISSIONS', 'only administrators see everybody');
  return { user: scope === 'all' ? undefined : caller.id, repository, fromMs: from, toMs: to };
}

/** Resolves with whether the queue has taken it. */
type Send = (user: string, nudge: Nudge) => Promise<boolean>;

export function createAnalytics(store: AnalyticsStore, send: Send): Hono {
  const app = createApp('analytics', 'nested');
  app.get('/api/v1/analytics/patterns', (context) => {
    const commits = store.commits(spanOf(callerOf(context), readQuery(context, span)));
    return context.json(patternsOf(commits, Date.now()));
  });
  app.get('/api/v1/analytics/metrics', (context) => {
    const commits = store.commits(spanOf(callerOf(context), readQuery(context, span)));
    return context.json(metricsOf(commits));
  });
  app.get('/api/v1/analytics/trends', (context) => {
    const commits = store.commits(spanOf(callerOf(context), readQuery(context, span)));
    return context.json(trendsOf(commits));
  });
  app.post('/api/v1/analytics/analyze', async (context) => {
    const caller = callerOf(context);
    const { notify, ...asked } = await readBody(context, analyze);
    const commits = store.commits(spanOf(caller, { ...asked, scope: 'own' }));
    const [patterns, metrics, trends] = [patternsOf(commits, Date.now()), metricsOf(commits), trendsOf(commits)];
    const nudges = nudgesOf(patterns, metrics, trends);
    const taken = notify ? await Promise.all(nudges.map((nudge) => send(caller.id, nudge))) : [];
    return context.json({ patterns, metrics, trends, nudges, notified: taken.filter(Boolean).length });
  });
  return app;
}

/** The calls of analytics.proto as requests of the application. */
const CALLS: Readonly<Record<string, string>> = {
  GetPatterns: '/api/v1/analytics/patterns',
  GetMetrics: '/api/v1/analytics/metrics',
  GetTrends: '/api/v1/analytics/trends',
  Analyze: '/api/v1/analytics/analyze',
};
const STATUSES: Readonly<Record<number, number>> = { 400: 3, 401: 16, 403: 7, 404: 5, 503: 14 };

async function callOf(
  app: Hono,
  method: string,
  request: Record<string, unknown>,
  headers: IncomingHttpHeaders,
): Promise<Record<string, unknown>> {
  const fields = Object.entries(request).filter(([, value]) => value !== '');
  const known = ['x-auth-subject', 'x-auth-roles', 'x-request-id'].flatMap((name) => {
    const value = headers[name];
    return typeof value === 'string' ? [[name, value] as [string, string]] : [];
  });
  const path = CALLS[method] ?? '';
  const query = new URLSearchParams(fields.map(([name, value]): [string, string] => [name, String(value)]));
  const response = await (method === 'Analyze'
    ? app.request(path, { method: 'POST', headers: known, body: JSON.stringify(Object.fromEntries(fields)) })
    : app.request(`${path}?${query}`, { headers: known }));
  const body = (await response.json()) as Record<string, unknown> & { readonly error?: { readonly message: string } };
  if (!response.ok) throw new GrpcError(STATUSES[response.status] ?? 13, body.error?.message ?? 'it failed');
  return body;
}

export interface AnalyticsOptions {
  readonly file: string;
  readonly port: number;
  /** Of gRPC; default: any that is free. */
  readonly grpcPort?: number;
  readonly registration: Registration;
  /** API key with the role `service`. */
  readonly key: string;
}

export async function startAnalytics({
  file,
  port,
  grpcPort = 0,
  registration,
  key,
}: AnalyticsOptions): Promise<Running> {
  const store = new AnalyticsStore(file);
  const ended = new AbortController();
  const { gateway } = registration;
  const send: Send = async (user, nudge) => {
    const day = new Date().toISOString().slice(0, 10);
    const body = JSON.stringify(nudge);
    const response = await fetch(`${gateway}/internal/notifications/${encodeURIComponent(user)}`, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        'X-API-Key': key,
        // The same remark at most once a day.
        'Idempotency-Key': `${user}:${day}:${createHash('sha256').update(body).digest('hex').slice(0, 32)}`,
      },
      body,
      signal: ended.signal,
    }).catch(() => undefined);
    await response?.arrayBuffer();
    return response?.status === 202;
  };
  const app = createAnalytics(store, send);
  const running = await run(app, port, registration);
  const grpc = await startGrpc({
    proto: new URL('../analytics.proto', import.meta.url),
    service: 'craftnudge.analytics.v1.Analytics',
    port: grpcPort,
    call: (method, request, headers) => callOf(app, method, request, headers),
    isServing: async () => (await app.request('/health')).ok,
  });
  const grpcLease = registerSoon({ ...registration, service: 'analytics-grpc' }, grpc.url);
  const following = follow({
    url: `${gateway}/internal/commits`,
    headers: { 'X-API-Key': key },
    position: () => store.position(),
    signal: ended.signal,
    handle({ id, type, data }: StreamEvent) {
      if (type !== 'message' || id === null) return;
      const { user, commits } = JSON.parse(data) as { user: string; commits: Commit[] };
      store.add(user, commits, id);
    },
  });
  return {
    ...running,
    lease: () => (grpcLease.lease() === undefined ? undefined : running.lease()),
    async close() {
      await Promise.all([running.close(), grpcLease.close()]);
      await grpc.close();
      ended.abort();
      await following;
      store.close();
    },
  };
}

if (import.meta.main) {
  const { PORT = '0', ANALYTICS_GRPC_PORT = '0', ANALYTICS_KEY = '', CRAFTNUDGE_DATA = '.' } = process.env;
  const running = await startAnalytics({
    file: `${CRAFTNUDGE_DATA}/analytics.db`,
    port: Number(PORT),
    grpcPort: Number(ANALYTICS_GRPC_PORT),
    registration: registrationOf('analytics'),
    key: ANALYTICS_KEY,
  });
  endOnSignal(() => running.close());
}
