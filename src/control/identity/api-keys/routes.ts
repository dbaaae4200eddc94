/** Routes: API keys of the signed-in account. */
import { Hono } from 'hono';
import * as z from 'zod';
import { cidrProblem } from '../../../base/ip.ts';
import { revokeKeys } from '../accounts/users.ts';
import { type Actor, requireRecentProof } from '../actor.ts';
import type { IdentityContext } from '../context.ts';
import * as field from '../fields.ts';
import { actorOf, type Env } from '../http/actor.ts';
import { readBody, readOptionalBody } from '../http/validate.ts';
import { forbidden, invalidField, notFound } from '../problem.ts';
import { createKey, findKey, publicKey, rotateKey } from './manage.ts';

const seconds = z.int('a whole number of seconds').min(60, 'at least 60 seconds').max(315_360_000, 'at most ten years');

const newKey = z.strictObject({
  name: field.displayName,
  scopes: field.scopes.default([]),
  roles: z.array(field.role, 'a list of roles').max(20, 'at most 20 roles').default([]),
  plan: field.plan.optional(),
  expiresIn: seconds.nullable().default(null),
  addresses: z
    .array(
      z
        .string('an address or CIDR block')
        .refine((text) => cidrProblem(text) === undefined, { error: 'an address or a CIDR block such as 10.0.0.0/8' }),
    )
    .max(100, 'at most 100 addresses')
    .default([]),
});

/** What each operation is sent (its body, or the query of a GET); api-description.ts describes them. */
export const keyBodies = {
  'POST /keys': newKey,
  'POST /keys/:id/rotate': z.strictObject({
    graceSeconds: z.int('a whole number of seconds').min(0, '0 or more').max(604_800, 'at most 7 days').default(0),
  }),
};

export function keyRoutes(context: IdentityContext): Hono<Env> {
  const app = new Hono<Env>();

  /** An API key outlives the session that makes it, so it needs the owner, and the second factor if there is one. */
  const owner = async (c: Parameters<typeof actorOf>[1]): Promise<Actor> => {
    const actor = await actorOf(context, c);
    if (actor.user.kind === 'child') throw forbidden('a child account has no API keys', 'child_account');
    await requireRecentProof(context, actor, true);
    return actor;
  };

  app.get('/keys', async (c) => {
    const actor = await actorOf(context, c);
    const rows = await context.store.db
      .selectFrom('api_keys')
      .selectAll()
      .where('user_id', '=', actor.user.id)
      .where('revoked_at', 'is', null)
      .orderBy('created_at')
      .limit(1_000)
      .execute();
    return c.json({ keys: rows.map(publicKey) });
  });

  app.post('/keys', async (c) => {
    const actor = await owner(c);
    const body = await readBody(c.req.raw, keyBodies['POST /keys']);
    // A narrowed session must not make a key that can more than itself.
    const beyond = body.scopes.find((scope) => !actor.scopes.includes(scope));
    if (beyond !== undefined) throw invalidField('scopes', 'scopes that this session has', beyond);
    refuseWider(actor, body.roles);
    const ttlMs = body.expiresIn === null ? null : body.expiresIn * 1_000;
    const made = await context.store.transaction(async (trx) => {
      const created = await createKey(context, trx, actor.user.id, actor.access, { ...body, ttlMs });
      await context.mails.tell(trx, actor.user, 'keyMade', { name: body.name });
      await audited(trx, actor, 'key.created', created.row.id, c.get('caller').requestId);
      return created;
    });
    context.outbox.nudge();
    return c.json({ key: made.key, ...publicKey(made.row) }, 201);
  });

  app.post('/keys/:id/rotate', async (c) => {
    const actor = await owner(c);
    const body = await readOptionalBody(c.req.raw, keyBodies['POST /keys/:id/rotate']);
    const made = await context.store.transaction(async (trx) => {
      const owned = await findKey(trx, c.req.param('id'), actor.user.id);
      if (owned !== undefined && !(JSON.parse(owned.scopes) as string[]).every((scope) => actor.scopes.includes(scope)))
        throw forbidden('the key can do more than this session', 'narrowed_session');
      if (owned !== undefined) refuseWider(actor, JSON.parse(owned.roles) as string[]);
      const rotated = await rotateKey(context, trx, c.req.param('id'), actor.user.id, body.graceSeconds * 1_000);
      await context.mails.tell(trx, actor.user, 'keyReplaced', { name: rotated.row.name });
      await audited(trx, actor, 'key.rotated', rotated.row.id, c.get('caller').requestId);
      return rotated;
    });
    await context.revocations.announce();
    context.outbox.nudge();
    return c.json({ key: made.key, ...publicKey(made.row) }, 201);
  });

  app.delete('/keys/:id', async (c) => {
    const actor = await actorOf(context, c);
    const id = c.req.param('id');
    const ended = await context.store.transaction(async (trx) => {
      const ids = await revokeKeys(context, trx, { id, userId: actor.user.id });
      if (ids.length > 0) await audited(trx, actor, 'key.revoked', id, c.get('caller').requestId);
      return ids;
    });
    if (ended.length === 0) throw notFound('key');
    await context.revocations.announce();
    return c.json({ success: true });
  });

  /** A session that named its scopes has no roles to give. */
  const refuseWider = (actor: Actor, roles: readonly string[]): void => {
    if (roles.length > 0 && actor.session.scopes !== null)
      throw forbidden('sign in without naming scopes for this', 'narrowed_session');
  };

  const audited = (
    trx: Parameters<typeof createKey>[1],
    actor: Actor,
    action: string,
    target: string,
    requestId: string,
  ) => context.audit.append(trx, { actor: actor.name, action, target, requestId });

  return app;
}
