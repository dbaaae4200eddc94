/**
 * Routes: what administrators do with accounts, whoever says that they are administrators: a session of this service,
 * or the admin API. Every change is in the audit log with the administrator's name.
 */
import { type Context, Hono } from 'hono';
import { sql } from 'kysely';
import * as z from 'zod';
import { isUniqueViolation } from '../../store/faults.ts';
import { type Actor, requireOwnHands, requireRecentProof } from '../actor.ts';
import type { IdentityContext } from '../context.ts';
import * as field from '../fields.ts';
import { adminOf, type Env } from '../http/actor.ts';
import { readBody, readQuery } from '../http/validate.ts';
import { checkNewPassword } from '../password-hashing/policy.ts';
import { knownPlan } from '../plans.ts';
import { invalidField, notFound } from '../problem.ts';
import { impersonate } from '../sessions/impersonate.ts';
import type { User } from '../tables.ts';
import { ADMIN_SCOPE, accessOf, allRoles, rolesOf } from './access.ts';
import { refuseLastAdmin, removeUser, storePassword } from './change-password.ts';
import { ownerOf } from './guard.ts';
import { knownLanguage } from './language.ts';
import { publicUser, usernameTaken } from './register.ts';
import { addAccessRoutes, adminAccessBodies } from './routes-admin-access.ts';
import { endAllAccess, findById, insertUser } from './users.ts';

const roleList = z.array(field.role, 'a list of roles').max(20, 'at most 20 roles');

const newUser = z.strictObject({
  kind: z.enum(['user', 'service'], '"user" or "service"').default('user'),
  email: field.email.optional(),
  username: field.username.optional(),
  password: field.password.optional(),
  displayName: field.displayName.optional(),
  plan: field.plan.optional(),
  roles: roleList.optional(),
  language: field.language.optional(),
});

const change = z.strictObject({
  status: z.enum(['active', 'disabled'], '"active" or "disabled"').optional(),
  plan: field.plan.optional(),
  roles: roleList.optional(),
  displayName: field.displayName.nullable().optional(),
  language: field.language.nullable().optional(),
});

const search = z.strictObject({
  q: z.string('a text').max(100, 'at most 100 characters').optional(),
  status: z.enum(['active', 'disabled'], '"active" or "disabled"').optional(),
  after: field.id.optional(),
  limit: field.pageSize,
});

/** What each operation is sent (its body, or the query of a GET); api-description.ts describes them. */
export const adminBodies = {
  'GET /admin/users': search,
  'POST /admin/users': newUser,
  'PATCH /admin/users/:id': change,
  'POST /admin/users/:id/password': z.strictObject({ newPassword: field.password }),
  ...adminAccessBodies,
};

/** How the routes find out who asks. */
interface Guard<A extends { readonly name: string }> {
  /** Throws unless an administrator asks. */
  admin(c: Context<Env>): Promise<A>;
  /** Throws unless it was proven just now who it is: for what opens another way in. */
  recentProof(actor: A): Promise<void>;
}

/** For administrators with a session. */
export function adminRoutes(context: IdentityContext): Hono<Env> {
  const guard: Guard<Actor> = {
    // Changes need a present second factor when the administrator has one.
    async admin(c) {
      const actor = await adminOf(context, c, ADMIN_SCOPE);
      if (c.req.method !== 'GET') await requireOwnHands(context, actor);
      return actor;
    },
    recentProof: (actor) => requireRecentProof(context, actor),
  };
  const app = guardedRoutes(context, guard);
  app.post('/admin/users/:id/impersonate', async (c) => {
    const actor = await guard.admin(c);
    await guard.recentProof(actor);
    const user = await findById(context.store.db, c.req.param('id'));
    if (user === undefined) throw notFound('account');
    return c.json(await impersonate(context, actor, user, c.get('caller')), 201);
  });
  return app;
}

/** For the admin API, which has found out who asks. Nobody takes the place of an account through it. */
export function operatorRoutes(context: IdentityContext, nameOf: (c: Context<Env>) => string): Hono<Env> {
  return guardedRoutes(context, { admin: async (c) => ({ name: nameOf(c) }), recentProof: async () => {} });
}

function guardedRoutes<A extends { readonly name: string }>(context: IdentityContext, guard: Guard<A>): Hono<Env> {
  const app = new Hono<Env>();
  const { store } = context;
  const { admin } = guard;
  type Ctx = Context<Env>;

  const target = async (c: Ctx): Promise<User> => {
    const user = await findById(store.db, c.req.param('id') ?? '');
    if (user === undefined) throw notFound('account');
    return user;
  };
  const entry = (c: Ctx, actor: A, action: string, id: string) => {
    const { address, requestId } = c.get('caller');
    return { actor: actor.name, action, target: id, address, requestId };
  };
  const checkRoles = async (roles: readonly string[]): Promise<void> => {
    const known = await allRoles(context, store.db);
    const unknown = roles.find((role) => !known.has(role) || role === 'child');
    if (unknown !== undefined)
      throw invalidField('roles', `roles among ${[...known.keys()].filter((r) => r !== 'child').join(', ')}`, unknown);
  };

  app.get('/admin/users', async (c) => {
    await admin(c);
    const { q, status, after, limit } = readQuery(c.req.url, adminBodies['GET /admin/users']);
    let query = store.db.selectFrom('users').selectAll().orderBy('id').limit(limit);
    if (after !== undefined) query = query.where('id', '>', after);
    if (status !== undefined) query = query.where('status', '=', status);
    if (q !== undefined) {
      // By what stands at the beginning; `_` and `%` mean themselves.
      const begins = `${q.toLowerCase().replace(/[\\%_]/g, '\\$&')}%`;
      query = query.where((eb) =>
        eb.or([
          eb('id', '=', q),
          sql<boolean>`email like ${begins} escape '\\'`,
          sql<boolean>`username_key like ${begins} escape '\\'`,
        ]),
      );
    }
    const rows = await query.execute();
    return c.json({ users: rows.map(publicUser), next: rows.length === limit ? rows.at(-1)?.id : null });
  });

  app.post('/admin/users', async (c) => {
    const actor = await admin(c);
    await guard.recentProof(actor);
    const body = await readBody(c.req.raw, adminBodies['POST /admin/users']);
    const roles = body.roles ?? (body.kind === 'service' ? ['service'] : context.options.defaultRoles);
    await checkRoles(roles);
    if (body.kind === 'service' && body.password !== undefined)
      throw invalidField('password', 'none: services use keys and tokens');
    if (body.kind === 'user' && body.email === undefined && body.username === undefined) {
      throw invalidField('email', 'an address or a user name');
    }
    let passwordHash: string | null = null;
    if (body.password !== undefined) {
      checkNewPassword(body.password, [body.email, body.username], context.options.passwords);
      passwordHash = await context.hasher.hash(body.password, ownerOf(c.get('caller')));
    }
    const { kind, email, username, displayName, plan } = body;
    const language = body.language === undefined ? null : knownLanguage(context, body.language);
    const user = await store
      .transaction(async (trx) => {
        const names = { email: email ?? null, username: username ?? null, displayName: displayName ?? null };
        const more = plan === undefined ? {} : { plan: knownPlan(context, plan) };
        const made = await insertUser(context, trx, {
          kind,
          ...names,
          ...more,
          passwordHash,
          emailVerified: email !== undefined,
          roles,
          language,
        });
        await context.audit.append(trx, { ...entry(c, actor, 'user.created', made.id), detail: { roles: [...roles] } });
        return made;
      })
      .catch((error: unknown) => {
        throw isUniqueViolation(error) ? usernameTaken() : error;
      });
    return c.json({ ...publicUser(user), roles }, 201);
  });

  app.get('/admin/users/:id', async (c) => {
    await admin(c);
    const user = await target(c);
    const access = await accessOf(context, store.db, user);
    const roles = await rolesOf(store.db, user.id);
    const more = { disabledReason: user.disabled_reason, roles, scopes: access?.scopes ?? [] };
    return c.json({ ...publicUser(user), ...more, languages: context.options.pages.languages });
  });

  app.patch('/admin/users/:id', async (c) => {
    const actor = await admin(c);
    const user = await target(c);
    const body = await readBody(c.req.raw, adminBodies['PATCH /admin/users/:id']);
    if (body.roles !== undefined) {
      await guard.recentProof(actor);
      if (user.kind === 'child') throw invalidField('roles', 'no roles: a child has what its parent allows');
      await checkRoles(body.roles);
    }
    const language = body.language == null ? body.language : knownLanguage(context, body.language);
    await store.transaction(async (trx) => {
      const disables = body.status === 'disabled' && user.status === 'active';
      const demotes = body.roles !== undefined && !body.roles.includes('admin');
      if (disables || demotes) await refuseLastAdmin(context, trx, user.id);
      await trx
        .updateTable('users')
        .set({
          updated_at: context.clock.wallMs(),
          ...(body.status === undefined
            ? {}
            : { status: body.status, disabled_reason: body.status === 'active' ? null : 'administrator' }),
          ...(body.plan === undefined ? {} : { plan: knownPlan(context, body.plan) }),
          ...(body.displayName === undefined ? {} : { display_name: body.displayName }),
          ...(language === undefined ? {} : { language }),
        })
        .where('id', '=', user.id)
        .execute();
      if (body.roles !== undefined) {
        await trx.deleteFrom('user_roles').where('user_id', '=', user.id).execute();
        for (const role of new Set(body.roles))
          await trx.insertInto('user_roles').values({ user_id: user.id, role }).execute();
      }
      // Disabled, or with fewer roles: what was given before ends now. Keys stay, and are checked by status and scope.
      if (disables || body.roles !== undefined) {
        await endAllAccess(context, trx, user.id, disables ? 'account disabled' : 'roles changed');
        const children = await trx.selectFrom('users').select('id').where('parent_id', '=', user.id).execute();
        for (const child of children) await endAllAccess(context, trx, child.id, 'parent changed');
      }
      const detail = {
        fields: Object.keys(body),
        ...(body.roles === undefined ? {} : { roles: body.roles }),
        status: body.status ?? null,
      };
      await context.audit.append(trx, {
        ...entry(c, actor, disables ? 'user.disabled' : 'user.changed', user.id),
        detail,
      });
    });
    await context.revocations.announce();
    const after = await target(c);
    return c.json({ ...publicUser(after), roles: await rolesOf(store.db, user.id) });
  });

  app.delete('/admin/users/:id', async (c) => {
    const actor = await admin(c);
    const user = await target(c);
    await store.transaction(async (trx) => {
      await refuseLastAdmin(context, trx, user.id);
      const children = await trx.selectFrom('users').select('id').where('parent_id', '=', user.id).execute();
      for (const { id } of [...children, user]) await removeUser(context, trx, id);
      await context.audit.append(trx, {
        ...entry(c, actor, 'user.deleted', user.id),
        detail: { children: children.length },
      });
    });
    await context.revocations.announce();
    return c.json({ success: true });
  });

  app.post('/admin/users/:id/password', async (c) => {
    const actor = await admin(c);
    await guard.recentProof(actor);
    const user = await target(c);
    const body = await readBody(c.req.raw, adminBodies['POST /admin/users/:id/password']);
    checkNewPassword(body.newPassword, [user.email, user.username], context.options.passwords, 'newPassword');
    const hash = await context.hasher.hash(body.newPassword, ownerOf(c.get('caller')));
    await store.transaction(async (trx) => {
      await storePassword(context, trx, user, hash, 'password set by administrator');
      await context.audit.append(trx, entry(c, actor, 'password.set', user.id));
    });
    await context.revocations.announce();
    context.outbox.nudge();
    return c.json({ success: true });
  });

  /** For a lost device without recovery codes. Ends all sessions: whoever asked may not have been the person. */
  app.delete('/admin/users/:id/mfa', async (c) => {
    const actor = await admin(c);
    const user = await target(c);
    await store.transaction(async (trx) => {
      await trx.deleteFrom('mfa_totp').where('user_id', '=', user.id).execute();
      await trx.deleteFrom('passkeys').where('user_id', '=', user.id).execute();
      await trx.deleteFrom('recovery_codes').where('user_id', '=', user.id).execute();
      await endAllAccess(context, trx, user.id, 'second factors removed');
      await context.mails.tell(trx, user, 'factorsRemovedFor');
      await context.audit.append(trx, entry(c, actor, 'mfa.removed', user.id));
    });
    await context.revocations.announce();
    context.outbox.nudge();
    return c.json({ success: true });
  });

  addAccessRoutes(app, context, guard);
  return app;
}
