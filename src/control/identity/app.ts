/**
 * The identity service as one Hono application: request id and caller, then the routes under `basePath` and the further
 * paths, the key set, and one exit for everything that is thrown. Knows HTTP only; what happens is in the folders
 * beside it.
 */
import { type Context, Hono } from 'hono';
import { CidrSet } from '../../base/ip.ts';
import { LogThrottle } from '../../base/log-throttle.ts';
import { extraText } from '../telemetry/prometheus.ts';
import { IDENTITY_TIMINGS } from '../telemetry/timings.ts';
import { accountRoutes } from './accounts/routes.ts';
import { adminRoutes } from './accounts/routes-admin.ts';
import { setupRoutes } from './accounts/routes-setup.ts';
import { signInRoutes } from './accounts/routes-sign-in.ts';
import { keyRoutes } from './api-keys/routes.ts';
import type { ApiKeyVerifier } from './api-keys/verify.ts';
import { auditRoutes } from './audit/routes.ts';
import { browserRoutes } from './browser/routes.ts';
import { childRoutes } from './child-accounts/routes.ts';
import type { IdentityContext } from './context.ts';
import type { Env } from './http/actor.ts';
import { callerOf } from './http/caller.ts';
import { identityMetrics } from './metrics.ts';
import { mfaRoutes } from './mfa/routes.ts';
import { clientRoutes } from './oauth/routes-clients.ts';
import { grantRoutes } from './oauth/routes-grants.ts';
import { OPEN_CALLS, openCalls } from './open-calls.ts';
import { pageOfProblem, pageRoutes } from './pages/routes.ts';
import { asProblem, Problem, problemResponse } from './problem.ts';
import { socialLoginRoutes } from './social-login/routes.ts';
import { tokenRoutes } from './tokens/routes.ts';

/** What node-server puts beside a request. */
interface NodeBindings {
  readonly incoming?: { readonly socket?: { readonly remoteAddress?: string | undefined } };
}

export function createApp(context: IdentityContext, keys: ApiKeyVerifier, trustProxy: readonly string[]): Hono<Env> {
  const trusted = new CidrSet(trustProxy);
  const refusals = new LogThrottle(context.clock);
  const app = new Hono<Env>();

  app.use(async (c, next) => {
    const peer = (c.env as NodeBindings | undefined)?.incoming?.socket?.remoteAddress;
    c.set(
      'caller',
      callerOf((name) => c.req.raw.headers.get(name), peer, trusted, {
        signal: c.req.raw.signal,
        placeField: context.options.place.header,
      }),
    );
    await next();
    c.res.headers.set('x-request-id', c.get('caller').requestId);
    // Answers hold tokens and personal data; the key set says otherwise itself.
    if (!c.res.headers.has('cache-control')) c.res.headers.set('cache-control', 'no-store');
  });

  app.use((c, next) => IDENTITY_TIMINGS.of(c.req.method, next()));

  const api = new Hono<Env>();
  const mounts = [...new Set([context.options.basePath, ...context.options.alsoAt])];
  const needNoAccount = mounts.map((mount) => new RegExp(openCalls(mount, OPEN_CALLS)));
  // Before anything is read or looked up: a flood of calls that need no account costs a map look-up each.
  api.use(async (c, next) => {
    if (needNoAccount.some((calls) => calls.test(c.req.path))) context.budget.take('calls', c.get('caller').address);
    await next();
  });
  for (const routes of [
    signInRoutes(context),
    ...(context.options.cookies === undefined ? [] : [browserRoutes(context)]),
    accountRoutes(context),
    keyRoutes(context),
    mfaRoutes(context),
    tokenRoutes(context, keys),
    childRoutes(context),
    adminRoutes(context),
    auditRoutes(context),
    setupRoutes(context),
    pageRoutes(context),
    socialLoginRoutes(context),
    ...(context.options.oauth.enabled ? [clientRoutes(context), grantRoutes(context)] : []),
  ]) {
    api.route('/', routes);
  }
  for (const path of mounts) app.route(path, api);

  app.get('/.well-known/jwks.json', async (c) => {
    return c.json(await context.signingKeys.publicJwks(), 200, { 'cache-control': 'public, max-age=300' });
  });
  // Beside the API, not below it: no route of the gateway leads here.
  app.get('/metrics', (c) =>
    c.text(extraText([...identityMetrics(context), IDENTITY_TIMINGS.metric()]), 200, {
      'content-type': 'text/plain; version=0.0.4; charset=utf-8',
    }),
  );
  app.get('/health', async (c) => {
    await context.store.ping();
    return c.json({ status: 'ok' });
  });

  app.notFound((c) => {
    const problem = new Problem(404, 'RESOURCE_NOT_FOUND', 'route_not_found', 'there is nothing at this path');
    return answer(problem, c);
  });
  app.onError((error, c) => {
    const problem = asProblem(error);
    const caller = c.get('caller');
    // Being full is no defect, and a flood must not write a line per refusal.
    if (problem.status === 503) {
      refusals.write((leftOut) =>
        context.log.warn('the identity service refused requests', { problem: error.message, leftOut }),
      );
    } else if (problem.status >= 500) {
      context.log.error('a request to the identity service failed', {
        path: c.req.path,
        requestId: caller.requestId,
        status: problem.status,
        problem: error.message,
        stack: error.stack ?? '',
      });
    }
    const isPage = mounts.some((path) => c.req.path.startsWith(`${path}/pages/`));
    return isPage ? pageOfProblem(context, c, problem) : answer(problem, c);
  });

  const answer = (problem: Problem, c: Context<Env>): Response => {
    const { requestId } = c.get('caller');
    const asked = { requestId, accept: c.req.header('accept') ?? null };
    const response = problemResponse(problem, context.options.errorFormat, asked, context.clock.wallMs());
    response.headers.set('x-request-id', requestId);
    return response;
  };
  return app;
}
