/**
 * Who is acting: the account behind a request's bearer token or session cookie, proven here again although the gateway
 * checked it before, because this service decides about accounts. The session must be alive in the database, so a
 * revoked token stops at once and not with its expiry.
 */
import type { Context } from 'hono';
import { accessOf, ENROL_SCOPE } from '../accounts/access.ts';
import { findById } from '../accounts/users.ts';
import type { Actor } from '../actor.ts';
import { accessCookie, checkCsrf } from '../browser/cookies.ts';
import type { Caller } from '../caller.ts';
import type { IdentityContext } from '../context.ts';
import { forbidden, Problem, unauthenticated } from '../problem.ts';

export interface Variables {
  caller: Caller;
}
export type Env = { Variables: Variables };

export function bearerOf(request: Request): string | undefined {
  return /^Bearer ([A-Za-z0-9._~+/=-]+)$/i.exec(request.headers.get('authorization') ?? '')?.[1];
}

const refused = (): Problem => unauthenticated('the access token is not valid', 'invalid_token');

/** The signed-in account; throws 401. `enrolling` also takes a session that must set up its second factor first. */
export async function actorOf(context: IdentityContext, c: Context<Env>, enrolling = false): Promise<Actor> {
  const bearer = bearerOf(c.req.raw);
  const token = bearer ?? accessCookie(context, c);
  if (token === undefined) throw unauthenticated();
  const claims = await context.tokens.verify(token);
  if (bearer === undefined && claims !== undefined) checkCsrf(context, c, claims);
  const sid = claims?.['sid'];
  if (claims === undefined || typeof sid !== 'string') throw refused();
  const { db } = context.store;
  const session = await db.selectFrom('sessions').selectAll().where('id', '=', sid).executeTakeFirst();
  if (session === undefined || session.revoked_at !== null || session.expires_at <= context.clock.wallMs())
    throw refused();
  const user = session.user_id === claims.sub ? await findById(db, session.user_id) : undefined;
  const access = user === undefined ? undefined : await accessOf(context, db, user);
  if (user === undefined || access === undefined || access.allowedUntil === undefined) throw refused();
  const scopes = String(claims['scope'] ?? '')
    .split(' ')
    .filter(Boolean);
  const unproven = access.mfaRequired && session.mfa_at === null && session.actor_id === null;
  const mustEnrol = scopes.includes(ENROL_SCOPE) || unproven;
  if (mustEnrol && !enrolling) {
    throw new Problem(403, 'MFA_REQUIRED', 'mfa_enrolment_required', 'set up a second factor first');
  }
  const name = session.actor_id === null ? user.id : `${session.actor_id} as ${user.id}`;
  // What was taken from the account since the token was minted counts at once.
  return { user, session, access, scopes: scopes.filter((scope) => access.scopes.includes(scope)), name };
}

/** An administrator, by scope; an impersonated session never is one. */
export async function adminOf(context: IdentityContext, c: Context<Env>, scope: string): Promise<Actor> {
  const actor = await actorOf(context, c);
  if (!actor.scopes.includes(scope) || actor.session.actor_id !== null) {
    throw forbidden(`the scope ${scope} is needed`);
  }
  return actor;
}
