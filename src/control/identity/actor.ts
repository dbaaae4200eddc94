/**
 * Who acts, once proven: the account behind a session. What an actor may change with their own hands is decided here;
 * how a request proves one is http/actor.ts.
 */
import type { Access } from './accounts/access.ts';
import type { IdentityContext } from './context.ts';
import { factorsOf } from './mfa/factors.ts';
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

/**
 * For changes that matter: not while impersonating, and with a recent second factor when the account has one. What the
 * account has decides, not what the session was begun with.
 */
export async function requireOwnHands(context: IdentityContext, actor: Actor): Promise<void> {
  if (actor.session.actor_id !== null) throw forbidden('not while impersonating', 'impersonating');
  if (!(await hasFactor(context, actor))) return;
  const at = actor.session.mfa_at;
  if (at === null || !isRecent(context, at)) throw stepUp(context, 'give your second factor again first');
}

/**
 * For what outlives the session or opens another way in: factors, keys, links, children, minted tokens. Whoever has a
 * stolen access token must not make lasting access of it, so the sign-in must be recent even where there is no second
 * factor. A session that was narrowed makes nothing that can do more than it (`mayBeNarrowed` where that is checked).
 */
export async function requireRecentProof(context: IdentityContext, actor: Actor, mayBeNarrowed = false): Promise<void> {
  await requireOwnHands(context, actor);
  if (actor.session.scopes !== null && !mayBeNarrowed)
    throw forbidden('sign in without naming scopes for this', 'narrowed_session');
  if (isRecent(context, actor.session.auth_at)) return;
  throw stepUp(context, 'give your password again first, or sign in anew');
}

export async function hasFactor(context: IdentityContext, actor: Actor): Promise<boolean> {
  return (await factorsOf(context.store.db, actor.user.id)).length > 0;
}

const isRecent = (context: IdentityContext, at: number): boolean =>
  context.clock.wallMs() - at <= context.options.mfa.stepUpTtl;

const stepUp = (context: IdentityContext, message: string): Problem =>
  new Problem(403, 'MFA_REQUIRED', 'step_up_required', message, {
    members: { stepUp: `${context.options.basePath}/mfa/step-up` },
  });
