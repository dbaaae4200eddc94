/** Routes: register, confirm the address, sign in, refresh, sign out. */
import { Hono } from 'hono';
import * as z from 'zod';
import type { IdentityContext } from '../context.ts';
import * as field from '../fields.ts';
import { bearerOf, type Env } from '../http/actor.ts';
import { knowDevice } from '../http/device-cookie.ts';
import { readBody, readOptionalBody } from '../http/validate.ts';
import { giveSecondFactor } from '../mfa/ticket.ts';
import { invalid, unauthenticated } from '../problem.ts';
import { refreshSession, refreshTokenHash, revokeSessions } from '../sessions/sessions.ts';
import { confirmRegistration, register } from './register.ts';
import { completeSignIn, signIn } from './sign-in.ts';

const registration = z.strictObject({
  email: field.email,
  password: field.password,
  username: field.username.optional(),
  displayName: field.displayName.optional(),
  birthDate: field.birthDate.optional(),
});

/** One of three names for the same thing: documents use `username`, people type either, `email` is for forms. */
const login = z.strictObject({
  login: field.loginName.optional(),
  username: field.loginName.optional(),
  email: field.loginName.optional(),
  password: field.password,
  scope: field.scopeText.optional(),
});

const confirmation = z.strictObject({
  token: field.opaque('the code of the mail'),
  password: field.password.optional(),
  newPassword: field.password.optional(),
  username: field.username.optional(),
});

const secondFactor = z
  .strictObject({
    mfaTicket: field.opaque('the ticket that the sign-in answered'),
    code: field.totpCode.optional(),
    recoveryCode: field.recoveryCode.optional(),
    passkey: z.record(z.string(), z.unknown(), 'the answer of the authenticator').optional(),
  })
  .refine((body) => [body.code, body.recoveryCode, body.passkey].filter((given) => given !== undefined).length === 1, {
    error: 'one of code, recoveryCode or passkey',
  });

const refreshToken = field.opaque('a refresh token');

export function signInRoutes(context: IdentityContext): Hono<Env> {
  const app = new Hono<Env>();

  app.post('/register', async (c) => {
    const body = await readBody(c.req.raw, registration);
    const result = await register(context, body, c.get('caller'));
    if (result.userId !== undefined) knowDevice(context, c, result.userId);
    return c.json(result.body, result.status);
  });

  app.post('/verify-email', async (c) => {
    const body = await readBody(c.req.raw, confirmation);
    if ((body.password === undefined) === (body.newPassword === undefined)) {
      throw invalid([
        { field: 'password', expected: 'the password of the registration; or instead of it a newPassword to set' },
      ]);
    }
    return c.json(await confirmRegistration(context, body, c.get('caller')));
  });

  app.post('/login', async (c) => {
    const body = await readBody(c.req.raw, login);
    const names = [body.login, body.username, body.email].filter((name) => name !== undefined);
    const [name] = names;
    if (name === undefined || names.length > 1) {
      throw invalid([{ field: 'username', expected: 'one of login, username or email' }]);
    }
    const given = { login: name, password: body.password };
    const { user, tokens } = await signIn(context, given, body.scope ?? null, c.get('caller'));
    knowDevice(context, c, user.id);
    return c.json(tokens);
  });

  app.post('/login/mfa', async (c) => {
    const body = await readBody(c.req.raw, secondFactor);
    const { user, facts } = await giveSecondFactor(context, body, c.get('caller'));
    const tokens = await completeSignIn(context, user, facts, c.get('caller'));
    knowDevice(context, c, user.id);
    return c.json(tokens);
  });

  app.post('/refresh', async (c) => {
    const body = await readBody(c.req.raw, z.strictObject({ refreshToken }));
    return c.json(await refreshSession(context, body.refreshToken, c.get('caller')));
  });

  /** Ends the session of the access token, or of the refresh token when that is given. Ending twice is no error. */
  app.post('/logout', async (c) => {
    const body = await readOptionalBody(c.req.raw, z.strictObject({ refreshToken: refreshToken.optional() }));
    const token = bearerOf(c.req.raw);
    if (token === undefined && body.refreshToken === undefined) throw unauthenticated();
    const found = new Set<string>();
    if (token !== undefined) {
      const sid = (await context.tokens.verify(token))?.['sid'];
      if (typeof sid === 'string') found.add(sid);
      else if (body.refreshToken === undefined) throw unauthenticated('the access token is not valid', 'invalid_token');
    }
    if (body.refreshToken !== undefined) {
      const row = await context.store.db
        .selectFrom('refresh_tokens')
        .select('session_id')
        .where('hash', '=', refreshTokenHash(context, body.refreshToken))
        .executeTakeFirst();
      if (row !== undefined) found.add(row.session_id);
    }
    await context.store.transaction(async (trx) => {
      for (const id of found) {
        const ended = await revokeSessions(context, trx, { id }, 'signed out');
        if (ended.length === 0) continue;
        const session = await trx.selectFrom('sessions').select('user_id').where('id', '=', id).executeTakeFirst();
        const { address, requestId } = c.get('caller');
        const entry = { actor: session?.user_id ?? '', action: 'session.ended', target: id, address, requestId };
        await context.audit.append(trx, entry);
      }
    });
    await context.revocations.announce();
    return c.json({ success: true });
  });

  return app;
}
