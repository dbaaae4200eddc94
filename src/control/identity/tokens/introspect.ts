/**
 * Is a token alive, and what does it say (RFC 7662)? For our own access and refresh tokens and API keys. Unlike
 * a worker's check this asks the database, so a revoked token is inactive at once. RFC 7662 §2.2: everything that is
 * not active is answered alike.
 */
import { accessOf } from '../accounts/access.ts';
import { findById } from '../accounts/users.ts';
import type { IdentityContext } from '../context.ts';
import { refreshTokenHash, revokeSessions } from '../sessions/sessions.ts';
import { revokeIssued } from './issued.ts';

export type Introspection = { readonly active: false } | ({ readonly active: true } & Record<string, unknown>);
const INACTIVE: Introspection = { active: false };

export async function introspect(context: IdentityContext, token: string): Promise<Introspection> {
  if (token.startsWith('ghr_')) return await introspectRefresh(context, token);
  const claims = await context.tokens.verify(token);
  if (claims === undefined || claims.sub === undefined) return INACTIVE;
  const { db } = context.store;
  const sid = claims['sid'];
  if (typeof sid === 'string') {
    if (!(await sessionIsAlive(context, sid, claims.sub))) return INACTIVE;
  } else {
    const issued = await db
      .selectFrom('issued_tokens')
      .selectAll()
      .where('jti', '=', claims.jti ?? '')
      .executeTakeFirst();
    if (issued === undefined || issued.revoked_at !== null) return INACTIVE;
    const user = await findById(db, claims.sub);
    if (user !== undefined && user.status !== 'active') return INACTIVE;
  }
  return { active: true, token_type: 'Bearer', ...claims };
}

async function sessionIsAlive(context: IdentityContext, sid: string, subject: string): Promise<boolean> {
  const { db } = context.store;
  const session = await db.selectFrom('sessions').selectAll().where('id', '=', sid).executeTakeFirst();
  if (session === undefined || session.user_id !== subject) return false;
  if (session.revoked_at !== null || session.expires_at <= context.clock.wallMs()) return false;
  const user = await findById(db, subject);
  const access = user === undefined ? undefined : await accessOf(context, db, user);
  return access !== undefined && access.allowedUntil !== undefined;
}

async function introspectRefresh(context: IdentityContext, token: string): Promise<Introspection> {
  const row = await context.store.db
    .selectFrom('refresh_tokens')
    .innerJoin('sessions', 'sessions.id', 'refresh_tokens.session_id')
    .select(['refresh_tokens.used_at', 'refresh_tokens.expires_at', 'sessions.id', 'sessions.user_id'])
    .where('refresh_tokens.hash', '=', refreshTokenHash(context, token))
    .executeTakeFirst();
  if (row === undefined || row.used_at !== null || row.expires_at <= context.clock.wallMs()) return INACTIVE;
  if (!(await sessionIsAlive(context, row.id, row.user_id))) return INACTIVE;
  return {
    active: true,
    token_type: 'refresh_token',
    sub: row.user_id,
    sid: row.id,
    exp: Math.floor(row.expires_at / 1_000),
  };
}

/**
 * Ends a token's session, or a token that has none (RFC 7009). `onlyFor` limits it to one account's tokens. Returns
 * nothing: RFC 7009 §2.2 answers 200 for unknown tokens as well.
 */
export async function revokeToken(
  context: IdentityContext,
  token: string,
  actor: string,
  onlyFor?: string,
): Promise<void> {
  let sid: string | undefined;
  let subject: string | undefined;
  if (token.startsWith('ghr_')) {
    const row = await context.store.db
      .selectFrom('refresh_tokens')
      .innerJoin('sessions', 'sessions.id', 'refresh_tokens.session_id')
      .select(['sessions.id', 'sessions.user_id'])
      .where('refresh_tokens.hash', '=', refreshTokenHash(context, token))
      .executeTakeFirst();
    sid = row?.id;
    subject = row?.user_id;
  } else {
    const claims = await context.tokens.verify(token);
    subject = claims?.sub;
    if (onlyFor !== undefined && subject !== onlyFor) return;
    if (typeof claims?.['sid'] === 'string') sid = claims['sid'];
    else if (claims?.jti !== undefined) await revokeIssued(context, claims.jti, actor);
  }
  if (sid === undefined || (onlyFor !== undefined && subject !== onlyFor)) return;
  const id = sid;
  await context.store.transaction(async (trx) => {
    const ended = await revokeSessions(context, trx, { id }, 'token revoked');
    if (ended.length > 0) await context.audit.append(trx, { actor, action: 'session.ended', target: id });
  });
  await context.revocations.announce();
}
