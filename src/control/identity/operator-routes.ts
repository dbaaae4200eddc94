/**
 * For operators beside accounts (accounts/routes-admin.ts): the audit log, and tokens looked at and revoked. None is
 * minted here: a token of the admin API makes nobody somebody else.
 */
import { type Context, Hono } from 'hono';
import * as z from 'zod';
import { auditEntries } from './audit/routes.ts';
import type { IdentityContext } from './context.ts';
import * as field from './fields.ts';
import type { Env } from './http/actor.ts';
import { readBody, readQuery } from './http/validate.ts';
import { notFound } from './problem.ts';
import { introspect } from './tokens/introspect.ts';
import { revokeIssued } from './tokens/issued.ts';

const HEAD = /^(\d{1,15}):([A-Za-z0-9_-]{0,100})$/;

/** What each operation is sent (its body, or the query of a GET). */
export const operatorBodies = {
  'GET /admin/audit/verify': z.strictObject({
    expect: z.string('SEQ:MAC').regex(HEAD, 'SEQ:MAC, as the head of the log was').optional(),
  }),
  'POST /admin/tokens/check': z.strictObject({ token: field.token }),
};

export function auditForOperators(context: IdentityContext): Hono<Env> {
  const app = new Hono<Env>();
  app.get('/admin/audit', async (c) => c.json(await auditEntries(context, c.req.url)));
  app.get('/admin/audit/head', async (c) => c.json(await context.audit.head()));
  app.get('/admin/audit/verify', async (c) => {
    const { expect = '' } = readQuery(c.req.url, operatorBodies['GET /admin/audit/verify']);
    const match = HEAD.exec(expect);
    const expected = match === null ? undefined : { seq: Number(match[1]), mac: match[2] ?? '' };
    return c.json(await context.audit.verify(expected));
  });
  return app;
}

export function tokensForOperators(context: IdentityContext, nameOf: (c: Context<Env>) => string): Hono<Env> {
  const app = new Hono<Env>();
  app.post('/admin/tokens/check', async (c) => {
    const { token } = await readBody(c.req.raw, operatorBodies['POST /admin/tokens/check']);
    return c.json(await introspect(context, token));
  });
  app.delete('/admin/tokens/:jti', async (c) => {
    if (!(await revokeIssued(context, c.req.param('jti'), nameOf(c)))) throw notFound('token');
    return c.json({ success: true });
  });
  return app;
}
