/**
 * Accounts and keys for operators: what administrators do, below `/api/features/identity` of the admin API, which has
 * found out who asks and with which role. One exit for everything that is thrown, as in app.ts.
 */
import { type Context, Hono } from 'hono';
import { CidrSet } from '../../base/ip.ts';
import { decoded } from '../gateway-identity.ts';
import type { Fetch } from '../local-server.ts';
import { operatorRoutes } from './accounts/routes-admin.ts';
import type { IdentityContext } from './context.ts';
import type { Env } from './http/actor.ts';
import { callerOf } from './http/caller.ts';
import { auditForOperators, tokensForOperators } from './operator-routes.ts';
import { asProblem, notFound, type Problem, problemResponse } from './problem.ts';

const NOBODY = new CidrSet([]);

export function createOperatorApp(context: IdentityContext): Fetch {
  const app = new Hono<Env>();
  app.use(async (c, next) => {
    // Of the fields that say where a request came from, none has been checked on this way in.
    const field = (name: string): string | null => (name === 'x-forwarded-for' ? null : (c.req.header(name) ?? null));
    c.set('caller', callerOf(field, undefined, NOBODY, { signal: c.req.raw.signal }));
    await next();
    c.res.headers.set('cache-control', 'no-store');
  });
  const nameOf = (c: Context<Env>): string => decoded(c.req.header('x-gatehouse-actor')) ?? 'operator';
  app.route('/', operatorRoutes(context, nameOf));
  app.route('/', auditForOperators(context));
  app.route('/', tokensForOperators(context, nameOf));
  const answer = (problem: Problem, c: Context<Env>): Response => {
    const asked = { requestId: c.get('caller').requestId, accept: c.req.header('accept') ?? null };
    return problemResponse(problem, context.options.errorFormat, asked, context.clock.wallMs());
  };
  app.notFound((c) => answer(notFound('endpoint'), c));
  app.onError((error, c) => {
    const problem = asProblem(error);
    const { requestId } = c.get('caller');
    if (problem.status >= 500)
      context.log.error('the API of accounts failed', { path: c.req.path, requestId, problem: error.message });
    return answer(problem, c);
  });
  return (request) => {
    const url = new URL(request.url);
    url.pathname = `/admin${url.pathname}`;
    return app.fetch(new Request(url, request));
  };
}
