/**
 * New passwords: changed by the owner, set again by mail, and the deletion of an account, which needs the password
 * too. Each ends what the old password had opened (docs/identity-rules.md, 8).
 */
import type { Transaction } from 'kysely';
import type { Actor } from '../actor.ts';
import type { Caller, IdentityContext } from '../context.ts';
import { checkNewPassword } from '../password-hashing/policy.ts';
import { conflict, forbidden, invalidCode } from '../problem.ts';
import type { IdentityTables, User } from '../tables.ts';
import { rolesOf } from './access.ts';
import { guardKey } from './sign-in.ts';
import { endAllAccess, findById, findByLogin, mayMail } from './users.ts';

const RESET_TTL_MS = 30 * 60_000;
type Trx = Transaction<IdentityTables>;

/** Sets a hash and ends sessions, tokens, grants, codes and API keys; `exceptSession` stays. */
export async function storePassword(
  context: IdentityContext,
  trx: Trx,
  user: User,
  passwordHash: string,
  reason: string,
  exceptSession?: string,
): Promise<void> {
  const now = context.clock.wallMs();
  await trx
    .updateTable('users')
    .set({ password_hash: passwordHash, password_changed_at: now, updated_at: now })
    .where('id', '=', user.id)
    .execute();
  const kept = exceptSession === undefined ? {} : { exceptSession };
  await endAllAccess(context, trx, user.id, reason, { ...kept, keys: true });
  await context.guard.clear(trx, `user:${user.id}`);
  if (user.email !== null) await context.outbox.add(trx, context.mailTemplates.passwordChanged(user.email));
}

export async function changePassword(
  context: IdentityContext,
  actor: Actor,
  current: string,
  fresh: string,
  caller: Caller,
): Promise<void> {
  const { user } = actor;
  await provePassword(context, user, current, caller);
  checkNewPassword(fresh, [user.email, user.username, user.display_name], context.options.passwords, 'newPassword');
  const hash = await context.hasher.hash(fresh, caller.signal);
  await context.store.transaction(async (trx) => {
    await storePassword(context, trx, user, hash, 'password changed', actor.session.id);
    const { address, requestId } = caller;
    await context.audit.append(trx, {
      actor: actor.name,
      action: 'password.changed',
      target: user.id,
      address,
      requestId,
    });
  });
  await context.revocations.announce();
  context.outbox.nudge();
}

/** The password of a signed-in account, guarded like a sign-in: a stolen session must not be an oracle for guesses. */
export async function provePassword(
  context: IdentityContext,
  user: User,
  password: string,
  caller: Caller,
): Promise<void> {
  const { hasher, guard, store } = context;
  const key = guardKey(context, user, '');
  await guard.checkAddress(store.db, caller.address);
  const right = await hasher.semaphore.run(async () => {
    const locked = await guard.isLocked(store.db, key);
    const { matches } = await hasher.checkInside(password, locked ? null : user.password_hash);
    if (!matches) await guard.fail(store.db, locked ? `${key}:locked` : key, caller.address);
    return matches;
  }, caller.signal);
  if (!right) throw forbidden('the password is wrong, or there were too many attempts', 'wrong_password');
}

/** Sends a mail if there is an account; does the same work if there is none. */
export async function requestReset(context: IdentityContext, email: string, caller: Caller): Promise<void> {
  await context.guard.checkAddress(context.store.db, caller.address);
  await context.store.transaction(async (trx) => {
    const user = await findByLogin(trx, email);
    const known = user !== undefined && user.status === 'active' && user.kind === 'user';
    const about = { userId: known ? user.id : null, ttlMs: RESET_TTL_MS };
    const code = await context.codes.issue(trx, 'reset-password', about);
    // For an unknown address a code is made, too, that nobody gets and that belongs to nobody.
    const allowed = await mayMail(context, trx, email);
    const letter = context.mailTemplates.resetPassword(email, user?.username ?? email, code);
    if (known && allowed) await context.outbox.add(trx, letter);
    const target = known ? user.id : '';
    const { address, requestId } = caller;
    await context.audit.append(trx, { actor: 'anonymous', action: 'password.reset-asked', target, address, requestId });
  });
  context.outbox.nudge();
}

export async function resetPassword(
  context: IdentityContext,
  token: string,
  fresh: string,
  caller: Caller,
): Promise<void> {
  checkNewPassword(fresh, [], context.options.passwords, 'newPassword');
  await context.guard.checkAddress(context.store.db, caller.address);
  const hash = await context.hasher.hash(fresh, caller.signal);
  const done = await context.store.transaction(async (trx) => {
    const used = await context.codes.use(trx, 'reset-password', token);
    const user = used?.userId == null ? undefined : await findById(trx, used.userId);
    if (user === undefined || user.status !== 'active') return false;
    checkNewPassword(fresh, [user.email, user.username, user.display_name], context.options.passwords, 'newPassword');
    await storePassword(context, trx, user, hash, 'password reset');
    if (user.email_verified_at === null) await takeOver(context, trx, user);
    const { address, requestId } = caller;
    await context.audit.append(trx, { actor: user.id, action: 'password.reset', target: user.id, address, requestId });
    return true;
  });
  if (!done) {
    await context.guard.fail(context.store.db, 'name:reset', caller.address);
    throw invalidCode();
  }
  await context.revocations.announce();
  context.outbox.nudge();
}

/**
 * Whoever read the mail has shown that the address is theirs; until now nobody had (`verifyEmail: off`). What was set
 * up before may be a stranger's who registered this address, so it ends: second factors, passkeys, links to outside
 * accounts, and the passwords of child accounts. Sessions, keys and grants ended with the password.
 */
async function takeOver(context: IdentityContext, trx: Trx, user: User): Promise<void> {
  for (const table of ['mfa_totp', 'recovery_codes', 'passkeys', 'linked_accounts'] as const)
    await trx.deleteFrom(table).where('user_id', '=', user.id).execute();
  const children = await trx
    .updateTable('users')
    .set({ password_hash: null })
    .where('parent_id', '=', user.id)
    .returning('id')
    .execute();
  for (const { id } of children) await endAllAccess(context, trx, id, 'parent verified', { keys: true });
  await trx.updateTable('users').set({ email_verified_at: context.clock.wallMs() }).where('id', '=', user.id).execute();
}

/** Removes the account and all that belongs to it; the audit log keeps its id. */
export async function deleteAccount(
  context: IdentityContext,
  actor: Actor,
  password: string | undefined,
  deleteChildren: boolean,
  caller: Caller,
): Promise<void> {
  if (actor.user.password_hash !== null) await provePassword(context, actor.user, password ?? '', caller);
  await context.store.transaction(async (trx) => {
    const children = await trx.selectFrom('users').select('id').where('parent_id', '=', actor.user.id).execute();
    if (children.length > 0 && !deleteChildren) {
      throw conflict('has_children', 'the account has child accounts; say deleteChildren to delete them too');
    }
    await refuseLastAdmin(context, trx, actor.user.id);
    for (const { id } of [...children, actor.user]) await removeUser(context, trx, id);
    const { address, requestId } = caller;
    const detail = { children: children.length };
    const entry = { actor: actor.name, action: 'user.deleted', target: actor.user.id, address, requestId, detail };
    await context.audit.append(trx, entry);
  });
  await context.revocations.announce();
}

export async function removeUser(context: IdentityContext, trx: Trx, id: string): Promise<void> {
  await endAllAccess(context, trx, id, 'account deleted', { keys: true });
  await trx
    .deleteFrom('guards')
    .where('key', 'in', [`user:${id}`, `user:${id}:locked`])
    .execute();
  await trx.deleteFrom('users').where('id', '=', id).execute();
}

/** Nobody may lock everybody out: the last active administrator stays one. */
export async function refuseLastAdmin(_context: IdentityContext, trx: Trx, userId: string): Promise<void> {
  if (!(await rolesOf(trx, userId)).includes('admin')) return;
  // Locks all administrators in one order, so that two that remove each other at once do not both succeed.
  const admins = await trx
    .updateTable('user_roles')
    .set({ role: 'admin' })
    .where('role', '=', 'admin')
    .returning('user_id')
    .execute();
  const others = admins.map((row) => row.user_id).filter((id) => id !== userId);
  const active =
    others.length === 0
      ? undefined
      : await trx
          .selectFrom('users')
          .select('id')
          .where('id', 'in', others)
          .where('status', '=', 'active')
          .executeTakeFirst();
  if (active === undefined) throw conflict('last_admin', 'the last administrator must stay');
}
