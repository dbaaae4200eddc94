/**
 * Sessions and their refresh tokens. A session is a family (docs/identity-rules.md, 2): each refresh token works once,
 * its use makes the next, and one that is used again after the grace ends the session, because somebody holds a copy.
 * Within the grace (two tabs, a lost response) the same client gets the same next token again, any other is refused,
 * and nothing ends. All in one transaction that begins with the statement that decides (docs/identity-rules.md, 1).
 */
import { createSecretKey, type KeyObject, randomUUID } from 'node:crypto';
import type { Kysely, Transaction } from 'kysely';
import { Encryption } from '../../secrets/encryption.ts';
import { keyedHash } from '../../secrets/master-key.ts';
import { randomSecret } from '../../secrets/random-token.ts';
import { type Access, accessOf, ENROL_SCOPE } from '../accounts/access.ts';
import type { Caller } from '../caller.ts';
import type { IdentityContext } from '../context.ts';
import { conflict, forbidden, Problem } from '../problem.ts';
import type { TokenAnswer } from '../responses.ts';
import type { IdentityTables, RefreshTokenTable, Session, User } from '../tables.ts';
import type { MintedToken } from '../tokens/access-token.ts';

type Trx = Transaction<IdentityTables>;

export interface SignInFacts {
  readonly amr: readonly string[];
  /** When the second factor was given, in milliseconds; null when it was not. */
  readonly mfaAt: number | null;
  /** Narrows the session; null for all that the account has. */
  readonly scopes: readonly string[] | null;
}

export const refreshRefused = (): Problem =>
  new Problem(401, 'AUTHENTICATION_REQUIRED', 'invalid_refresh_token', 'the refresh token is not valid', {
    headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
  });

export function refreshTokenHash(context: IdentityContext, token: string): string {
  return keyedHash(refreshKey(context), token);
}

function refreshKey(context: IdentityContext): KeyObject {
  const own = context.options.sessions.refreshSecret;
  return own === undefined ? context.master.derive('refresh-tokens') : createSecretKey(Buffer.from(own));
}

/** Begins a session; call inside the transaction that proved who it is, and `answerFor` after its commit. */
export async function startSession(
  context: IdentityContext,
  trx: Trx,
  user: User,
  facts: SignInFacts,
  caller: Caller,
): Promise<{ session: Session; refreshToken: string; access: Access }> {
  const access = await accessOf(context, trx, user);
  if (access === undefined) throw forbidden('the account may not sign in', 'account_disabled');
  if (access.allowedUntil === undefined)
    throw forbidden('the account may not be used at this hour', 'outside_allowed_hours');
  const now = context.clock.wallMs();
  await endOldest(context, trx, user.id);
  const session: Session = {
    id: randomUUID(),
    user_id: user.id,
    created_at: now,
    last_seen_at: now,
    expires_at: now + context.options.sessions.absoluteTtl,
    revoked_at: null,
    revoke_reason: null,
    address: caller.address,
    user_agent: caller.userAgent,
    place: context.geoip.of(caller),
    amr: JSON.stringify(facts.amr),
    auth_at: now,
    mfa_at: facts.mfaAt,
    scopes: facts.scopes === null ? null : JSON.stringify(facts.scopes),
    actor_id: null,
  };
  await trx.insertInto('sessions').values(session).execute();
  const refreshToken = await addRefreshToken(context, trx, session);
  await context.audit.append(trx, {
    actor: user.id,
    action: 'session.created',
    target: session.id,
    address: caller.address,
    requestId: caller.requestId,
    detail: { amr: [...facts.amr] },
  });
  return { session, refreshToken, access };
}

/** The next token, kept so that only who shows the one before it can read it. */
function successorSeal(context: IdentityContext, token: string): Encryption {
  const key = Buffer.from(keyedHash(refreshKey(context), `successor of ${token}`), 'base64url');
  return new Encryption(createSecretKey(key));
}

async function addRefreshToken(context: IdentityContext, trx: Trx, session: Session): Promise<string> {
  const token = `ghr_${randomSecret()}`;
  const now = context.clock.wallMs();
  await trx
    .insertInto('refresh_tokens')
    .values({
      hash: refreshTokenHash(context, token),
      session_id: session.id,
      created_at: now,
      expires_at: Math.min(session.expires_at, now + context.options.sessions.idleTtl),
      used_at: null,
      successor: null,
    })
    .execute();
  return token;
}

/** What pages send to prove that they are the own ones: one for a session, made of its id, so that nothing is kept. */
export function csrfTokenOf(context: IdentityContext, sessionId: string): string {
  return keyedHash(context.master.derive('csrf'), sessionId).slice(0, 22);
}

/** The tokens of a session as the account is now. */
export async function answerFor(
  context: IdentityContext,
  session: Session,
  access: Access,
  refreshToken?: string,
  /** The access token goes into a cookie, and is worth nothing there without its CSRF token. */
  forCookies = false,
): Promise<TokenAnswer> {
  const needsFactor = access.mfaRequired && session.mfa_at === null;
  const narrowed = session.scopes === null ? null : (JSON.parse(session.scopes) as string[]);
  const scopes = narrowed === null ? access.scopes : access.scopes.filter((scope) => narrowed.includes(scope));
  const minted = await mintFor(context, session, access, needsFactor ? [ENROL_SCOPE] : scopes, needsFactor, forCookies);
  const now = context.clock.wallMs();
  const refreshEnd = Math.min(session.expires_at, now + context.options.sessions.idleTtl);
  return {
    accessToken: minted.token,
    ...(refreshToken === undefined ? {} : { refreshToken, refreshExpiresIn: Math.floor((refreshEnd - now) / 1_000) }),
    tokenType: 'Bearer',
    expiresIn: minted.expiresIn,
    scope: (needsFactor ? [ENROL_SCOPE] : scopes).join(' '),
    sessionId: session.id,
    ...(needsFactor ? { mfaEnrolmentRequired: true } : {}),
  };
}

async function mintFor(
  context: IdentityContext,
  session: Session,
  access: Access,
  scopes: readonly string[],
  needsFactor: boolean,
  forCookies: boolean,
): Promise<MintedToken> {
  return await context.tokens.mint({
    ...(forCookies ? { csrf: csrfTokenOf(context, session.id) } : {}),
    subject: session.user_id,
    sessionId: session.id,
    scopes,
    roles: needsFactor ? [] : rolesIn(session, access),
    plan: access.plan,
    mfaVerified: session.mfa_at !== null,
    amr: JSON.parse(session.amr) as string[],
    authAt: session.auth_at,
    parentId: access.parentId,
    ageBand: access.ageBand,
    contentRating: access.contentRating,
    blockedTopics: access.blockedTopics,
    quotas: access.quotas,
    actor: session.actor_id,
    notAfter: Math.min(session.expires_at, access.allowedUntil ?? 0),
  });
}

/** A session that named its scopes has no more than those; `child` is no right but the opposite, and stays. */
function rolesIn(session: Session, access: Access): readonly string[] {
  return session.scopes === null ? access.roles : access.roles.filter((role) => role === 'child');
}

type Rotation =
  | { readonly kind: 'rotated'; readonly session: Session; readonly access: Access; readonly refreshToken: string }
  | { readonly kind: 'refused' | 'duplicate' | 'hours' }
  | { readonly kind: 'reuse'; readonly sessionId: string };

/** Exchanges a refresh token for the next one and an access token. */
export async function refreshSession(
  context: IdentityContext,
  token: string,
  caller: Caller,
  forCookies = false,
): Promise<TokenAnswer> {
  const hash = refreshTokenHash(context, token);
  const result = await context.store.transaction((trx) => rotate(context, trx, token, hash, caller));
  switch (result.kind) {
    case 'rotated':
      return await answerFor(context, result.session, result.access, result.refreshToken, forCookies);
    case 'duplicate':
      throw conflict('refresh_in_progress', 'the refresh token was used a moment ago; use the answer of that request');
    case 'hours':
      throw forbidden('the account may not be used at this hour', 'outside_allowed_hours');
    case 'reuse':
      await context.revocations.announce();
      context.log.warn('a refresh token was used twice: the session ended', { session: result.sessionId });
      throw refreshRefused();
    default:
      throw refreshRefused();
  }
}

async function rotate(
  context: IdentityContext,
  trx: Trx,
  token: string,
  hash: string,
  caller: Caller,
): Promise<Rotation> {
  const now = context.clock.wallMs();
  const used = await trx
    .updateTable('refresh_tokens')
    .set({ used_at: now })
    .where('hash', '=', hash)
    .where('used_at', 'is', null)
    .where('expires_at', '>', now)
    .returning('session_id')
    .executeTakeFirst();
  if (used === undefined) return await judgeDuplicate(context, trx, token, hash, caller);
  const session = await trx
    .updateTable('sessions')
    .set({
      last_seen_at: now,
      address: caller.address,
      user_agent: caller.userAgent,
      place: context.geoip.of(caller),
    })
    .where('id', '=', used.session_id)
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', now)
    .returningAll()
    .executeTakeFirst();
  if (session === undefined) return { kind: 'refused' };
  const user = await trx.selectFrom('users').selectAll().where('id', '=', session.user_id).executeTakeFirst();
  const access = user === undefined ? undefined : await accessOf(context, trx, user);
  if (access === undefined) return { kind: 'refused' };
  if (access.allowedUntil === undefined) {
    // Outside its hours a child keeps its session: the token is given back unused for the morning.
    await trx.updateTable('refresh_tokens').set({ used_at: null }).where('hash', '=', hash).execute();
    return { kind: 'hours' };
  }
  const refreshToken = await addRefreshToken(context, trx, session);
  const successor = successorSeal(context, token).encrypt(refreshToken, hash);
  await trx.updateTable('refresh_tokens').set({ successor }).where('hash', '=', hash).execute();
  return { kind: 'rotated', session, access, refreshToken };
}

/**
 * Its response may have been lost: the same client, by address and program, gets the next token again as long as nobody
 * has used it.
 */
async function sameAgain(
  context: IdentityContext,
  trx: Trx,
  token: string,
  hash: string,
  known: Pick<RefreshTokenTable, 'session_id' | 'successor'>,
  caller: Caller,
): Promise<Rotation> {
  if (known.successor === null) return { kind: 'duplicate' };
  const now = context.clock.wallMs();
  const session = await trx
    .selectFrom('sessions')
    .selectAll()
    .where('id', '=', known.session_id)
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', now)
    .executeTakeFirst();
  if (session === undefined) return { kind: 'refused' };
  if (session.address !== caller.address || session.user_agent !== caller.userAgent) return { kind: 'duplicate' };
  const refreshToken = successorSeal(context, token).decrypt(known.successor, hash);
  const next = await trx
    .selectFrom('refresh_tokens')
    .select('used_at')
    .where('hash', '=', refreshTokenHash(context, refreshToken))
    .executeTakeFirst();
  if (next === undefined || next.used_at !== null) return { kind: 'duplicate' };
  const user = await trx.selectFrom('users').selectAll().where('id', '=', session.user_id).executeTakeFirst();
  const access = user === undefined ? undefined : await accessOf(context, trx, user);
  if (access === undefined) return { kind: 'refused' };
  if (access.allowedUntil === undefined) return { kind: 'hours' };
  return { kind: 'rotated', session, access, refreshToken };
}

async function judgeDuplicate(
  context: IdentityContext,
  trx: Trx,
  token: string,
  hash: string,
  caller: Caller,
): Promise<Rotation> {
  const known = await trx
    .selectFrom('refresh_tokens')
    .select(['session_id', 'used_at', 'successor'])
    .where('hash', '=', hash)
    .executeTakeFirst();
  if (known === undefined || known.used_at === null) return { kind: 'refused' };
  if (context.clock.wallMs() - known.used_at < context.options.sessions.reuseGrace)
    return await sameAgain(context, trx, token, hash, known, caller);
  const ended = await revokeSessions(context, trx, { id: known.session_id }, 'refresh token reused');
  if (ended.length === 0) return { kind: 'refused' };
  await context.audit.append(trx, {
    actor: 'anonymous',
    action: 'session.reuse-detected',
    target: known.session_id,
    address: caller.address,
    requestId: caller.requestId,
  });
  return { kind: 'reuse', sessionId: known.session_id };
}

/**
 * Ends sessions and makes their access tokens void. Returns their ids; call `revocations.announce` after the commit.
 */
export async function revokeSessions(
  context: IdentityContext,
  trx: Kysely<IdentityTables>,
  which: { id?: string; userId?: string; exceptId?: string },
  reason: string,
): Promise<string[]> {
  const now = context.clock.wallMs();
  let query = trx
    .updateTable('sessions')
    .set({ revoked_at: now, revoke_reason: reason })
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', now);
  if (which.id === undefined && which.userId === undefined) throw new TypeError('which sessions?');
  if (which.id !== undefined) query = query.where('id', '=', which.id);
  if (which.userId !== undefined) query = query.where('user_id', '=', which.userId);
  if (which.exceptId !== undefined) query = query.where('id', '!=', which.exceptId);
  const ended = await query.returning('id').execute();
  const expires_at = now + context.options.tokens.accessTtl + 1_000;
  await context.revocations.add(
    trx,
    ended.map((row) => ({ kind: 'sid' as const, value: row.id, expires_at })),
  );
  return ended.map((row) => row.id);
}

/** Makes room for one more session. */
async function endOldest(context: IdentityContext, trx: Trx, userId: string): Promise<void> {
  const open = await trx
    .selectFrom('sessions')
    .select('id')
    .where('user_id', '=', userId)
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', context.clock.wallMs())
    .orderBy('last_seen_at', 'desc')
    .offset(context.options.sessions.maxPerUser - 1)
    .limit(1_000)
    .execute();
  for (const { id } of open) await revokeSessions(context, trx, { id }, 'too many sessions');
}
