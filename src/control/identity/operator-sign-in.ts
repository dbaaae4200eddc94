/**
 * Signing in to the console with an account: password and second factor, or a passkey, by the same code as all other
 * sign-ins, with the same guards. The session is one of the account: it is listed with the others and ends with them,
 * with a new password, and when the account is blocked.
 */
import { CidrSet } from '../../base/ip.ts';
import type {
  FactorNeeded,
  OperatorAccounts,
  OperatorProof,
  OperatorRequest,
  SignedInOperator,
} from '../operator-accounts.ts';
import { OperatorRefusal } from '../operator-accounts.ts';
import { accessOf } from './accounts/access.ts';
import { checkPassword, completeSignIn, secondFactorNeeded } from './accounts/sign-in.ts';
import { findById } from './accounts/users.ts';
import type { Caller } from './caller.ts';
import type { IdentityContext } from './context.ts';
import { callerOf } from './http/caller.ts';
import { factorsOf } from './mfa/factors.ts';
import { passkeyChallenge, passkeyDomain, takePasskey } from './mfa/passkeys.ts';
import { giveSecondFactor } from './mfa/ticket.ts';
import { asProblem, badCredentials, forbidden, Problem } from './problem.ts';
import { endSessions } from './sessions/end.ts';
import type { SignInFacts } from './sessions/sessions.ts';
import type { User } from './tables.ts';

interface Proven {
  readonly user: User;
  readonly facts: SignInFacts;
}

const RECOVERY = /^[a-z0-9]{5}-?[a-z0-9]{5}$/i;

export function operatorAccounts(context: IdentityContext, trustProxy: readonly string[]): OperatorAccounts {
  const trusted = new CidrSet(trustProxy);
  const { store, guard, budget } = context;
  const caller = (from: OperatorRequest): Caller => callerOf((name) => from.field(name), from.peer, trusted);
  return {
    rpId: passkeyDomain(context),
    challenge: (ticket, from) =>
      refusing(async () => {
        budget.take('calls', caller(from).address);
        const known =
          ticket === undefined ? undefined : await context.codes.look(store.db, 'mfa-ticket', ticket, 1_000);
        return await passkeyChallenge(context, known?.isGood === true ? known.userId : null);
      }),
    signIn: (proof, from, mayEnter) =>
      refusing(async () => {
        const who = caller(from);
        budget.take('calls', who.address);
        const proven = await prove(proof, who);
        if ('ticket' in proven) return proven;
        const { user, facts } = proven;
        const access = await accessOf(context, store.db, user);
        if (access === undefined || !mayEnter(access.roles))
          throw forbidden('this account has no role for the console', 'no_operator');
        if (access.mfaRequired && facts.mfaAt === null)
          throw new Problem(
            403,
            'MFA_REQUIRED',
            'mfa_enrolment_required',
            'set up a second factor for this account first',
          );
        const { sessionId } = await completeSignIn(context, user, facts, who, true);
        return { sessionId, name: nameOf(user), roles: access.roles } satisfies SignedInOperator;
      }),
    rolesOf: (sessionId) =>
      refusing(async () => {
        const session = await store.db
          .selectFrom('sessions')
          .select(['user_id'])
          .where('id', '=', sessionId)
          .where('revoked_at', 'is', null)
          .where('expires_at', '>', context.clock.wallMs())
          .executeTakeFirst();
        const user = session === undefined ? undefined : await findById(store.db, session.user_id);
        if (user?.status !== 'active') return null;
        return (await accessOf(context, store.db, user))?.roles ?? null;
      }),
    end: (sessionId, from) => refusing(() => endSessions(context, [sessionId], caller(from))),
  };

  async function prove(proof: OperatorProof, who: Caller): Promise<Proven | FactorNeeded> {
    switch (proof.kind) {
      case 'password': {
        const user = await checkPassword(context, proof, who);
        const factors = await factorsOf(store.db, user.id);
        if (factors.length === 0) return { user, facts: { amr: ['pwd'], mfaAt: null, scopes: null } };
        const { more } = await secondFactorNeeded(context, user, factors, { amr: ['pwd'], scopes: null });
        return { ticket: String(more.members?.['mfaTicket']), methods: factors };
      }
      case 'factor': {
        const { ticket, passkey } = proof;
        const code = proof.code?.trim() ?? '';
        const given = passkey !== undefined ? { passkey } : RECOVERY.test(code) ? { recoveryCode: code } : { code };
        return await giveSecondFactor(context, { mfaTicket: ticket, ...given }, who);
      }
      case 'passkey': {
        await guard.checkAddress(store.db, who.address);
        const user = await guard.attempt(store.db, who.address, () => takePasskey(context, proof.passkey));
        if (user === undefined) throw badCredentials();
        return { user, facts: { amr: ['hwk', 'user', 'mfa'], mfaAt: context.clock.wallMs(), scopes: null } };
      }
    }
  }
}

const nameOf = (user: User): string => user.email ?? user.username ?? user.id;

async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const problem = asProblem(error);
    if (problem.status === 500) throw error;
    const { status, code, reason, message, more } = problem;
    throw new OperatorRefusal(status, code, reason, message, more.retryAfterSeconds);
  }
}
