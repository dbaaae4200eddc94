/**
 * Routes: what administrators do with the ways into an account: its open sessions and its API keys. Whoever the key is
 * for hears of it by email, so that nobody gets a way into an account behind its back.
 */
import type { Context, Hono } from 'hono';
import { createKey, publicKey, rotateKey } from '../api-keys/manage.ts';
import { keyBodies } from '../api-keys/routes.ts';
import type { IdentityContext } from '../context.ts';
import type { Env } from '../http/actor.ts';
import { readBody, readOptionalBody } from '../http/validate.ts';
import { conflict, forbidden, notFound } from '../problem.ts';
import type { User } from '../tables.ts';
import { accessOf } from './access.ts';
import { endEverywhere, endSessions, openSessions, publicSession } from './routes.ts';
import { findById, revokeKeys } from './users.ts';

/** What each operation is sent; api-description.ts describes them. */
export const adminAccessBodies = {
  'POST /admin/users/:id/keys': keyBodies['POST /keys'],
  'POST /admin/keys/:key/rotate': keyBodies['POST /keys/:id/rotate'],
};

interface AccessGuard<A extends { readonly name: string }> {
  /** Throws unless an administrator asks. */
  admin(c: Context<Env>): Promise<A>;
  /** Throws unless it was proven just now who it is. */
  recentProof(actor: A): Promise<void>;
}

export function addAccessRoutes<A extends { readonly name: string }>(
  app: Hono<Env>,
  context: IdentityContext,
  { admin, recentProof }: AccessGuard<A>,
): void {
  const { store } = context;

  const target = async (id: string): Promise<User> => {
    const user = await findById(store.db, id);
    if (user === undefined) throw notFound('account');
    return user;
  };
  const entry = (c: Context<Env>, { name: actor }: A, action: string, id: string) => {
    const { address, requestId } = c.get('caller');
    return { actor, action, target: id, address, requestId };
  };

  app.get('/admin/users/:id/sessions', async (c) => {
    await admin(c);
    const { id } = await target(c.req.param('id'));
    return c.json({ sessions: (await openSessions(context, id)).map((row) => publicSession(row, '')) });
  });

  app.delete('/admin/users/:id/sessions', async (c) => {
    const actor = await admin(c);
    const { id } = await target(c.req.param('id'));
    return c.json({ ended: await endEverywhere(context, id, actor.name, c.get('caller').requestId) });
  });

  app.delete('/admin/users/:id/sessions/:session', async (c) => {
    const actor = await admin(c);
    const { id: userId } = await target(c.req.param('id'));
    const which = { id: c.req.param('session'), userId };
    return c.json({ ended: await endSessions(context, which, actor.name, c.get('caller').requestId) });
  });

  app.get('/admin/users/:id/keys', async (c) => {
    await admin(c);
    const { id } = await target(c.req.param('id'));
    const rows = await store.db
      .selectFrom('api_keys')
      .selectAll()
      .where('user_id', '=', id)
      .orderBy('created_at')
      .limit(1_000)
      .execute();
    return c.json({ keys: rows.map(publicKey) });
  });

  app.post('/admin/users/:id/keys', async (c) => {
    const actor = await admin(c);
    await recentProof(actor);
    const owner = await target(c.req.param('id'));
    if (owner.kind === 'child') throw forbidden('a child account has no API keys', 'child_account');
    const body = await readBody(c.req.raw, adminAccessBodies['POST /admin/users/:id/keys']);
    const access = await accessOf(context, store.db, owner);
    if (access === undefined) throw conflict('account_disabled', 'the account is disabled');
    const ttlMs = body.expiresIn === null ? null : body.expiresIn * 1_000;
    const made = await store.transaction(async (trx) => {
      const created = await createKey(context, trx, owner.id, access, { ...body, ttlMs });
      await context.mails.tell(trx, owner, 'keyMadeFor', { name: body.name });
      const detail = { owner: owner.id, scopes: body.scopes, roles: body.roles };
      await context.audit.append(trx, { ...entry(c, actor, 'key.created', created.row.id), detail });
      return created;
    });
    context.outbox.nudge();
    return c.json({ key: made.key, ...publicKey(made.row) }, 201);
  });

  app.post('/admin/keys/:key/rotate', async (c) => {
    const actor = await admin(c);
    await recentProof(actor);
    const id = c.req.param('key');
    const { graceSeconds } = await readOptionalBody(c.req.raw, adminAccessBodies['POST /admin/keys/:key/rotate']);
    const found = await store.db.selectFrom('api_keys').select('user_id').where('id', '=', id).executeTakeFirst();
    if (found === undefined) throw notFound('key');
    const owner = await target(found.user_id);
    const made = await store.transaction(async (trx) => {
      const rotated = await rotateKey(context, trx, id, owner.id, graceSeconds * 1_000);
      await context.mails.tell(trx, owner, 'keyReplacedFor', { name: rotated.row.name });
      const detail = { owner: owner.id, before: id };
      await context.audit.append(trx, { ...entry(c, actor, 'key.rotated', rotated.row.id), detail });
      return rotated;
    });
    await context.revocations.announce();
    context.outbox.nudge();
    return c.json({ key: made.key, ...publicKey(made.row) }, 201);
  });

  app.delete('/admin/keys/:key', async (c) => {
    const actor = await admin(c);
    const id = c.req.param('key');
    const ended = await store.transaction(async (trx) => {
      const ids = await revokeKeys(context, trx, { id });
      if (ids.length > 0) await context.audit.append(trx, entry(c, actor, 'key.revoked', id));
      return ids;
    });
    if (ended.length === 0) throw notFound('key');
    await context.revocations.announce();
    return c.json({ success: true });
  });
}
