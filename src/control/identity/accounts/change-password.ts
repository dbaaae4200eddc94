/**
 * New passwords: changed by the owner, set again by mail, and the deletion of an account, which needs the password
 * too. Each ends what the old password had opened (docs/identity-rules.md, 8).
 */
import type { Transaction } from 'kysely';
import type { Actor } from '../actor.ts';
import type { Caller } from '../caller.ts';
import type { IdentityContext } from '../context.ts';
import { factorsOf } from '../mfa/factors.ts';
import { checkNewPassword } from '../password-hashing/policy.ts';
import { conflict, forbidden, invalidCode } from '../problem.ts';
import type { IdentityTables, User } from '../tables.ts';
import { rolesOf } from './access.ts';
import { guesserOf } from './devices.ts';
import { ownerOf } from './guard.ts';
import { languageOfCaller } from './language.ts';
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
  await context.guard.clearAll(trx, `user:${user.id}`);
  await context.mails.tell(trx, user, 'passwordText');
}

export async function changePassword(
  context: IdentityContext,
  actor: Actor,
  current: string,
  fresh: string,
  remove: WaysToRemove,
  caller: Caller,
): Promise<WaysLeft> {
  const { user } = actor;
  await provePassword(context, user, current, caller);
  checkNewPassword(fresh, [user.email, user.username, user.display_name], context.options.passwords, 'newPassword');
  const hash = await context.hasher.hash(fresh, ownerOf(caller));
  const left = await context.store.transaction(async (trx) => {
    await storePassword(context, trx, user, hash, 'password changed', actor.session.id);
    // The routes asked for the second factor, so passkeys may go even when they are the only one.
    const ways = await removeWays(context, trx, user, remove, true);
    const { address, requestId } = caller;
    await context.audit.append(trx, {
      actor: actor.name,
      action: 'password.changed',
      target: user.id,
      address,
      requestId,
    });
    return ways;
  });
  await context.revocations.announce();
  context.outbox.nudge();
  return left;
}

export interface WaysToRemove {
  readonly removePasskeys: boolean;
  readonly removeLinks: boolean;
}

/** Ways into the account that a new password does not close. */
export interface WaysLeft {
  readonly passkeysLeft: number;
  readonly linksLeft: number;
}

/**
 * Takes passkeys and links to outside accounts away when asked to; says how many there still are, so that a page can
 * offer it. An emailed code must not replace a second factor: passkeys that are the only one stay (`mayDropFactor`).
 */
async function removeWays(
  context: IdentityContext,
  trx: Trx,
  user: User,
  { removePasskeys, removeLinks }: WaysToRemove,
  mayDropFactor: boolean,
): Promise<WaysLeft> {
  const factors = await factorsOf(trx, user.id);
  if (removePasskeys && (mayDropFactor || factors.includes('totp'))) {
    const gone = await trx.deleteFrom('passkeys').where('user_id', '=', user.id).returning('id').execute();
    if (gone.length > 0) await context.mails.tell(trx, user, 'passkeysRemoved');
    if (!factors.includes('totp')) await trx.deleteFrom('recovery_codes').where('user_id', '=', user.id).execute();
  }
  if (removeLinks) {
    const gone = await trx.deleteFrom('linked_accounts').where('user_id', '=', user.id).returning('provider').execute();
    if (gone.length > 0) await context.mails.tell(trx, user, 'linksRemoved');
  }
  const passkeys = await trx.selectFrom('passkeys').select('id').where('user_id', '=', user.id).execute();
  const links = await trx.selectFrom('linked_accounts').select('provider').where('user_id', '=', user.id).execute();
  return { passkeysLeft: passkeys.length, linksLeft: links.length };
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
  const checkInTurn = async (): Promise<true | undefined> => {
    const who = await guesserOf(context, store.db, user, caller);
    const locked = await guard.isLocked(store.db, key, who);
    const { matches } = await hasher.checkInside(password, locked ? null : user.password_hash);
    if (!matches) await guard.fail(store.db, key, who, locked);
    return matches || undefined;
  };
  const isRight = await hasher.semaphore.run(
    () => guard.attempt(store.db, caller.address, checkInTurn),
    ownerOf(caller),
  );
  if (isRight !== true) throw forbidden('the password is wrong, or there were too many attempts', 'wrong_password');
}

/**
 * Sends an email if there is an account. All of it happens after the response, which so tells nothing by its time, and
 * an address that nobody has leaves no row.
 */
export async function requestReset(context: IdentityContext, email: string, caller: Caller): Promise<void> {
  context.budget.take('emails', caller.address);
  await context.guard.checkAddress(context.store.db, caller.address);
  context.background.run(() => sendReset(context, email, caller));
}

async function sendReset(context: IdentityContext, email: string, caller: Caller): Promise<void> {
  const user = await findByLogin(context.store.db, email);
  if (user === undefined || user.status !== 'active' || user.kind !== 'user') return;
  await context.store.transaction(async (trx) => {
    if (!(await mayMail(context, trx, email))) return;
    const code = await context.codes.issue(trx, 'reset-password', { userId: user.id, ttlMs: RESET_TTL_MS });
    const to = { email, language: user.language ?? languageOfCaller(context, caller) };
    await context.mails.resetPassword(trx, to, user.username ?? email, code);
    const { address, requestId } = caller;
    const entry = { actor: 'anonymous', action: 'password.reset-asked', target: user.id, address, requestId };
    await context.audit.append(trx, entry);
  });
  context.outbox.nudge();
}

export async function resetPassword(
  context: IdentityContext,
  token: string,
  fresh: string,
  remove: WaysToRemove,
  caller: Caller,
): Promise<WaysLeft> {
  checkNewPassword(fresh, [], context.options.passwords, 'newPassword');
  const { db } = context.store;
  await context.guard.checkAddress(db, caller.address);
  return await context.guard.attempt(db, caller.address, () => resetBy(context, token, fresh, remove, caller));
}

async function resetBy(
  context: IdentityContext,
  token: string,
  fresh: string,
  remove: WaysToRemove,
  caller: Caller,
): Promise<WaysLeft> {
  // A made-up code costs a look-up, not a hash.
  const seen = await context.codes.look(context.store.db, 'reset-password', token, Number.POSITIVE_INFINITY);
  if (seen?.isGood !== true) throw invalidCode();
  const hash = await context.hasher.hash(fresh, ownerOf(caller));
  const done = await context.store.transaction(async (trx) => {
    const used = await context.codes.use(trx, 'reset-password', token);
    const user = used?.userId == null ? undefined : await findById(trx, used.userId);
    if (user === undefined || user.status !== 'active') return undefined;
    checkNewPassword(fresh, [user.email, user.username, user.display_name], context.options.passwords, 'newPassword');
    await storePassword(context, trx, user, hash, 'password reset');
    if (user.email_verified_at === null) await takeOver(context, trx, user);
    const ways = await removeWays(context, trx, user, remove, false);
    const { address, requestId } = caller;
    await context.audit.append(trx, { actor: user.id, action: 'password.reset', target: user.id, address, requestId });
    return ways;
  });
  if (done === undefined) throw invalidCode();
  await context.revocations.announce();
  context.outbox.nudge();
  return done;
}

/**
 * Whoever read the mail has shown that the address is theirs; until now nobody had (`verifyEmail: off`). What was set
 * up before may be a stranger's who registered this address, so it ends: second factors, passkeys, links to outside
 * accounts, and the passwords of child accounts. Sessions, keys and grants ended with the password.
 */
async function takeOver(context: IdentityContext, trx: Trx, user: User): Promise<void> {
  let gone = 0;
  for (const table of ['mfa_totp', 'recovery_codes', 'passkeys', 'linked_accounts'] as const)
    gone += (await trx.deleteFrom(table).where('user_id', '=', user.id).returning('user_id').execute()).length;
  if (gone > 0) await context.mails.tell(trx, user, 'takenOver');
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
  await context.guard.clearAll(trx, `user:${id}`);
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
