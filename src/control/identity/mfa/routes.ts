/** Routes: second factors: authenticator app, recovery codes, passkeys, step-up. */
import { Hono } from 'hono';
import * as z from 'zod';
import { provePassword } from '../accounts/change-password.ts';
import { completeSignIn } from '../accounts/sign-in.ts';
import { type Actor, hasFactor, requireRecentProof } from '../actor.ts';
import type { IdentityContext } from '../context.ts';
import * as field from '../fields.ts';
import { actorOf, type Env } from '../http/actor.ts';
import { knowDevice } from '../http/device-cookie.ts';
import { readBody } from '../http/validate.ts';
import { badCredentials, conflict, forbidden, invalidCode, notFound } from '../problem.ts';
import type { TokenAnswer } from '../responses.ts';
import { answerFor, revokeSessions } from '../sessions/sessions.ts';
import { factorsOf } from './factors.ts';
import { addPasskey, passkeyChallenge, passkeyRegistration, takePasskey } from './passkeys.ts';
import { makeRecoveryCodes } from './recovery.ts';
import { takeFactor } from './ticket.ts';
import { enrolTotp, takeTotp } from './totp.ts';

const passkeyAnswer = z.record(z.string(), z.unknown(), 'the answer of the authenticator');

/** What each operation is sent (its body, or the query of a GET); api-description.ts describes them. */
export const mfaBodies = {
  'POST /mfa/totp/confirm': z.strictObject({ code: field.totpCode }),
  'POST /mfa/passkeys': z.strictObject({ name: field.displayName, response: passkeyAnswer }),
  'POST /mfa/step-up': z.strictObject({
    code: field.totpCode.optional(),
    recoveryCode: field.recoveryCode.optional(),
    passkey: passkeyAnswer.optional(),
    password: field.password.optional(),
  }),
  'POST /login/passkey': z.strictObject({ passkey: passkeyAnswer, scope: field.scopeText.optional() }),
};

export function mfaRoutes(context: IdentityContext): Hono<Env> {
  const app = new Hono<Env>();
  const { store } = context;

  /** May change factors: the owner, with a present factor if there is one. */
  const owner = async (c: Parameters<typeof actorOf>[1]): Promise<Actor> => {
    const actor = await actorOf(context, c, true);
    if (actor.user.kind === 'child') throw forbidden('a child account has no second factors', 'child_account');
    await requireRecentProof(context, actor);
    return actor;
  };

  app.get('/mfa', async (c) => {
    const actor = await actorOf(context, c, true);
    const rows = await store.db
      .selectFrom('passkeys')
      .select(['id', 'name', 'created_at', 'last_used_at'])
      .where('user_id', '=', actor.user.id)
      .execute();
    const passkeys = rows.map(({ id, name, created_at, last_used_at }) => ({
      id,
      name,
      createdAt: new Date(created_at).toISOString(),
      lastUsedAt: last_used_at === null ? null : new Date(last_used_at).toISOString(),
    }));
    const unused = await store.db
      .selectFrom('recovery_codes')
      .select('hash')
      .where('user_id', '=', actor.user.id)
      .where('used_at', 'is', null)
      .execute();
    const factors = await factorsOf(store.db, actor.user.id);
    return c.json({ factors, required: actor.access.mfaRequired, passkeys, recoveryCodesLeft: unused.length });
  });

  app.post('/mfa/totp', async (c) => {
    const actor = await owner(c);
    const enrolled = await enrolTotp(context, store.db, actor.user);
    if (enrolled === undefined)
      throw conflict('totp_active', 'an authenticator app is set up already; remove it first');
    return c.json(enrolled, 201);
  });

  app.post('/mfa/totp/confirm', async (c) => {
    const actor = await owner(c);
    const body = await readBody(c.req.raw, mfaBodies['POST /mfa/totp/confirm']);
    const hadNone = (await factorsOf(store.db, actor.user.id)).length === 0;
    const codes = await store.transaction(async (trx) => {
      if (!(await takeTotp(context, trx, actor.user.id, body.code, true))) throw invalidCode();
      await markProven(actor, trx, ['otp']);
      return await firstCodes(actor, trx, 'mfa.totp-added', hadNone);
    });
    await context.revocations.announce();
    context.outbox.nudge();
    return c.json({ recoveryCodes: codes, ...(await freshTokens(actor)) });
  });

  app.delete('/mfa/totp', async (c) => {
    const actor = await owner(c);
    await store.transaction(async (trx) => {
      const gone = await trx
        .deleteFrom('mfa_totp')
        .where('user_id', '=', actor.user.id)
        .returning('user_id')
        .executeTakeFirst();
      if (gone === undefined) throw notFound('authenticator app');
      await afterRemoval(actor, trx, 'mfa.totp-removed');
    });
    context.outbox.nudge();
    return c.json({ success: true });
  });

  app.post('/mfa/recovery-codes', async (c) => {
    const actor = await owner(c);
    if ((await factorsOf(store.db, actor.user.id)).length === 0)
      throw conflict('no_factor', 'set up a second factor first');
    const codes = await store.transaction(async (trx) => {
      const made = await makeRecoveryCodes(context, trx, actor.user.id);
      await context.mails.tell(trx, actor.user, 'codesMade');
      await context.audit.append(trx, { actor: actor.name, action: 'mfa.recovery-codes-made', target: actor.user.id });
      return made;
    });
    context.outbox.nudge();
    return c.json({ recoveryCodes: codes }, 201);
  });

  app.post('/mfa/passkeys/options', async (c) => c.json(await passkeyRegistration(context, (await owner(c)).user)));

  app.post('/mfa/passkeys', async (c) => {
    const actor = await owner(c);
    const body = await readBody(c.req.raw, mfaBodies['POST /mfa/passkeys']);
    const hadNone = (await factorsOf(store.db, actor.user.id)).length === 0;
    const id = await addPasskey(context, actor.user, body.response, body.name);
    const codes = await store.transaction(async (trx) => {
      await markProven(actor, trx, ['hwk']);
      if (hadNone) return await firstCodes(actor, trx, 'mfa.recovery-codes-made', true);
      await context.mails.tell(trx, actor.user, 'factorAdded');
      return undefined;
    });
    await context.revocations.announce();
    context.outbox.nudge();
    const more = codes === undefined ? {} : { recoveryCodes: codes };
    return c.json({ id, ...more, ...(await freshTokens(actor)) }, 201);
  });

  app.delete('/mfa/passkeys/:id', async (c) => {
    const actor = await owner(c);
    await store.transaction(async (trx) => {
      const gone = await trx
        .deleteFrom('passkeys')
        .where('id', '=', c.req.param('id'))
        .where('user_id', '=', actor.user.id)
        .returning('id')
        .executeTakeFirst();
      if (gone === undefined) throw notFound('passkey');
      await afterRemoval(actor, trx, 'mfa.passkey-removed');
    });
    context.outbox.nudge();
    return c.json({ success: true });
  });

  /**
   * Proves a factor again in a running session, or the password where there is no factor; the response is an access
   * token with the new proof in it.
   */
  app.post('/mfa/step-up', async (c) => {
    const actor = await actorOf(context, c, true);
    if (actor.session.actor_id !== null) throw forbidden('not while impersonating', 'impersonating');
    const { password, ...body } = await readBody(c.req.raw, mfaBodies['POST /mfa/step-up']);
    if (password !== undefined && !(await hasFactor(context, actor))) {
      await provePassword(context, actor.user, password, c.get('caller'));
      await store.transaction(async (trx) => {
        const now = context.clock.wallMs();
        await trx.updateTable('sessions').set({ auth_at: now }).where('id', '=', actor.session.id).execute();
        await context.audit.append(trx, { actor: actor.name, action: 'password.proven', target: actor.session.id });
      });
      return c.json(await freshTokens(actor));
    }
    const caller = c.get('caller');
    const amr = await context.guard.attempt(store.db, caller.address, () =>
      takeFactor(context, actor.user, body, caller),
    );
    await store.transaction((trx) => markProven(actor, trx, amr));
    return c.json(await freshTokens(actor));
  });

  /** A challenge for the signed-in account (step-up) or, without a token, for anybody (sign-in). */
  app.post('/passkeys/challenge', async (c) => {
    const signedIn = c.req.header('authorization') !== undefined;
    return c.json(await passkeyChallenge(context, signedIn ? (await actorOf(context, c)).user.id : null));
  });

  /** Signing in with a passkey alone: possession and the device's own check of the person are two factors. */
  app.post('/login/passkey', async (c) => {
    const body = await readBody(c.req.raw, mfaBodies['POST /login/passkey']);
    const caller = c.get('caller');
    await context.guard.checkAddress(store.db, caller.address);
    const user = await context.guard.attempt(store.db, caller.address, () => takePasskey(context, body.passkey));
    if (user === undefined) throw badCredentials();
    const facts = { amr: ['hwk', 'user', 'mfa'], mfaAt: context.clock.wallMs(), scopes: body.scope ?? null };
    const tokens = await completeSignIn(context, user, facts, caller);
    knowDevice(context, c, user.id);
    return c.json(tokens);
  });

  type Trx = Parameters<Parameters<typeof store.transaction>[0]>[0];

  async function markProven(actor: Actor, trx: Trx, amr: readonly string[]): Promise<void> {
    const all = [...new Set([...(JSON.parse(actor.session.amr) as string[]), ...amr, 'mfa'])];
    const now = context.clock.wallMs();
    await trx
      .updateTable('sessions')
      .set({ mfa_at: now, auth_at: now, amr: JSON.stringify(all) })
      .where('id', '=', actor.session.id)
      .execute();
    await context.audit.append(trx, { actor: actor.name, action: 'mfa.proven', target: actor.session.id });
  }

  async function firstCodes(actor: Actor, trx: Trx, action: string, isFirst: boolean): Promise<string[]> {
    // Sessions from before never gave a factor: whoever holds one must sign in with it.
    if (isFirst)
      await revokeSessions(context, trx, { userId: actor.user.id, exceptId: actor.session.id }, 'second factor added');
    const codes = await makeRecoveryCodes(context, trx, actor.user.id);
    await context.mails.tell(trx, actor.user, 'factorAdded');
    await context.audit.append(trx, { actor: actor.name, action, target: actor.user.id });
    return codes;
  }

  async function afterRemoval(actor: Actor, trx: Trx, action: string): Promise<void> {
    const left = await factorsOf(trx, actor.user.id);
    if (left.length === 0) {
      if (actor.access.mfaRequired) throw conflict('mfa_required', 'this account must keep a second factor');
      await trx.deleteFrom('recovery_codes').where('user_id', '=', actor.user.id).execute();
    }
    await context.mails.tell(trx, actor.user, 'factorRemoved');
    await context.audit.append(trx, { actor: actor.name, action, target: actor.user.id });
  }

  async function freshTokens(actor: Actor): Promise<TokenAnswer> {
    const session = await store.db
      .selectFrom('sessions')
      .selectAll()
      .where('id', '=', actor.session.id)
      .executeTakeFirstOrThrow();
    return await answerFor(context, session, actor.access);
  }

  return app;
}
