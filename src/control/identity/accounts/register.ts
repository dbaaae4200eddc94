/**
 * Registering. With `verifyEmail: required` no account exists until the code of the mail comes back: what was typed
 * waits, sealed, with the code. So the answer is the same for known and unknown addresses, nobody can hold somebody
 * else's address, and a mail to an existing account says so only to its owner.
 */

import type { Kysely, Transaction } from 'kysely';
import { isUniqueViolation } from '../../store/faults.ts';
import type { Caller } from '../caller.ts';
import { ageOf } from '../child-accounts/rules.ts';
import type { IdentityContext } from '../context.ts';
import { checkNewPassword } from '../password-hashing/policy.ts';
import { conflict, forbidden, invalidCode, invalidField, type Problem } from '../problem.ts';
import type { ShownAccount } from '../responses.ts';
import type { IdentityTables, User } from '../tables.ts';
import { provePassword } from './change-password.ts';
import { ownerOf } from './guard.ts';
import { knownLanguage, languageOfCaller } from './language.ts';
import { completeSignIn } from './sign-in.ts';
import { findById, findByLogin, insertUser, mayMail } from './users.ts';

type Trx = Transaction<IdentityTables>;

const CODE_TTL_MS = 86_400_000;

export interface Registration {
  readonly email: string;
  readonly password: string;
  readonly username?: string | undefined;
  readonly displayName?: string | undefined;
  readonly birthDate?: string | undefined;
  /** Of its emails; default what the caller reads. */
  readonly language?: string | undefined;
}

interface Waiting {
  readonly email: string;
  readonly username: string | null;
  readonly displayName: string | null;
  readonly birthDate: string | null;
  readonly language: string | null;
  readonly passwordHash: string;
}

const SENT = {
  status: 'verification_sent',
  message: 'if the address can be registered, a mail with a code is on its way',
} as const;

/** `withSession`: an account that exists at once is signed in at once. */
export async function register(
  context: IdentityContext,
  given: Registration,
  caller: Caller,
  withSession = true,
): Promise<{ status: 201 | 202; body: object; userId?: string }> {
  if (!context.options.registration.open)
    throw forbidden('accounts are made by administrators here', 'registration_closed');
  const { db } = context.store;
  context.budget.take('signUps', caller.address);
  await context.guard.checkAddress(db, caller.address);
  checkNewPassword(given.password, [given.email, given.username, given.displayName], context.options.passwords);
  checkAge(context, given.birthDate);
  const language =
    given.language === undefined ? languageOfCaller(context, caller) : knownLanguage(context, given.language);
  // Where the response tells that a name is taken anyway, it does so before the hash.
  if (context.options.registration.verifyEmail === 'off') await refuseTaken(db, given);
  const waiting: Waiting = {
    email: given.email,
    username: given.username ?? null,
    displayName: given.displayName ?? null,
    birthDate: given.birthDate ?? null,
    language,
    passwordHash: await context.hasher.hash(given.password, ownerOf(caller)),
  };
  if (context.options.registration.verifyEmail === 'required') {
    await sendCode(context, waiting, caller);
    return { status: 202, body: SENT };
  }
  const user = await createAccount(context, waiting, false, caller);
  if (!withSession) return { status: 201, body: { user: publicUser(user) }, userId: user.id };
  const facts = { amr: ['pwd'], mfaAt: null, scopes: null };
  const tokens = await completeSignIn(context, user, facts, caller);
  return { status: 201, body: { ...tokens, user: publicUser(user) }, userId: user.id };
}

/** Too young to register alone; a parent makes the account. */
function checkAge(context: IdentityContext, birthDate: string | undefined): void {
  const age = ageOf(birthDate ?? null, context.clock.wallMs());
  if (age !== undefined && age < 13) throw forbidden('a parent must make this account', 'too_young');
}

async function sendCode(context: IdentityContext, waiting: Waiting, caller: Caller): Promise<void> {
  await context.store.transaction(async (trx) => {
    const known = await findByLogin(trx, waiting.email);
    const about = { payload: waiting, ttlMs: CODE_TTL_MS };
    // The code is made in both cases, so that both take the same time; nobody learns the one for a known address.
    const code = await context.codes.issue(trx, 'register', about);
    if (await mayMail(context, trx, waiting.email)) {
      const { email, language } = waiting;
      if (known === undefined) await context.mails.verifyEmail(trx, { email, language }, code);
      else await context.mails.alreadyRegistered(trx, { email, language: known.language });
    }
    const { address, requestId } = caller;
    await context.audit.append(trx, { actor: 'anonymous', action: 'registration.asked', address, requestId });
  });
  context.outbox.nudge();
}

export interface Confirmation {
  readonly token: string;
  readonly password?: string | undefined;
  readonly newPassword?: string | undefined;
  readonly username?: string | undefined;
}

/** Tries that one code of a mail allows; each costs a hash. */
export const CONFIRM_ATTEMPTS = 10;

/**
 * Uses the code of the mail up: makes the account, or gives an existing one its new address. Holding the code is not
 * enough: whoever has the mailbox must also know the password that was given with the address, or set another in its
 * place. Otherwise a stranger could register somebody's address, wait until that person opens the link, and have the
 * password of an account that its owner takes for their own. `username` replaces one that was taken. When something
 * stands in the way, the code stays good.
 */
export async function confirmRegistration(
  context: IdentityContext,
  given: Confirmation,
  caller: Caller,
): Promise<object> {
  const { db } = context.store;
  const { token } = given;
  await context.guard.checkAddress(db, caller.address);
  const { waiting, moving } = await context.guard.attempt(db, caller.address, async () => {
    const asked = await context.codes.attempt(db, 'register', token, CONFIRM_ATTEMPTS);
    const found = {
      waiting: asked?.payload as Waiting | undefined,
      moving: asked === undefined ? await movingAccount(context, token) : undefined,
    };
    if (found.waiting === undefined && found.moving === undefined) throw invalidCode();
    return found;
  });
  let passwordHash = waiting?.passwordHash ?? '';
  if (given.newPassword !== undefined) {
    if (waiting === undefined) throw invalidField('newPassword', 'the password of the account, in `password`');
    const names = [waiting.email, given.username ?? waiting.username, waiting.displayName];
    checkNewPassword(given.newPassword, names, context.options.passwords, 'newPassword');
    passwordHash = await context.hasher.hash(given.newPassword, ownerOf(caller));
  } else if (moving !== undefined) await provePassword(context, moving, given.password ?? '', caller);
  else {
    await context.guard.attempt(db, caller.address, async () => {
      const { matches } = await context.hasher.check(given.password ?? '', passwordHash, ownerOf(caller));
      if (!matches)
        throw forbidden('this is not the password of the registration; give it, or a newPassword', 'wrong_password');
    });
  }
  const user = await context.store.transaction(async (trx) => {
    if (moving !== undefined) return await confirmNewEmail(context, trx, token, caller);
    const used = await context.codes.use(trx, 'register', token);
    if (used === undefined) throw invalidCode();
    const asked = used.payload as Waiting;
    const made = { ...asked, passwordHash, username: given.username ?? asked.username };
    return await insertFrom(context, trx, made, true, caller);
  });
  context.outbox.nudge();
  return { status: 'verified', user: publicUser(user) };
}

/** The account that a code sent to its new address belongs to. */
async function movingAccount(context: IdentityContext, token: string): Promise<User | undefined> {
  const { db } = context.store;
  const found = await context.codes.attempt(db, 'verify-email', token, CONFIRM_ATTEMPTS);
  const user = found?.userId == null ? undefined : await findById(db, found.userId);
  return user?.status === 'active' ? user : undefined;
}

async function createAccount(
  context: IdentityContext,
  waiting: Waiting,
  verified: boolean,
  caller: Caller,
): Promise<User> {
  return await context.store.transaction((trx) => insertFrom(context, trx, waiting, verified, caller));
}

async function refuseTaken(
  db: Kysely<IdentityTables>,
  { email, username }: { readonly email: string; readonly username?: string | null | undefined },
): Promise<void> {
  if ((await findByLogin(db, email)) !== undefined) throw emailTaken();
  if (username != null && (await findByLogin(db, username)) !== undefined) throw usernameTaken();
}

async function insertFrom(
  context: IdentityContext,
  trx: Trx,
  waiting: Waiting,
  emailVerified: boolean,
  caller: Caller,
): Promise<User> {
  await refuseTaken(trx, waiting);
  try {
    const user = await insertUser(context, trx, {
      kind: 'user',
      ...waiting,
      emailVerified,
      roles: context.options.defaultRoles,
    });
    const { address, requestId } = caller;
    await context.audit.append(trx, { actor: user.id, action: 'user.created', target: user.id, address, requestId });
    return user;
  } catch (error) {
    // Two at the same moment: the database decides.
    if (isUniqueViolation(error)) throw conflict('name_taken', 'the address or the user name is taken');
    throw error;
  }
}

const emailTaken = (): Problem => conflict('email_taken', 'an account with this address exists');
export const usernameTaken = (): Problem => conflict('username_taken', 'the user name is taken; choose another');

/** A code that was sent to the new address of an existing account. */
async function confirmNewEmail(context: IdentityContext, trx: Trx, token: string, caller: Caller): Promise<User> {
  const used = await context.codes.use(trx, 'verify-email', token);
  if (used === undefined || used.userId === null) throw invalidCode();
  const { email } = used.payload as { email: string };
  const before = await findById(trx, used.userId);
  if (before === undefined || before.status !== 'active') throw invalidCode();
  const holder = await findByLogin(trx, email);
  if (holder !== undefined && holder.id !== before.id) throw emailTaken();
  const now = context.clock.wallMs();
  const user = await trx
    .updateTable('users')
    .set({ email, email_verified_at: now, updated_at: now })
    .where('id', '=', before.id)
    .returningAll()
    .executeTakeFirstOrThrow();
  if (before.email !== null && before.email !== email) await context.mails.tell(trx, before, 'addressText');
  const { address, requestId } = caller;
  await context.audit.append(trx, {
    actor: user.id,
    action: 'user.email-changed',
    target: user.id,
    address,
    requestId,
  });
  return user;
}

/** What an account may see of itself; no hash, no rule of its parent. */
export function publicUser(user: User): ShownAccount {
  return {
    id: user.id,
    kind: user.kind,
    email: user.email,
    emailVerified: user.email_verified_at !== null,
    username: user.username,
    displayName: user.display_name,
    plan: user.plan,
    birthDate: user.birth_date,
    parentId: user.parent_id,
    status: user.status,
    language: user.language,
    createdAt: new Date(user.created_at).toISOString(),
    lastLoginAt: user.last_login_at === null ? null : new Date(user.last_login_at).toISOString(),
  };
}
