/** Routes: the signed-in account itself: profile, sessions, password, address, deletion. */
import { Hono } from 'hono';
import * as z from 'zod';
import { requireOwnHands, requireRecentProof } from '../actor.ts';
import type { IdentityContext } from '../context.ts';
import * as field from '../fields.ts';
import { actorOf, type Env } from '../http/actor.ts';
import { readBody, readOptionalBody, readQuery } from '../http/validate.ts';
import { factorsOf } from '../mfa/factors.ts';
import { endGrants } from '../oauth/grants.ts';
import { forbidden, notFound } from '../problem.ts';
import type { ShownSession } from '../responses.ts';
import { revokeSessions } from '../sessions/sessions.ts';
import type { Session } from '../tables.ts';
import { changePassword, deleteAccount, provePassword, requestReset, resetPassword } from './change-password.ts';
import { changeProfile } from './profile.ts';
import { publicUser } from './register.ts';
import { mayMail } from './users.ts';

/** With a new password: take the other ways into the account away as well. */
const otherWaysIn = {
  removePasskeys: z.boolean('true or false').default(false),
  removeLinks: z.boolean('true or false').default(false),
};

/** What each operation is sent (its body, or the query of a GET); api-description.ts describes them. */
export const accountBodies = {
  'PATCH /me': z.strictObject({
    displayName: field.displayName.nullable().optional(),
    username: field.username.optional(),
    language: field.language.nullable().optional(),
  }),
  'DELETE /me': z.strictObject({
    password: field.password.optional(),
    deleteChildren: z.boolean('true or false').default(false),
  }),
  'POST /me/email': z.strictObject({ email: field.email, password: field.password }),
  'POST /password': z.strictObject({ currentPassword: field.password, newPassword: field.password, ...otherWaysIn }),
  'POST /password/forgot': z.strictObject({ email: field.email }),
  'POST /password/reset': z.strictObject({
    token: field.opaque('the code of the mail'),
    newPassword: field.password,
    ...otherWaysIn,
  }),
  'POST /logout/all': z.strictObject({}),
  'DELETE /sessions': z.strictObject({
    all: z.enum(['true', 'false'], 'true or false').optional().describe('`true`: this session as well.'),
  }),
};

export function accountRoutes(context: IdentityContext): Hono<Env> {
  const app = new Hono<Env>();

  app.get('/me', async (c) => {
    const { user, access, session } = await actorOf(context, c, true);
    const factors = await factorsOf(context.store.db, user.id);
    const { roles, scopes, plan } = access;
    return c.json({ ...publicUser(user), plan, roles, scopes, factors, sessionId: session.id });
  });

  app.patch('/me', async (c) => {
    const actor = await actorOf(context, c);
    const body = await readBody(c.req.raw, accountBodies['PATCH /me']);
    // A child's name is part of what its parent sees it by.
    if (actor.user.kind === 'child') throw forbidden('a parent changes this', 'child_account');
    return c.json(publicUser(await changeProfile(context, actor, body, c.get('caller'))));
  });

  app.delete('/me', async (c) => {
    const actor = await actorOf(context, c);
    const body = await readBody(c.req.raw, accountBodies['DELETE /me']);
    if (actor.user.kind === 'child') throw forbidden('a parent deletes this account', 'child_account');
    await requireRecentProof(context, actor);
    await deleteAccount(context, actor, body.password, body.deleteChildren, c.get('caller'));
    return c.json({ success: true });
  });

  app.post('/me/email', async (c) => {
    const actor = await actorOf(context, c);
    const body = await readBody(c.req.raw, accountBodies['POST /me/email']);
    if (actor.user.kind === 'child') throw forbidden('a child account has no address', 'child_account');
    await requireOwnHands(context, actor);
    await provePassword(context, actor.user, body.password, c.get('caller'));
    await context.store.transaction(async (trx) => {
      const about = { userId: actor.user.id, payload: { email: body.email }, ttlMs: 86_400_000 };
      const code = await context.codes.issue(trx, 'verify-email', about);
      const to = { email: body.email, language: actor.user.language };
      if (await mayMail(context, trx, body.email)) await context.mails.verifyNewEmail(trx, to, code);
    });
    context.outbox.nudge();
    return c.json({ status: 'verification_sent' }, 202);
  });

  app.get('/sessions', async (c) => {
    const actor = await actorOf(context, c);
    return c.json({
      sessions: (await openSessions(context, actor.user.id)).map((row) => publicSession(row, actor.session.id)),
    });
  });

  app.delete('/sessions/:id', async (c) => {
    const actor = await actorOf(context, c);
    await endSessions(context, { id: c.req.param('id'), userId: actor.user.id }, actor.name, c.get('caller').requestId);
    return c.json({ success: true });
  });

  /** All others, or with `?all=true` all of them. */
  app.delete('/sessions', async (c) => {
    const actor = await actorOf(context, c);
    const { all } = readQuery(c.req.url, accountBodies['DELETE /sessions']);
    const except = all === 'true' ? {} : { exceptId: actor.session.id };
    const which = { userId: actor.user.id, ...except };
    return c.json({ ended: await endSessions(context, which, actor.name, c.get('caller').requestId, true) });
  });

  app.post('/password', async (c) => {
    const actor = await actorOf(context, c);
    const body = await readBody(c.req.raw, accountBodies['POST /password']);
    if (actor.session.actor_id !== null) throw forbidden('not while impersonating', 'impersonating');
    // The current password is the proof; taking ways in away needs the second factor as well.
    if (body.removePasskeys || body.removeLinks) await requireOwnHands(context, actor);
    const { currentPassword, newPassword, ...remove } = body;
    const left = await changePassword(context, actor, currentPassword, newPassword, remove, c.get('caller'));
    return c.json({ success: true, ...left });
  });

  app.post('/password/forgot', async (c) => {
    const body = await readBody(c.req.raw, accountBodies['POST /password/forgot']);
    await requestReset(context, body.email, c.get('caller'));
    return c.json({ status: 'sent', message: 'if an account has this address, a mail is on its way' }, 202);
  });

  app.post('/password/reset', async (c) => {
    const body = await readBody(c.req.raw, accountBodies['POST /password/reset']);
    const { token, newPassword, ...remove } = body;
    return c.json({ success: true, ...(await resetPassword(context, token, newPassword, remove, c.get('caller'))) });
  });

  app.post('/logout/all', async (c) => {
    await readOptionalBody(c.req.raw, accountBodies['POST /logout/all']);
    const actor = await actorOf(context, c);
    return c.json({ ended: await endEverywhere(context, actor.user.id, actor.name, c.get('caller').requestId) });
  });

  return app;
}

export async function openSessions(context: IdentityContext, userId: string): Promise<Session[]> {
  return await context.store.db
    .selectFrom('sessions')
    .selectAll()
    .where('user_id', '=', userId)
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', context.clock.wallMs())
    .orderBy('last_seen_at', 'desc')
    .limit(1_000)
    .execute();
}

/** All sessions, and with them what applications may do for the account; returns the number of sessions. */
export async function endEverywhere(
  context: IdentityContext,
  userId: string,
  actor: string,
  requestId: string,
): Promise<number> {
  await context.store.transaction((trx) => endGrants(trx, userId));
  return await endSessions(context, { userId }, actor, requestId, true);
}

/** Throws 404 when a single session is not found, so that nobody learns whose an id is. */
export async function endSessions(
  context: IdentityContext,
  which: { id?: string; userId: string; exceptId?: string },
  actor: string,
  requestId: string,
  many = false,
): Promise<number> {
  const ended = await context.store.transaction(async (trx) => {
    const ids = await revokeSessions(context, trx, which, 'ended by request');
    if (ids.length > 0) {
      const target = which.id ?? which.userId;
      const detail = { sessions: ids.length };
      await context.audit.append(trx, { actor, action: 'session.ended', target, requestId, detail });
    }
    return ids;
  });
  if (ended.length === 0 && !many) throw notFound('session');
  await context.revocations.announce();
  return ended.length;
}

export function publicSession(row: Session, currentId: string): ShownSession {
  return {
    id: row.id,
    current: row.id === currentId,
    device: row.user_agent,
    address: row.address,
    place: row.place,
    createdAt: new Date(row.created_at).toISOString(),
    lastSeenAt: new Date(row.last_seen_at).toISOString(),
    expiresAt: new Date(row.expires_at).toISOString(),
    methods: JSON.parse(row.amr),
    impersonated: row.actor_id !== null,
  };
}
