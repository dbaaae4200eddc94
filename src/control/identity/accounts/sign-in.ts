/**
 * Signing in with a password, in the order that gives nothing away: address limit, a place in the queue, look-up,
 * lock, hash (of a dummy when there is nothing to check), count. Every refusal is the same answer after the same
 * work. A right password of an account with a second factor gives a ticket, not a session.
 */

import { keyedHash } from '../../secrets/master-key.ts';
import type { Caller } from '../caller.ts';
import type { IdentityContext } from '../context.ts';
import { factorsOf } from '../mfa/factors.ts';
import { badCredentials, Problem } from '../problem.ts';
import type { TokenAnswer } from '../responses.ts';
import { answerFor, type SignInFacts, startSession } from '../sessions/sessions.ts';
import type { User } from '../tables.ts';
import { guesserOf } from './devices.ts';
import { type Guesser, ownerOf } from './guard.ts';
import { findByLogin, mayMail } from './users.ts';

export interface Credentials {
  readonly login: string;
  readonly password: string;
}

/**
 * The key under which wrong passwords are counted: the account's id, or one of 4,096 for names that nobody has, so that
 * invented names fill no table.
 */
export function guardKey(context: IdentityContext, user: User | undefined, login: string): string {
  if (user !== undefined) return `user:${user.id}`;
  const hash = keyedHash(context.master.derive('guard-names'), login.trim().toLowerCase());
  return `name:${hash.slice(0, 2)}`;
}

/** The account of right credentials; throws `badCredentials` for any other. */
export async function checkPassword(context: IdentityContext, given: Credentials, caller: Caller): Promise<User> {
  const { store, guard, hasher } = context;
  await guard.checkAddress(store.db, caller.address);
  const checkInTurn = async (): Promise<User> => {
    // Inside the queue: what was true when the request arrived may not be when its turn comes.
    const user = await findByLogin(store.db, given.login);
    const key = guardKey(context, user, given.login);
    const who = await guesserOf(context, store.db, user, caller);
    const locked = await guard.isLocked(store.db, key, who);
    const stored = user?.status === 'active' && !locked ? user.password_hash : null;
    const { matches, outdated } = await hasher.checkInside(given.password, stored);
    if (!matches || user === undefined) {
      await recordFailure(context, user, key, who, locked, caller);
      throw badCredentials();
    }
    if (outdated) void renewHash(context, user, given.password);
    return user;
  };
  return await hasher.semaphore.run(() => guard.attempt(store.db, caller.address, checkInTurn), ownerOf(caller));
}

async function recordFailure(
  context: IdentityContext,
  user: User | undefined,
  key: string,
  who: Guesser,
  locked: boolean,
  caller: Caller,
): Promise<void> {
  await context.store.transaction(async (trx) => {
    const begins = await context.guard.fail(trx, key, who, locked);
    if (begins && user?.email != null && (await mayMail(context, trx, user.email)))
      await context.mails.tell(trx, user, 'lockedText');
    await context.audit.append(trx, {
      actor: 'anonymous',
      action: 'login.failed',
      target: user?.id ?? '',
      address: caller.address,
      requestId: caller.requestId,
      detail: { locked },
    });
  });
}

/** After a change of parameters; the sign-in does not wait for it and does not fail with it. */
async function renewHash(context: IdentityContext, user: User, password: string): Promise<void> {
  try {
    const password_hash = await context.hasher.hash(password);
    await context.store.db
      .updateTable('users')
      .set({ password_hash })
      .where('id', '=', user.id)
      .where('password_hash', '=', user.password_hash)
      .execute();
  } catch {
    context.log.info('a password hash was not renewed; the next sign-in tries again', { user: user.id });
  }
}

/** Signs in, or throws MFA_REQUIRED with a ticket for the second step. `forCookies`: the token goes into a cookie. */
export async function signIn(
  context: IdentityContext,
  given: Credentials,
  scopes: readonly string[] | null,
  caller: Caller,
  forCookies = false,
): Promise<{ user: User; tokens: TokenAnswer }> {
  const user = await checkPassword(context, given, caller);
  const factors = await factorsOf(context.store.db, user.id);
  if (factors.length > 0) throw await secondFactorNeeded(context, user, factors, { amr: ['pwd'], scopes });
  const tokens = await completeSignIn(context, user, { amr: ['pwd'], mfaAt: null, scopes }, caller, forCookies);
  return { user, tokens };
}

export interface TicketPayload {
  readonly amr: readonly string[];
  readonly scopes: readonly string[] | null;
  /** The hash that was checked: a password changed meanwhile voids the ticket. */
  readonly passwordHash: string | null;
}

export async function secondFactorNeeded(
  context: IdentityContext,
  user: User,
  methods: readonly string[],
  facts: { amr: readonly string[]; scopes: readonly string[] | null },
): Promise<Problem> {
  const payload: TicketPayload = { ...facts, passwordHash: user.password_hash };
  const ttlMs = context.options.mfa.ticketTtl;
  const ticket = await context.store.transaction((trx) =>
    context.codes.issue(trx, 'mfa-ticket', { userId: user.id, payload, ttlMs, keepEarlier: true }),
  );
  const members = { mfaTicket: ticket, methods, expiresIn: Math.floor(ttlMs / 1_000) };
  return new Problem(403, 'MFA_REQUIRED', 'mfa_required', 'a second factor is required', { members });
}

/** The session of a proven account. Fails when the account changed since the proof. */
export async function completeSignIn(
  context: IdentityContext,
  proven: User,
  facts: SignInFacts,
  caller: Caller,
  forCookies = false,
): Promise<TokenAnswer> {
  const begun = await context.store.transaction(async (trx) => {
    // Takes the row, so that disabling or a new password, which take it too, come wholly before or after.
    const user = await trx
      .updateTable('users')
      .set({ last_login_at: context.clock.wallMs() })
      .where('id', '=', proven.id)
      .where('status', '=', 'active')
      .where((eb) =>
        proven.password_hash === null
          ? eb('password_hash', 'is', null)
          : eb.or([
              eb('password_hash', '=', proven.password_hash),
              // a hash that was only renewed with new parameters is the same password
              eb('password_changed_at', '=', proven.password_changed_at),
            ]),
      )
      .returningAll()
      .executeTakeFirst();
    if (user === undefined) return undefined;
    await context.guard.clear(trx, `user:${user.id}`, await guesserOf(context, trx, user, caller));
    return await startSession(context, trx, user, facts, caller);
  });
  if (begun === undefined) throw badCredentials();
  await context.revocations.announce();
  return await answerFor(context, begun.session, begun.access, begun.refreshToken, forCookies);
}
