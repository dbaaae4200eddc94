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
import { endSessions, sessionOfRefreshToken } from '../sessions/end.ts';
import { refreshSession } from '../sessions/sessions.ts';
import { confirmRegistration, register } from './register.ts';
import { completeSignIn, signIn } from './sign-in.ts';
import { loginBody, loginNameOf, secondFactorBody } from './sign-in-bodies.ts';

const registration = z.strictObject({
  email: field.email,
  password: field.password,
  username: field.username.optional(),
  displayName: field.displayName.optional(),
  birthDate: field.birthDate.optional(),
  language: field.language.optional(),
});

const confirmation = z.strictObject({
  token: field.opaque('the code of the mail'),
  password: field.password.optional(),
  newPassword: field.password.optional(),
  username: field.username.optional(),
});

const refreshToken = field.opaque('a refresh token');

/** What each operation is sent (its body, or the query of a GET); api-description.ts describes them. */
export const signInBodies = {
  'POST /register': registration,
  'POST /verify-email': confirmation,
  'POST /login': loginBody,
  'POST /login/mfa': secondFactorBody,
  'POST /refresh': z.strictObject({ refreshToken }),
  'POST /logout': z.strictObject({ refreshToken: refreshToken.optional() }),
};

export function signInRoutes(context: IdentityContext): Hono<Env> {
  const app = new Hono<Env>();

  app.post('/register', async (c) => {
    const body = await readBody(c.req.raw, signInBodies['POST /register']);
    const result = await register(context, body, c.get('caller'));
    if (result.userId !== undefined) knowDevice(context, c, result.userId);
    return c.json(result.body, result.status);
  });

  app.post('/verify-email', async (c) => {
    const body = await readBody(c.req.raw, signInBodies['POST /verify-email']);
    if ((body.password === undefined) === (body.newPassword === undefined)) {
      throw invalid([
        { field: 'password', expected: 'the password of the registration; or instead of it a newPassword to set' },
      ]);
    }
    return c.json(await confirmRegistration(context, body, c.get('caller')));
  });

  app.post('/login', async (c) => {
    const body = await readBody(c.req.raw, signInBodies['POST /login']);
    const given = { login: loginNameOf(body), password: body.password };
    const { user, tokens } = await signIn(context, given, body.scope ?? null, c.get('caller'));
    knowDevice(context, c, user.id);
    return c.json(tokens);
  });

  app.post('/login/mfa', async (c) => {
    const body = await readBody(c.req.raw, signInBodies['POST /login/mfa']);
    const { user, facts } = await giveSecondFactor(context, body, c.get('caller'));
    const tokens = await completeSignIn(context, user, facts, c.get('caller'));
    knowDevice(context, c, user.id);
    return c.json(tokens);
  });

  app.post('/refresh', async (c) => {
    const body = await readBody(c.req.raw, signInBodies['POST /refresh']);
    return c.json(await refreshSession(context, body.refreshToken, c.get('caller')));
  });

  /** Ends the session of the access token, or of the refresh token when that is given. Ending twice is no error. */
  app.post('/logout', async (c) => {
    const body = await readOptionalBody(c.req.raw, signInBodies['POST /logout']);
    const token = bearerOf(c.req.raw);
    if (token === undefined && body.refreshToken === undefined) throw unauthenticated();
    const found = new Set<string>();
    if (token !== undefined) {
      const sid = (await context.tokens.verify(token))?.['sid'];
      if (typeof sid === 'string') found.add(sid);
      else if (body.refreshToken === undefined) throw unauthenticated('the access token is not valid', 'invalid_token');
    }
    if (body.refreshToken !== undefined) {
      const known = await sessionOfRefreshToken(context, body.refreshToken);
      if (known !== undefined) found.add(known);
    }
    await endSessions(context, found, c.get('caller'));
    return c.json({ success: true });
  });

  return app;
}
