/** Routes: signing in and linking with an outside provider; the exchange itself is in outside.ts. */
import { type Context, Hono } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import * as z from 'zod';
import { requireRecentProof } from '../actor.ts';
import type { IdentityContext } from '../context.ts';
import * as field from '../fields.ts';
import { actorOf, type Env } from '../http/actor.ts';
import { knowDevice } from '../http/device-cookie.ts';
import { readBody, readQuery } from '../http/validate.ts';
import { conflict, forbidden, notFound } from '../problem.ts';
import { type Begun, SocialLogin } from './social-login.ts';

const COOKIE = 'gh_outside';
/** Between the return to the page and the exchange of its code. */
const RESULT_COOKIE = 'gh_outside_result';
/** As in PKCE (RFC 7636 §4), for pages of another site, where a cookie does not go. */
const challenge = z
  .string('SHA-256 of the verifier in base64url')
  .regex(/^[A-Za-z0-9_-]{43}$/, 'SHA-256 of the verifier in base64url, 43 characters');
const verifier = z
  .string('what `challenge` was made of')
  .regex(/^[A-Za-z0-9._~-]{43,128}$/, '43 to 128 letters, digits, ".", "_", "~" and "-"');
const page = z.string('a page of identity.returnTo').max(500, 'at most 500 characters');

/** What each operation is sent (its body, or the query of a GET); api-description.ts describes them. */
export const socialLoginBodies = {
  'GET /outside/:provider/start': z.strictObject({ returnTo: page, challenge: challenge.optional() }),
  'POST /outside/exchange': z.strictObject({
    code: field.opaque('the code of the page'),
    verifier: verifier.optional(),
  }),
  'POST /outside/:provider/link': z.strictObject({ returnTo: page, challenge: challenge.optional() }),
};

export function socialLoginRoutes(context: IdentityContext): Hono<Env> {
  const app = new Hono<Env>();
  const outside = new SocialLogin(context);
  const { store, options } = context;
  const secure = options.publicUrl.startsWith('https:');

  const attributes = { httpOnly: true, sameSite: 'Lax', secure, path: '/' } as const;

  const bind = (c: Context<Env>, begun: Begun): void =>
    setCookie(c, COOKIE, begun.cookie, { ...attributes, maxAge: 600 });

  app.get('/outside', (c) => c.json({ providers: Object.keys(options.providers) }));

  app.get('/outside/:provider/start', async (c) => {
    const asked = readQuery(c.req.url, socialLoginBodies['GET /outside/:provider/start']);
    const begun = await outside.begin(c.req.param('provider'), asked, null);
    bind(c, begun);
    return c.redirect(begun.location, 302);
  });

  app.get('/outside/:provider/callback', async (c) => {
    const cookie = getCookie(c, COOKIE);
    deleteCookie(c, COOKIE, { path: '/', secure });
    const done = await outside.finish(c.req.param('provider'), new URL(c.req.url), cookie, c.get('caller'));
    if (done.secret !== undefined) setCookie(c, RESULT_COOKIE, done.secret, { ...attributes, maxAge: 120 });
    return c.redirect(done.location, 302);
  });

  app.post('/outside/exchange', async (c) => {
    const { code, verifier: given } = await readBody(c.req.raw, socialLoginBodies['POST /outside/exchange']);
    const proof = { verifier: given, cookie: getCookie(c, RESULT_COOKIE) };
    const { user, tokens } = await outside.exchange(code, proof, c.get('caller'));
    deleteCookie(c, RESULT_COOKIE, { path: '/', secure });
    knowDevice(context, c, user.id);
    return c.json(tokens);
  });

  /** Begins linking from a session; the page sends the browser to `location`. */
  app.post('/outside/:provider/link', async (c) => {
    const actor = await actorOf(context, c);
    if (actor.user.kind === 'child') throw forbidden('a child account is not linked', 'child_account');
    await requireRecentProof(context, actor);
    const asked = await readBody(c.req.raw, socialLoginBodies['POST /outside/:provider/link']);
    const begun = await outside.begin(c.req.param('provider'), asked, actor.user.id);
    bind(c, begun);
    return c.json({ location: begun.location });
  });

  app.get('/outside/links', async (c) => {
    const actor = await actorOf(context, c);
    const rows = await store.db
      .selectFrom('linked_accounts')
      .select(['provider', 'email', 'created_at'])
      .where('user_id', '=', actor.user.id)
      .execute();
    return c.json({
      links: rows.map(({ provider, email, created_at }) => ({
        provider,
        email,
        createdAt: new Date(created_at).toISOString(),
      })),
    });
  });

  app.delete('/outside/:provider/link', async (c) => {
    const actor = await actorOf(context, c);
    await requireRecentProof(context, actor);
    await store.transaction(async (trx) => {
      const gone = await trx
        .deleteFrom('linked_accounts')
        .where('provider', '=', c.req.param('provider'))
        .where('user_id', '=', actor.user.id)
        .returning('subject')
        .execute();
      if (gone.length === 0) throw notFound('link');
      const left = await trx
        .selectFrom('linked_accounts')
        .select('provider')
        .where('user_id', '=', actor.user.id)
        .executeTakeFirst();
      const passkey = await trx
        .selectFrom('passkeys')
        .select('id')
        .where('user_id', '=', actor.user.id)
        .executeTakeFirst();
      if (left === undefined && passkey === undefined && actor.user.password_hash === null) {
        throw conflict('last_way_in', 'set a password first: this is the only way into the account');
      }
      const detail = { provider: c.req.param('provider') };
      await context.mails.tell(trx, actor.user, 'linkRemoved', detail);
      await context.audit.append(trx, { actor: actor.name, action: 'outside.unlinked', target: actor.user.id, detail });
    });
    return c.json({ success: true });
  });

  return app;
}
