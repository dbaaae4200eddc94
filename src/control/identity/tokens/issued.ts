/**
 * Tokens without a session, minted by an administrator or on the command line: for services, scripts and tests. Each is
 * written down by its `jti`, so that it can be listed, introspected and revoked before it expires.
 */
import { randomUUID } from 'node:crypto';
import { accessOf } from '../accounts/access.ts';
import { findById, findByLogin } from '../accounts/users.ts';
import { ageBand, ageOf } from '../child-accounts/rules.ts';
import type { IdentityContext } from '../context.ts';
import { knownPlan } from '../plans.ts';
import { invalidField } from '../problem.ts';
import type { MintedToken } from './access-token.ts';

export interface MintRequest {
  /** An account's id, address or user name; any other text is taken as it is, for users that live elsewhere. */
  readonly subject: string;
  readonly scopes: readonly string[];
  readonly roles?: readonly string[];
  readonly plan?: string | undefined;
  readonly mfaVerified?: boolean;
  readonly ttlMs: number;
  readonly createdBy: string;
}

/** Throws 400 for a life beyond `maxMintTtl` and for an account that may not act. */
export async function mintToken(
  context: IdentityContext,
  wanted: MintRequest,
): Promise<MintedToken & { subject: string }> {
  const { db } = context.store;
  const { maxMintTtl } = context.options.tokens;
  if (wanted.ttlMs > maxMintTtl) throw invalidField('expiresIn', `at most ${Math.floor(maxMintTtl / 1_000)} seconds`);
  const user = (await findById(db, wanted.subject)) ?? (await findByLogin(db, wanted.subject));
  const access = user === undefined ? undefined : await accessOf(context, db, user);
  if (user !== undefined && access === undefined)
    throw invalidField('subject', 'an account that is not disabled', wanted.subject);
  // No token may do for a child what its parent forbids.
  if (user?.kind === 'child') throw invalidField('subject', 'an account that is not a child', wanted.subject);
  if (wanted.plan !== undefined) knownPlan(context, wanted.plan);
  const now = context.clock.wallMs();
  const jti = randomUUID();
  const subject = user?.id ?? wanted.subject;
  await context.store.transaction(async (trx) => {
    const row = {
      jti,
      subject,
      created_by: wanted.createdBy,
      created_at: now,
      expires_at: now + wanted.ttlMs,
      revoked_at: null,
    };
    await trx.insertInto('issued_tokens').values(row).execute();
    const detail = { scopes: [...wanted.scopes], seconds: Math.floor(wanted.ttlMs / 1_000) };
    await context.audit.append(trx, { actor: wanted.createdBy, action: 'token.minted', target: subject, detail });
  });
  const mfaVerified = wanted.mfaVerified === true;
  const minted = await context.tokens.mint({
    jti,
    subject,
    scopes: wanted.scopes,
    roles: wanted.roles ?? access?.roles ?? [],
    plan: wanted.plan ?? access?.plan ?? context.options.defaultPlan,
    mfaVerified,
    amr: mfaVerified ? ['mfa'] : [],
    authAt: now,
    ageBand: ageBand(ageOf(user?.birth_date ?? null, now)),
    ttlMs: wanted.ttlMs,
  });
  return { ...minted, subject };
}

/** True when there was such a token and it was alive. */
export async function revokeIssued(context: IdentityContext, jti: string, actor: string): Promise<boolean> {
  const done = await context.store.transaction(async (trx) => {
    const now = context.clock.wallMs();
    const row = await trx
      .updateTable('issued_tokens')
      .set({ revoked_at: now })
      .where('jti', '=', jti)
      .where('revoked_at', 'is', null)
      .where('expires_at', '>', now)
      .returning(['expires_at', 'subject'])
      .executeTakeFirst();
    if (row === undefined) return false;
    await context.revocations.add(trx, [{ kind: 'jti', value: jti, expires_at: row.expires_at + 1_000 }]);
    await context.audit.append(trx, { actor, action: 'token.revoked', target: row.subject, detail: { jti } });
    return true;
  });
  if (done) await context.revocations.announce();
  return done;
}
