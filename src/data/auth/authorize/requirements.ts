/**
 * What an identity must have to pass: scopes, roles, a second factor, a fresh sign-in. Used by `auth` and `authorize`.
 * Precomputed once per route; a request that passes costs a few list look-ups and no object.
 */
import type { Clock } from '../../../base/clock.ts';
import { FAULTS, Fault } from '../../../base/errors.ts';
import type { Requirements } from '../../contract/auth.ts';
import type { Identity } from '../../contract/policy.ts';

let made = 0;

export class RequirementCheck {
  /**
   * Unlike that of every other check of this worker; an identity keeps the number of the last one that it has passed.
   */
  readonly #number = ++made;
  readonly #requirements: Requirements;
  readonly #anonymous: Fault;
  readonly #tooFewScopes: Fault;
  readonly #wrongRole: Fault;
  readonly #noSecondFactor: Fault;
  readonly #staleSignIn: Fault;

  constructor(requirements: Requirements, realm: string) {
    this.#requirements = requirements;
    const bearer = `Bearer realm="${realm}"`;
    this.#anonymous = new Fault(FAULTS.authenticationRequired, { headers: { 'WWW-Authenticate': bearer } });
    // RFC 6750 §3.1: the scopes that would do are named.
    const scope = requirements.scopes.join(' ');
    this.#tooFewScopes = new Fault(FAULTS.insufficientPermissions, {
      cause: 'scope',
      headers: { 'WWW-Authenticate': `${bearer}, error="insufficient_scope", scope="${scope}"` },
    });
    this.#wrongRole = new Fault(FAULTS.insufficientPermissions, { cause: 'role' });
    this.#noSecondFactor = new Fault(FAULTS.mfaRequired, { cause: 'mfa' });
    // RFC 9470 §3: step-up is a 401 with its own error code, so that an application knows to send the user to sign in.
    const maxAge = requirements.maxAuthAgeSeconds || requirements.freshFactorSeconds || 0;
    this.#staleSignIn = new Fault(FAULTS.authenticationRequired, {
      cause: 'stale_sign_in',
      detail: `sign in again: the last sign-in may be at most ${maxAge} seconds ago`,
      headers: {
        'WWW-Authenticate': `${bearer}, error="insufficient_user_authentication", max_age=${maxAge}`,
      },
    });
  }

  /** Is anything asked for at all? */
  get isEmpty(): boolean {
    const { scopes, roles, mfa, maxAuthAgeSeconds, freshFactorSeconds = 0 } = this.#requirements;
    const noAge = maxAuthAgeSeconds === 0 && freshFactorSeconds === 0;
    return scopes.length === 0 && roles.length === 0 && mfa === 'off' && noAge;
  }

  /** The fault, or undefined when the identity has everything. */
  check(identity: Identity | null, clock: Clock): Fault | undefined {
    const { maxAuthAgeSeconds, freshFactorSeconds = 0 } = this.#requirements;
    if (identity === null) return this.#anonymous;
    if (identity.passedCheck !== this.#number) {
      const fault = this.#lacking(identity);
      if (fault !== undefined) return fault;
      if (identity.passedCheck !== undefined) identity.passedCheck = this.#number;
    }
    const fresh = freshFactorSeconds > 0 && identity.method === 'jwt' && hasSecondFactor(identity);
    const longest = fresh ? freshFactorSeconds : maxAuthAgeSeconds;
    if (longest > 0) {
      const signedInAt = identity.claims['auth_time'];
      const isRecent = typeof signedInAt === 'number' && clock.wallMs() / 1_000 - signedInAt <= longest;
      if (!isRecent) return this.#staleSignIn;
    }
    return undefined;
  }

  /** What does not change while the identity lives. */
  #lacking(identity: Identity): Fault | undefined {
    const { scopes, roles, mfa } = this.#requirements;
    for (let i = 0; i < roles.length; i++) {
      if (identity.roles.includes(roles[i]!)) break;
      if (i === roles.length - 1) return this.#wrongRole;
    }
    for (let i = 0; i < scopes.length; i++) {
      if (!identity.scopes.includes(scopes[i]!)) return this.#tooFewScopes;
    }
    if (mfa !== 'off' && (mfa === 'always' || isToken(identity)) && !hasSecondFactor(identity))
      return this.#noSecondFactor;
    return undefined;
  }
}

/**
 * `mfa_verified`, or `mfa` among `amr` (RFC 8176 §2: "multiple-factor authentication"). A single strong factor is not
 * two.
 */
function hasSecondFactor(identity: Identity): boolean {
  const { mfa_verified: verified, amr } = identity.claims;
  return verified === true || (Array.isArray(amr) && amr.includes('mfa'));
}

/** Keys and certificates belong to programs, which have no second factor. */
function isToken({ method }: Identity): boolean {
  return method === 'jwt' || method === 'introspect';
}
