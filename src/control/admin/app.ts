/**
 * The admin API put together: operations below `/api`, their OpenAPI document, the APIs of features for operators, and
 * the console's files. One for each way in, since each finds out differently who asks; access and recorder are shared.
 * Loaded when somebody first needs it. Called by feature.ts.
 */
import { OpenAPIHono } from '@hono/zod-openapi';
import type { ErrorFormat } from '../../base/error-body.ts';
import { PRODUCT_VERSION } from '../config/version.ts';
import { errorComponents } from '../error-schema.ts';
import type { OperatorHost } from '../feature.ts';
import type { Fetch } from '../local-server.ts';
import type { Mapping } from '../openapi-document.ts';
import { type Access, mayAct, type ReadOperator } from './access.ts';
import { consoleFile } from './console-files.ts';
import { type AdminApp, AdminError, adminApp, type Kit, unescaped } from './kit.ts';
import type { LimitDesk } from './limit-desk.ts';
import type { Recorder } from './recorder.ts';
import { configRoutes } from './routes-config.ts';
import { instanceRoutes } from './routes-instances.ts';
import { limitRoutes } from './routes-limits.ts';
import { liveRoutes } from './routes-live.ts';
import { pageRoutes } from './routes-page.ts';
import { tailRoutes } from './routes-tail.ts';
import { trafficRoutes } from './routes-traffic.ts';
import { tryRoutes } from './routes-try.ts';
import type { AdminPlan } from './section.ts';
import { addSessionRoutes } from './sessions-app.ts';
import type { TailHub } from './tail.ts';
import type { TriedStepsDesk } from './tried-steps.ts';

export interface AdminParts {
  readonly host: OperatorHost;
  readonly plan: () => AdminPlan;
  readonly access: Access;
  readonly recorder: Recorder;
  readonly tail: TailHub;
  readonly steps: TriedStepsDesk;
  readonly limits: LimitDesk;
  /** Origin of the listener of its own; null without one. */
  readonly consoleUrl: () => string | null;
}

/** `prefix`: what stands before `/api` and `/console` in the paths that it gets. */
export function createAdminApp(parts: AdminParts, read: ReadOperator, prefix: string): Fetch {
  const { access } = parts;
  const app = new OpenAPIHono();
  const fetch: Fetch = (request) => app.fetch(request);
  const api = fullApi(parts, read, fetch);
  // Before the API: who comes with a link or an account is nobody yet.
  addSessionRoutes(app, parts, `${prefix}/api`);
  app.route(`${prefix}/api`, api);
  // What the console uses when the gateway does not know its caller: only sessions count here, so that on the gateway's
  // own listeners it needs no other authentication in front.
  addSessionRoutes(app, parts, `${prefix}/console/api`);
  app.route(`${prefix}/console/api`, fullApi(parts, access.bySession, fetch));
  app.get(`${prefix}/console`, (context) => context.redirect(`${prefix}/console/`));
  app.get(`${prefix}/console/*`, (context) =>
    consoleFile(context.req.path.slice(`${prefix}/console/`.length), context.req.header('accept-encoding')),
  );
  app.get(prefix === '' ? '/' : prefix, (context) => context.redirect(`${prefix}/console/`));
  // The second is what the adapter puts beside a request, with the connection.
  return (request: Request, bindings?: object) => app.fetch(request, bindings);
}

/** `fetch`: of the application that it becomes a part of. */
function fullApi(parts: AdminParts, read: ReadOperator, fetch: Fetch): AdminApp {
  const api = adminApp(parts.host, read);
  addOperations(api, parts, fetch);
  api.get('/openapi.json', async (context) => {
    const { featurePaths } = await import('./feature-apis.ts');
    const { paths, ...rest } = document(api, parts.host.configuration.snapshot.gateway.errorFormat);
    return context.json({ ...rest, paths: { ...(paths as Mapping), ...(await featurePaths(parts.host)) } } as object);
  });
  featureRoutes(api, parts.host);
  // Not by `notFound`: within another application it is not asked.
  api.all('*', () => {
    throw new AdminError(404, 'RESOURCE_NOT_FOUND', 'there is no such endpoint');
  });
  return api;
}

/** What a feature offers operators, such as `/api/features/limits/bans`, each with the roles that it says. */
function featureRoutes(api: AdminApp, host: OperatorHost): void {
  api.all('/features/:feature/*', async (context) => {
    const name = context.req.param('feature');
    const offered = host.operations().get(name);
    if (offered === undefined)
      throw new AdminError(404, 'RESOURCE_NOT_FOUND', `the feature ${name} has no API, or is not in use`);
    const operator = context.get('operator');
    const { method } = context.req;
    const isLook = method === 'GET' || method === 'HEAD';
    const { fetch, look = 'viewer', change = 'operator' } = offered;
    const url = new URL(context.req.url);
    // Decoded or not, the name has been one segment of the path.
    url.pathname = /\/api\/features\/[^/]+(.*)$/.exec(url.pathname)?.[1] || '/';
    const role = isLook ? look : change;
    // The router reads escapes, so whoever spells a path with them must not need less.
    const needed = typeof role === 'function' ? role(unescaped(url.pathname)) : role;
    if (!mayAct(operator.role, needed))
      throw new AdminError(403, 'INSUFFICIENT_PERMISSIONS', `this needs the role ${needed}`);
    const headers = new Headers(context.req.raw.headers);
    headers.set('x-gatehouse-actor', encodeURIComponent(operator.name));
    const body = isLook ? null : await context.req.arrayBuffer();
    const response = await fetch(new Request(url, { method, headers, body }));
    if (!isLook && response.ok)
      await host.audit({
        actor: operator.name,
        action: `admin.${name}`,
        target: `${method} ${url.pathname}`,
        detail: {},
      });
    return response;
  });
}

function addOperations(app: AdminApp, parts: AdminParts, fetch: Fetch): void {
  const { host, plan, access, recorder, tail, steps, limits, consoleUrl } = parts;
  const kit: Kit = { app, host };
  trafficRoutes(kit);
  instanceRoutes(kit);
  limitRoutes(kit, limits);
  tryRoutes(kit, { hub: tail, steps });
  configRoutes(kit, plan);
  liveRoutes(kit, access, recorder, consoleUrl);
  tailRoutes(kit, tail);
  pageRoutes(kit, recorder, fetch);
}

/** The same document without a gateway: operations touch what they are given only when one is called. */
export function adminDocument(format: ErrorFormat): Mapping {
  const nothing = {
    host: {},
    plan: () => ({}),
    access: {},
    recorder: {},
    tail: {},
    steps: {},
    limits: {},
    consoleUrl: () => null,
  } as unknown;
  const api = adminApp({} as OperatorHost, () => 'unknown');
  addOperations(api, nothing as AdminParts, () => new Response());
  return document(api, format);
}

function document(api: AdminApp, format: ErrorFormat): Mapping {
  const made = api.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'Gatehouse admin API', version: PRODUCT_VERSION },
    servers: [{ url: '.' }],
  }) as unknown as Mapping;
  const own = (made['components'] ?? {}) as Mapping;
  const { schemas, responses } = errorComponents(format);
  const all = { ...(own['schemas'] as Mapping | undefined), ...schemas };
  return { ...made, components: { ...own, schemas: all, responses } };
}
