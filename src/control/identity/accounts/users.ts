/** Finding, making and ending accounts: the statements that several routes share. */
import { randomUUID } from 'node:crypto';
import type { Kysely, Transaction } from 'kysely';
import { keyedHash } from '../../secrets/master-key.ts';
import type { IdentityContext } from '../context.ts';
import { pastedLogin } from '../pasted.ts';
import { revokeSessions } from '../sessions/sessions.ts';
import type { IdentityTables, User } from '../tables.ts';

type Handle = Kysely<IdentityTables>;
type Trx = Transaction<IdentityTables>;

/** By address when it holds an `@`, which no user name does (docs/identity-rules.md, 6), otherwise by user name. */
export async function findByLogin(db: Handle, login: string): Promise<User | undefined> {
  const key = pastedLogin(login).toLowerCase();
  const column = key.includes('@') ? 'email' : 'username_key';
  return await db.selectFrom('users').selectAll().where(column, '=', key).executeTakeFirst();
}

export async function findById(db: Handle, id: string): Promise<User | undefined> {
  return await db.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst();
}

export interface NewUser {
  readonly kind: User['kind'];
  readonly email?: string | null;
  readonly emailVerified?: boolean;
  readonly username?: string | null;
  readonly displayName?: string | null;
  readonly passwordHash?: string | null;
  readonly plan?: string;
  readonly birthDate?: string | null;
  readonly parentId?: string | null;
  readonly childRules?: string | null;
  readonly language?: string | null;
  readonly roles: readonly string[];
}

/** Throws a unique violation when the address or user name is taken. */
export async function insertUser(context: IdentityContext, trx: Trx, fresh: NewUser): Promise<User> {
  const now = context.clock.wallMs();
  const user: User = {
    id: randomUUID(),
    kind: fresh.kind,
    email: fresh.email ?? null,
    email_verified_at: fresh.emailVerified === true ? now : null,
    username: fresh.username ?? null,
    username_key: fresh.username?.toLowerCase() ?? null,
    display_name: fresh.displayName ?? null,
    password_hash: fresh.passwordHash ?? null,
    password_changed_at: fresh.passwordHash == null ? null : now,
    status: 'active',
    disabled_reason: null,
    plan: fresh.plan ?? context.options.defaultPlan,
    birth_date: fresh.birthDate ?? null,
    parent_id: fresh.parentId ?? null,
    child_rules: fresh.childRules ?? null,
    created_at: now,
    updated_at: now,
    last_login_at: null,
    language: fresh.language ?? null,
  };
  await trx.insertInto('users').values(user).execute();
  for (const role of new Set(fresh.roles)) {
    await trx.insertInto('user_roles').values({ user_id: user.id, role }).execute();
  }
  return user;
}

/**
 * Ends everything that could act for the account (docs/identity-rules.md, 8): sessions, minted tokens, grants of
 * applications, open codes, and with `keys` its API keys. `exceptSession` keeps the one that asked.
 */
export async function endAllAccess(
  context: IdentityContext,
  trx: Trx,
  userId: string,
  reason: string,
  more: { exceptSession?: string; keys?: boolean } = {},
): Promise<void> {
  await revokeSessions(
    context,
    trx,
    more.exceptSession === undefined ? { userId } : { userId, exceptId: more.exceptSession },
    reason,
  );
  const now = context.clock.wallMs();
  const minted = await trx
    .updateTable('issued_tokens')
    .set({ revoked_at: now })
    .where('subject', '=', userId)
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', now)
    .returning(['jti', 'expires_at'])
    .execute();
  await context.revocations.add(
    trx,
    minted.map((row) => ({ kind: 'jti' as const, value: row.jti, expires_at: row.expires_at })),
  );
  await trx.deleteFrom('oidc_models').where('account_id', '=', userId).execute();
  await trx
    .updateTable('one_time_codes')
    .set({ used_at: now })
    .where('user_id', '=', userId)
    .where('used_at', 'is', null)
    .execute();
  if (more.keys === true) await revokeKeys(context, trx, { userId });
}

/** How long a revoked API key is in what workers get: longer than any of them remembers a good one. */
const KEY_MEMORY_MS = 120_000;

export async function revokeKeys(
  context: IdentityContext,
  trx: Handle,
  which: { id?: string; userId?: string },
): Promise<string[]> {
  const now = context.clock.wallMs();
  let query = trx.updateTable('api_keys').set({ revoked_at: now }).where('revoked_at', 'is', null);
  if (which.id === undefined && which.userId === undefined) throw new TypeError('which keys?');
  if (which.id !== undefined) query = query.where('id', '=', which.id);
  if (which.userId !== undefined) query = query.where('user_id', '=', which.userId);
  const ended = await query.returning('id').execute();
  await context.revocations.add(
    trx,
    ended.map((row) => ({ kind: 'key' as const, value: row.id, expires_at: now + KEY_MEMORY_MS })),
  );
  return ended.map((row) => row.id);
}

/**
 * See `LoginGuard.mayMail`; the address is counted under a hash, since it may be nobody's here, and without what many
 * mail services ignore: `ann+shop@example.com` fills the mailbox of `ann@example.com`.
 */
export async function mayMail(context: IdentityContext, trx: Handle, email: string): Promise<boolean> {
  const [local = '', domain = ''] = email.toLowerCase().split('@');
  const name = local.replace(/\+.*$/, '');
  const box = /^g(oogle)?mail\.com$/.test(domain) ? `${name.replaceAll('.', '')}@gmail.com` : `${name}@${domain}`;
  return await context.guard.mayMail(trx, keyedHash(context.master.derive('guard-names'), box));
}
