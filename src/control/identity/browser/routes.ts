/**
 * Routes for applications in browsers (`identity.cookies`): signing in, refreshing and signing out with tokens in
 * HttpOnly cookies that no script can read. A session is always begun anew: what a browser brings is ended, never taken
 * over.
 */
import { Hono } from 'hono';
import { completeSignIn, signIn } from '../accounts/sign-in.ts';
import { loginBody, loginNameOf, secondFactorBody } from '../accounts/sign-in-bodies.ts';
import type { IdentityContext } from '../context.ts';
import { actorOf, type Env } from '../http/actor.ts';
import { knowDevice } from '../http/device-cookie.ts';
import { readBody } from '../http/validate.ts';
import { giveSecondFactor } from '../mfa/ticket.ts';
import type { TokenAnswer } from '../responses.ts';
import { sessionOfRefreshToken } from '../sessions/end.ts';
import { csrfTokenOf, refreshRefused, refreshSession } from '../sessions/sessions.ts';
import { checkSite, giveCookies, isBoundTo, refreshCookies, takeCookies } from './cookies.ts';
import { endBrought } from './end-brought.ts';

/** Of one name; each costs a look in the database. */
const MOST_COOKIES = 4;

export function browserRoutes(context: IdentityContext): Hono<Env> {
  const app = new Hono<Env>();

  app.use('/browser/*', async (c, next) => {
    if (c.req.method !== 'GET') checkSite(context, c);
    await next();
  });

  app.post('/browser/login', async (c) => {
    const body = await readBody(c.req.raw, loginBody);
    const given = { login: loginNameOf(body), password: body.password };
    const { user, tokens } = await signIn(context, given, body.scope ?? null, c.get('caller'), true);
    knowDevice(context, c, user.id);
    return c.json(await begun(c, tokens));
  });

  app.post('/browser/login/mfa', async (c) => {
    const body = await readBody(c.req.raw, secondFactorBody);
    const { user, facts } = await giveSecondFactor(context, body, c.get('caller'));
    const tokens = await completeSignIn(context, user, facts, c.get('caller'), true);
    knowDevice(context, c, user.id);
    return c.json(await begun(c, tokens));
  });

  app.post('/browser/refresh', async (c) => {
    const token = await ownRefreshToken(c);
    if (token === undefined) throw refreshRefused();
    return c.json(giveCookies(context, c, await refreshSession(context, token, c.get('caller'), true)));
  });

  /** Ending twice is no error. */
  app.post('/browser/logout', async (c) => {
    await endBrought(context, c);
    takeCookies(context, c);
    return c.json({ success: true });
  });

  /** What a page asks when it is loaded: who is signed in, and the CSRF token. */
  app.get('/browser/session', async (c) => {
    const { user, access, session } = await actorOf(context, c, true);
    return c.json({
      user: { id: user.id, username: user.username, displayName: user.display_name },
      scopes: access.scopes,
      csrfToken: csrfTokenOf(context, session.id),
    });
  });

  type Cookied = Parameters<typeof giveCookies>[1];

  /** One that a page of a neighbouring host planted would have its visitors act in somebody else's session. */
  async function ownRefreshToken(c: Cookied): Promise<string | undefined> {
    for (const token of refreshCookies(context, c).slice(0, MOST_COOKIES)) {
      const session = await sessionOfRefreshToken(context, token);
      if (session !== undefined && isBoundTo(context, c, session)) return token;
    }
    return undefined;
  }

  async function begun(c: Cookied, tokens: TokenAnswer): Promise<object> {
    await endBrought(context, c);
    return giveCookies(context, c, tokens);
  }

  return app;
}
