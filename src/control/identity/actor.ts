/**
 * Who acts, once proven: the account behind a session. What an actor may change with their own hands is decided here;
 * how a request proves one is http/actor.ts.
 */
import type { Access } from './accounts/access.ts';
import type { IdentityContext } from './context.ts';
import { forbidden, Problem } from './problem.ts';
import type { Session, User } from './tables.ts';

export interface Actor {
  readonly user: User;
  readonly session: Session;
  readonly access: Access;
  /** Scopes of the token itself, which may be fewer than the account's. */
  readonly scopes: readonly string[];
  /** For the audit log: the account, or `administrator as account`. */
  readonly name: string;
}

/** For changes that matter: not while impersonating, and with a recent second factor if the account has one. */
export function requireOwnHands(context: IdentityContext, actor: Actor, hasFactor: boolean): void {
  if (actor.session.actor_id !== null) throw forbidden('not while impersonating', 'impersonating');
  if (!hasFactor) return;
  const at = actor.session.mfa_at;
  if (at !== null && context.clock.wallMs() - at <= context.options.mfa.stepUpTtl) return;
  throw new Problem(403, 'MFA_REQUIRED', 'step_up_required', 'give your second factor again first', {
    members: { stepUp: `${context.options.basePath}/mfa/step-up` },
  });
}
