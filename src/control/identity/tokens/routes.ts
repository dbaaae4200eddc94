/** Routes: key set, introspection, revocation, minting. Introspection is for services: it needs a scope. */
import { Hono } from 'hono';
import * as z from 'zod';
import { ADMIN_SCOPE } from '../accounts/access.ts';
import { requireRecentProof } from '../actor.ts';
import type { ApiKeyVerifier } from '../api-keys/verify.ts';
import type { IdentityContext } from '../context.ts';
import * as field from '../fields.ts';
import { actorOf, adminOf, bearerOf, type Env } from '../http/actor.ts';
import { readBody, readForm } from '../http/validate.ts';
import { forbidden, notFound, unauthenticated } from '../problem.ts';
import { introspect, revokeToken } from './introspect.ts';
import { mintToken, revokeIssued } from './issued.ts';

const INTROSPECT_SCOPE = 'identity:introspect';
const { token } = field;
const hint = z.string('a kind of token').max(50, 'at most 50 characters').optional();

/** What each operation is sent (its body, or the query of a GET); api-description.ts describes them. */
export const tokenBodies = {
  'POST /introspect': z.strictObject({ token, token_type_hint: hint }),
  'POST /revoke': z.strictObject({ token, token_type_hint: hint }),
  'POST /tokens': z.strictObject({
    subject: z.string('an account or a service').min(1, 'an account or a service').max(200, 'at most 200 characters'),
    scopes: field.scopes.default([]),
    roles: z.array(field.role, 'a list of roles').max(20, 'at most 20 roles').default(['service']),
    plan: field.plan.optional(),
    mfaVerified: z.boolean('true or false').default(false),
    expiresIn: z.int('a whole number of seconds').min(10, 'at least 10 seconds').default(3_600),
  }),
};

export function tokenRoutes(context: IdentityContext, keys: ApiKeyVerifier): Hono<Env> {
  const app = new Hono<Env>();

  app.get('/jwks', async (c) =>
    c.json(await context.signingKeys.publicJwks(), 200, { 'cache-control': 'public, max-age=300' }),
  );

  app.post('/introspect', async (c) => {
    const { token: asked } = await readForm(c.req.raw, tokenBodies['POST /introspect']);
    await requireService(c.req.raw, asked, c.get('caller').address);
    return c.json(await introspect(context, asked), 200, { 'cache-control': 'no-store' });
  });

  /** By the account itself, for its own tokens, or by an administrator. */
  app.post('/revoke', async (c) => {
    const { token: asked } = await readForm(c.req.raw, tokenBodies['POST /revoke']);
    const actor = await actorOf(context, c);
    const anybody = actor.scopes.includes(ADMIN_SCOPE) && actor.session.actor_id === null;
    await revokeToken(context, asked, actor.name, anybody ? undefined : actor.user.id);
    return c.json({ success: true });
  });

  app.post('/tokens', async (c) => {
    const admin = await adminOf(context, c, ADMIN_SCOPE);
    await requireRecentProof(context, admin);
    const { expiresIn, ...wanted } = await readBody(c.req.raw, tokenBodies['POST /tokens']);
    const minted = await mintToken(context, { ...wanted, ttlMs: expiresIn * 1_000, createdBy: admin.name });
    return c.json(
      {
        accessToken: minted.token,
        tokenType: 'Bearer',
        expiresIn: minted.expiresIn,
        jti: minted.jti,
        subject: minted.subject,
      },
      201,
    );
  });

  app.delete('/tokens/:jti', async (c) => {
    const admin = await adminOf(context, c, ADMIN_SCOPE);
    if (!(await revokeIssued(context, c.req.param('jti'), admin.name))) throw notFound('token');
    return c.json({ success: true });
  });

  /** RFC 7662 §2.1: the endpoint must be protected, or it would be an oracle for guessed tokens. */
  async function requireService(request: Request, asked: string, address: string): Promise<void> {
    const apiKey = request.headers.get('x-api-key');
    if (apiKey !== null) {
      const identity = await keys.verify({ key: apiKey, address });
      if (identity === null) throw unauthenticated('the API key is not valid', 'invalid_api_key');
      if (identity.scopes.includes(INTROSPECT_SCOPE)) return;
      throw forbidden(`the scope ${INTROSPECT_SCOPE} is needed`);
    }
    const bearer = bearerOf(request);
    if (bearer === undefined) throw unauthenticated();
    const own = await introspect(context, bearer);
    if (!own.active) throw unauthenticated('the access token is not valid', 'invalid_token');
    const scopes = String(own['scope'] ?? '').split(' ');
    // Everybody may ask about the very token they hold.
    if (bearer === asked || scopes.includes(INTROSPECT_SCOPE) || scopes.includes(ADMIN_SCOPE)) return;
    throw forbidden(`the scope ${INTROSPECT_SCOPE} is needed`);
  }

  return app;
}
