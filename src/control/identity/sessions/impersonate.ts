/**
 * A short session as somebody else, for support: without a refresh token, marked in every token (`act`) and in every
 * log entry, without the right to anything sensitive (http/actor.ts, `requireOwnHands`), and never as an
 * administrator.
 */
import { randomUUID } from 'node:crypto';
import { ADMIN_SCOPE, accessOf } from '../accounts/access.ts';
import type { Actor } from '../actor.ts';
import type { Caller } from '../caller.ts';
import type { IdentityContext } from '../context.ts';
import { forbidden } from '../problem.ts';
import type { TokenAnswer } from '../responses.ts';
import type { Session, User } from '../tables.ts';
import { answerFor } from './sessions.ts';

const TTL_MS = 15 * 60_000;

export async function impersonate(
  context: IdentityContext,
  actor: Actor,
  user: User,
  caller: Caller,
): Promise<TokenAnswer> {
  const access = await accessOf(context, context.store.db, user);
  if (access === undefined || access.allowedUntil === undefined) {
    throw forbidden('the account may not be used', 'account_disabled');
  }
  if (user.kind === 'service' || access.scopes.includes(ADMIN_SCOPE)) {
    throw forbidden('administrators and services are not impersonated', 'not_impersonable');
  }
  const { address, userAgent, requestId } = caller;
  const now = context.clock.wallMs();
  const session: Session = {
    id: randomUUID(),
    user_id: user.id,
    created_at: now,
    last_seen_at: now,
    expires_at: now + TTL_MS,
    revoked_at: null,
    revoke_reason: null,
    address,
    user_agent: userAgent,
    place: context.geoip.of(caller),
    amr: '[]',
    auth_at: now,
    // The administrator's own proof stands for nothing of the account's.
    mfa_at: null,
    scopes: null,
    actor_id: actor.user.id,
  };
  await context.store.transaction(async (trx) => {
    await trx.insertInto('sessions').values(session).execute();
    const detail = { session: session.id };
    const entry = { actor: actor.name, action: 'user.impersonated', target: user.id, address, requestId, detail };
    await context.audit.append(trx, entry);
  });
  return await answerFor(context, session, { ...access, mfaRequired: false });
}
