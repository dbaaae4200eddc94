/** Routes: roles made by the admin API, and reading the audit log. */
import { Hono } from 'hono';
import * as z from 'zod';
import { ADMIN_SCOPE, AUDIT_SCOPE, allRoles } from '../accounts/access.ts';
import { endAllAccess } from '../accounts/users.ts';
import { requireOwnHands } from '../actor.ts';
import type { IdentityContext } from '../context.ts';
import * as field from '../fields.ts';
import { adminOf, type Env } from '../http/actor.ts';
import { readBody, readQuery } from '../http/validate.ts';
import { conflict, invalidField, notFound } from '../problem.ts';

const BUILT_IN = new Set(['user', 'admin', 'service', 'child']);

const time = z.string('a time such as 2026-01-31T08:00:00Z').transform((text, issues) => {
  const at = Date.parse(text);
  if (Number.isFinite(at)) return at;
  issues.addIssue({ code: 'custom', message: 'a time such as 2026-01-31T08:00:00Z' });
  return z.NEVER;
});

const search = z.strictObject({
  actor: z.string('an actor').max(200, 'at most 200 characters').optional(),
  action: z.string('an action').max(100, 'at most 100 characters').optional(),
  target: z.string('a target').max(200, 'at most 200 characters').optional(),
  from: time.optional(),
  to: time.optional(),
  before: z.coerce.number('the number of an entry').int('a whole number').min(1, 'at least 1').optional(),
  limit: field.pageSize,
});

/** What each operation is sent (its body, or the query of a GET); api-description.ts describes them. */
export const auditBodies = {
  'GET /admin/audit': search,
  'PUT /admin/roles/:name': z.strictObject({
    scopes: field.scopes,
    description: z.string('a text').max(200, 'at most 200 characters').default(''),
  }),
};

/** Newest first, as the query of the URL says; `next` goes on with `before`. */
export async function auditEntries({ store }: IdentityContext, url: string) {
  const { actor, action, target, from, to, before, limit } = readQuery(url, auditBodies['GET /admin/audit']);
  let query = store.db.selectFrom('audit_log').selectAll().orderBy('seq', 'desc').limit(limit);
  if (actor !== undefined) query = query.where('actor', '=', actor);
  if (action !== undefined) query = query.where('action', '=', action);
  if (target !== undefined) query = query.where('target', '=', target);
  if (from !== undefined) query = query.where('at', '>=', from);
  if (to !== undefined) query = query.where('at', '<', to);
  if (before !== undefined) query = query.where('seq', '<', before);
  const rows = await query.execute();
  const entries = rows.map(({ mac: _, at, detail, request_id, ...row }) => ({
    ...row,
    at: new Date(at).toISOString(),
    requestId: request_id,
    detail: JSON.parse(detail) as unknown,
  }));
  return { entries, next: rows.length === limit ? (rows.at(-1)?.seq ?? null) : null };
}

export function auditRoutes(context: IdentityContext): Hono<Env> {
  const app = new Hono<Env>();
  const { store } = context;

  app.get('/admin/audit', async (c) => {
    await adminOf(context, c, AUDIT_SCOPE);
    return c.json(await auditEntries(context, c.req.url));
  });

  app.get('/admin/audit/verify', async (c) => {
    await adminOf(context, c, AUDIT_SCOPE);
    return c.json(await context.audit.verify());
  });

  app.get('/admin/roles', async (c) => {
    await adminOf(context, c, ADMIN_SCOPE);
    const roles = [...(await allRoles(context, store.db))].map(([name, scopes]) => ({
      name,
      scopes: [...scopes].sort(),
    }));
    return c.json({ roles });
  });

  app.put('/admin/roles/:name', async (c) => {
    const actor = await adminOf(context, c, ADMIN_SCOPE);
    await requireOwnHands(context, actor);
    const name = c.req.param('name');
    if (!field.role.safeParse(name).success) throw invalidField('name', 'lower-case letters, digits, "-" or "_"', name);
    if (BUILT_IN.has(name) || name in context.options.roles) {
      throw conflict('configured_role', 'built-in and configured roles are changed in the configuration');
    }
    const body = await readBody(c.req.raw, auditBodies['PUT /admin/roles/:name']);
    const row = {
      scopes: JSON.stringify(body.scopes),
      description: body.description,
      updated_at: context.clock.wallMs(),
    };
    await store.transaction(async (trx) => {
      await trx
        .insertInto('roles')
        .values({ name, ...row })
        .onConflict((conflicting) => conflicting.column('name').doUpdateSet(row))
        .execute();
      const { address, requestId } = c.get('caller');
      const detail = { scopes: body.scopes };
      await context.audit.append(trx, {
        actor: actor.name,
        action: 'role.changed',
        target: name,
        address,
        requestId,
        detail,
      });
    });
    return c.json({ name, ...body });
  });

  app.delete('/admin/roles/:name', async (c) => {
    const actor = await adminOf(context, c, ADMIN_SCOPE);
    await requireOwnHands(context, actor);
    const name = c.req.param('name');
    await store.transaction(async (trx) => {
      const gone = await trx.deleteFrom('roles').where('name', '=', name).returning('name').executeTakeFirst();
      if (gone === undefined) throw notFound('role');
      const holders = await trx.deleteFrom('user_roles').where('role', '=', name).returning('user_id').execute();
      // Tokens name the role until they expire: what was given before ends now, of children as well.
      for (const { user_id } of holders) {
        await endAllAccess(context, trx, user_id, 'role removed');
        const children = await trx.selectFrom('users').select('id').where('parent_id', '=', user_id).execute();
        for (const { id } of children) await endAllAccess(context, trx, id, 'parent changed');
      }
      const { address, requestId } = c.get('caller');
      await context.audit.append(trx, { actor: actor.name, action: 'role.removed', target: name, address, requestId });
    });
    await context.revocations.announce();
    return c.json({ success: true });
  });

  return app;
}
