/**
 * The second step of a sign-in, and the same check for step-up: one factor, by what the caller sent. Wrong ones count
 * against the account like wrong passwords, and against the ticket, which bears five.
 */
import { guesserOf } from '../accounts/devices.ts';
import { guardKey, type TicketPayload } from '../accounts/sign-in.ts';
import { findById } from '../accounts/users.ts';
import type { Caller } from '../caller.ts';
import type { IdentityContext } from '../context.ts';
import { type Problem, unauthenticated } from '../problem.ts';
import type { SignInFacts } from '../sessions/sessions.ts';
import type { User } from '../tables.ts';
import { takePasskey } from './passkeys.ts';
import { takeRecoveryCode } from './recovery.ts';
import { takeTotp } from './totp.ts';

export interface GivenFactor {
  readonly code?: string | undefined;
  readonly recoveryCode?: string | undefined;
  readonly passkey?: Record<string, unknown> | undefined;
}

const MAX_TRIES = 5;

const badTicket = (): Problem => unauthenticated('the ticket is not valid; sign in again', 'invalid_ticket');
const wrongFactor = (): Problem => unauthenticated('the second factor is wrong', 'invalid_second_factor');

export async function giveSecondFactor(
  context: IdentityContext,
  given: GivenFactor & { mfaTicket: string },
  caller: Caller,
): Promise<{ user: User; facts: SignInFacts }> {
  const { store, guard } = context;
  await guard.checkAddress(store.db, caller.address);
  return await guard.attempt(store.db, caller.address, () => redeemTicket(context, given, caller));
}

async function redeemTicket(
  context: IdentityContext,
  given: GivenFactor & { mfaTicket: string },
  caller: Caller,
): Promise<{ user: User; facts: SignInFacts }> {
  const { store, codes } = context;
  const ticket = await codes.attempt(store.db, 'mfa-ticket', given.mfaTicket, MAX_TRIES);
  if (ticket === undefined || ticket.userId === null) throw badTicket();
  const user = await findById(store.db, ticket.userId);
  const payload = ticket.payload as TicketPayload;
  if (user === undefined || user.password_hash !== payload.passwordHash) throw badTicket();
  const amr = await takeFactor(context, user, given, caller);
  if ((await codes.use(store.db, 'mfa-ticket', given.mfaTicket)) === undefined) throw badTicket();
  const now = context.clock.wallMs();
  return { user, facts: { amr: [...new Set([...payload.amr, ...amr, 'mfa'])], mfaAt: now, scopes: payload.scopes } };
}

/** The owner learns of it: a stolen list of codes is noticed by its first use. */
async function useRecoveryCode(context: IdentityContext, user: User, code: string): Promise<boolean> {
  const isRight = await context.store.transaction(async (trx) => {
    if (!(await takeRecoveryCode(context, trx, user.id, code))) return false;
    const left = await trx
      .selectFrom('recovery_codes')
      .select('hash')
      .where('user_id', '=', user.id)
      .where('used_at', 'is', null)
      .execute();
    await context.mails.tell(trx, user, 'codeUsed', { count: left.length });
    return true;
  });
  if (isRight) context.outbox.nudge();
  return isRight;
}

/** Takes the factor; returns its RFC 8176 names, or throws 401. The caller counts the attempt of the address. */
export async function takeFactor(
  context: IdentityContext,
  user: User,
  given: GivenFactor,
  caller: Caller,
): Promise<string[]> {
  const { store, guard } = context;
  const key = guardKey(context, user, '');
  const who = await guesserOf(context, store.db, user, caller);
  if (await guard.isLocked(store.db, key, who)) throw wrongFactor();
  if (given.code !== undefined && (await takeTotp(context, store.db, user.id, given.code))) return ['otp'];
  if (given.recoveryCode !== undefined && (await useRecoveryCode(context, user, given.recoveryCode))) return ['kba'];
  if (given.passkey !== undefined && (await takePasskey(context, given.passkey, user.id)) !== undefined) return ['hwk'];
  await store.transaction(async (trx) => {
    await guard.fail(trx, key, who);
    const { address, requestId } = caller;
    await context.audit.append(trx, { actor: user.id, action: 'mfa.failed', target: user.id, address, requestId });
  });
  throw wrongFactor();
}
