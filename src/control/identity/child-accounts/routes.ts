/**
 * Routes: what a parent does with its child accounts. Every statement names the parent in its WHERE, so somebody
 * else's child simply does not exist. A child never reaches these routes.
 */
import { Hono } from 'hono';
import * as z from 'zod';
import { isUniqueViolation } from '../../store/faults.ts';
import { removeUser, storePassword } from '../accounts/change-password.ts';
import { ownerOf } from '../accounts/guard.ts';
import { publicUser, usernameTaken } from '../accounts/register.ts';
import { endSessions, openSessions, publicSession } from '../accounts/routes.ts';
import { endAllAccess, insertUser } from '../accounts/users.ts';
import { type Actor, requireRecentProof } from '../actor.ts';
import type { IdentityContext } from '../context.ts';
import * as field from '../fields.ts';
import { actorOf, type Env } from '../http/actor.ts';
import { readBody } from '../http/validate.ts';
import { checkNewPassword } from '../password-hashing/policy.ts';
import { conflict, forbidden, invalidField, notFound } from '../problem.ts';
import type { ShownChild } from '../responses.ts';
import type { User } from '../tables.ts';
import { ageOf } from './rules.ts';
import { childRules, readRules } from './rules-schema.ts';

const newChild = z.strictObject({
  username: field.username,
  password: field.password,
  displayName: field.displayName.optional(),
  birthDate: field.birthDate,
  rules: childRules.prefault({}),
});

const change = z.strictObject({
  displayName: field.displayName.nullable().optional(),
  birthDate: field.birthDate.optional(),
  rules: childRules.optional(),
  enabled: z.boolean('true or false').optional(),
});

const ADULT = 18;

/** What each operation is sent (its body, or the query of a GET); api-description.ts describes them. */
export const childBodies = {
  'POST /children': newChild,
  'PATCH /children/:id': change,
  'POST /children/:id/password': z.strictObject({ newPassword: field.password }),
};

export function childRoutes(context: IdentityContext): Hono<Env> {
  const app = new Hono<Env>();
  const { store } = context;

  const parentOf = async (c: Parameters<typeof actorOf>[1]): Promise<Actor> => {
    const actor = await actorOf(context, c);
    if (actor.user.kind !== 'user') throw forbidden('only a parent account may do this', 'not_a_parent');
    if (c.req.method !== 'GET' && actor.session.scopes !== null)
      throw forbidden('sign in without naming scopes for this', 'narrowed_session');
    // An administrator looks after an account, but does not raise its children unseen.
    if (actor.session.actor_id !== null && c.req.method !== 'GET')
      throw forbidden('not while impersonating', 'impersonating');
    return actor;
  };

  const childOf = async (parent: Actor, id: string): Promise<User> => {
    const child = await store.db
      .selectFrom('users')
      .selectAll()
      .where('id', '=', id)
      .where('parent_id', '=', parent.user.id)
      .where('kind', '=', 'child')
      .executeTakeFirst();
    if (child === undefined) throw notFound('child account');
    return child;
  };

  const checkBirthDate = (birthDate: string): void => {
    const age = ageOf(birthDate, context.clock.wallMs()) ?? -1;
    if (age < 0 || age >= ADULT) throw invalidField('birthDate', 'a date less than 18 years ago', birthDate);
  };

  app.get('/children', async (c) => {
    const parent = await parentOf(c);
    const rows = await store.db
      .selectFrom('users')
      .selectAll()
      .where('parent_id', '=', parent.user.id)
      .orderBy('created_at')
      .execute();
    return c.json({ children: rows.map(publicChild) });
  });

  app.post('/children', async (c) => {
    const parent = await parentOf(c);
    await requireRecentProof(context, parent);
    const body = await readBody(c.req.raw, childBodies['POST /children']);
    checkBirthDate(body.birthDate);
    checkNewPassword(body.password, [body.username, body.displayName], context.options.passwords);
    const passwordHash = await context.hasher.hash(body.password, ownerOf(c.get('caller')));
    const child = await store
      .transaction(async (trx) => {
        // The parent's row orders two requests at once, so that together they do not pass the limit.
        await trx
          .updateTable('users')
          .set({ updated_at: context.clock.wallMs() })
          .where('id', '=', parent.user.id)
          .execute();
        const siblings = await trx.selectFrom('users').select('id').where('parent_id', '=', parent.user.id).execute();
        if (siblings.length >= context.options.maxChildren) {
          throw conflict('too_many_children', `an account may have ${context.options.maxChildren} child accounts`);
        }
        const made = await insertUser(context, trx, {
          kind: 'child',
          username: body.username,
          displayName: body.displayName ?? null,
          birthDate: body.birthDate,
          passwordHash,
          plan: parent.access.plan,
          parentId: parent.user.id,
          childRules: JSON.stringify(body.rules),
          roles: ['child'],
        });
        await context.mails.tell(trx, parent.user, 'childMade', { name: body.username });
        await context.audit.append(trx, entry(parent, 'child.created', made.id, c.get('caller').requestId));
        return made;
      })
      .catch((error: unknown) => {
        throw isUniqueViolation(error) ? usernameTaken() : error;
      });
    context.outbox.nudge();
    return c.json(publicChild(child), 201);
  });

  app.get('/children/:id', async (c) => c.json(publicChild(await childOf(await parentOf(c), c.req.param('id')))));

  app.patch('/children/:id', async (c) => {
    const parent = await parentOf(c);
    const child = await childOf(parent, c.req.param('id'));
    const body = await readBody(c.req.raw, childBodies['PATCH /children/:id']);
    if (body.birthDate !== undefined) checkBirthDate(body.birthDate);
    const changed = await store.transaction(async (trx) => {
      const row = await trx
        .updateTable('users')
        .set({
          updated_at: context.clock.wallMs(),
          ...(body.displayName === undefined ? {} : { display_name: body.displayName }),
          ...(body.birthDate === undefined ? {} : { birth_date: body.birthDate }),
          ...(body.rules === undefined ? {} : { child_rules: JSON.stringify(body.rules) }),
          // An administrator's decision stays an administrator's to take back.
          ...(body.enabled === undefined || child.disabled_reason === 'administrator'
            ? {}
            : {
                status: body.enabled ? ('active' as const) : ('disabled' as const),
                disabled_reason: body.enabled ? null : 'parent',
              }),
        })
        .where('id', '=', child.id)
        .where('parent_id', '=', parent.user.id)
        .returningAll()
        .executeTakeFirst();
      if (row === undefined) throw notFound('child account');
      // Narrower rules must not wait for tokens to expire.
      await endAllAccess(context, trx, child.id, 'rules changed by parent');
      const detail = { fields: Object.keys(body) };
      await context.audit.append(trx, {
        ...entry(parent, 'child.changed', child.id, c.get('caller').requestId),
        detail,
      });
      return row;
    });
    await context.revocations.announce();
    return c.json(publicChild(changed));
  });

  app.delete('/children/:id', async (c) => {
    const parent = await parentOf(c);
    const child = await childOf(parent, c.req.param('id'));
    await store.transaction(async (trx) => {
      await removeUser(context, trx, child.id);
      await context.audit.append(trx, entry(parent, 'child.deleted', child.id, c.get('caller').requestId));
    });
    await context.revocations.announce();
    return c.json({ success: true });
  });

  app.post('/children/:id/password', async (c) => {
    const parent = await parentOf(c);
    await requireRecentProof(context, parent);
    const child = await childOf(parent, c.req.param('id'));
    const body = await readBody(c.req.raw, childBodies['POST /children/:id/password']);
    checkNewPassword(body.newPassword, [child.username, child.display_name], context.options.passwords, 'newPassword');
    const hash = await context.hasher.hash(body.newPassword, ownerOf(c.get('caller')));
    await store.transaction(async (trx) => {
      await storePassword(context, trx, child, hash, 'password set by parent');
      await context.audit.append(trx, entry(parent, 'child.password-set', child.id, c.get('caller').requestId));
    });
    await context.revocations.announce();
    return c.json({ success: true });
  });

  app.get('/children/:id/sessions', async (c) => {
    const parent = await parentOf(c);
    const child = await childOf(parent, c.req.param('id'));
    return c.json({ sessions: (await openSessions(context, child.id)).map((row) => publicSession(row, '')) });
  });

  app.delete('/children/:id/sessions', async (c) => {
    const parent = await parentOf(c);
    const child = await childOf(parent, c.req.param('id'));
    const ended = await endSessions(context, { userId: child.id }, parent.name, c.get('caller').requestId, true);
    return c.json({ ended });
  });

  app.delete('/children/:id/sessions/:session', async (c) => {
    const parent = await parentOf(c);
    const child = await childOf(parent, c.req.param('id'));
    const which = { id: c.req.param('session'), userId: child.id };
    await endSessions(context, which, parent.name, c.get('caller').requestId);
    return c.json({ success: true });
  });

  const entry = (parent: Actor, action: string, target: string, requestId: string) => ({
    actor: parent.name,
    action,
    target,
    requestId,
  });

  return app;
}

function publicChild(child: User): ShownChild {
  return { ...publicUser(child), rules: readRules(child) };
}
