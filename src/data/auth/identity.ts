/**
 * Builds the one Identity object of a verified credential: what its claims mean (subject, roles, scopes, plan) and
 * the fields for the upstream. Done once per credential; the result is frozen and shared by every request that
 * brings the credential while it is cached.
 */
import { accountKey, type ClaimNames, type ClaimPath, ENROL_SCOPE } from '../contract/auth.ts';
import type { Identity, IdentityDerived } from '../contract/policy.ts';
import type { HeaderMaker, IdentityFacts } from './identity-headers.ts';

/** Names in common use: RFC 9068 (`scope`, `roles`), Okta and Entra (`scp`), this project's documents (`tier` ...). */
export const DEFAULT_CLAIM_NAMES: ClaimNames = {
  subject: [['sub']],
  roles: [['roles'], ['role']],
  scopes: [['scope'], ['scp'], ['scopes']],
  plan: [['plan'], ['tier'], ['rate_limit_tier']],
};

/** The value at a path, own members only, or undefined. */
export function readClaim(claims: Readonly<Record<string, unknown>>, path: ClaimPath): unknown {
  let value: unknown = claims;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

/** The first of the places that has a value. */
export function firstClaim(claims: Readonly<Record<string, unknown>>, paths: readonly ClaimPath[]): unknown {
  for (const path of paths) {
    const value = readClaim(claims, path);
    if (value !== undefined && value !== null) return value;
  }
  return undefined;
}

/**
 * A list of names, or one name, whatever it holds: `Billing Admin` is one role and not `Admin`. Anything else is none.
 */
function namesOf(value: unknown): string[] {
  if (isName(value)) return [value];
  return Array.isArray(value) ? value.filter(isName) : [];
}

/** RFC 6749 §3.3: scopes, and nothing else, are words of one text. */
function scopesOf(value: unknown): string[] {
  return typeof value === 'string' ? value.split(' ').filter(isName) : namesOf(value);
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.isWellFormed();
}

/** The facts, or null when the claims name no subject. `issuer` is null for this gateway's own accounts. */
export function factsOfClaims(
  method: string,
  claims: Readonly<Record<string, unknown>>,
  names: ClaimNames,
  issuer: string | null = null,
): IdentityFacts | null {
  const subject = firstClaim(claims, names.subject);
  if (!isName(subject)) return null;
  const plan = firstClaim(claims, names.plan);
  return {
    method,
    subject,
    issuer,
    roles: namesOf(firstClaim(claims, names.roles)),
    scopes: scopesOf(firstClaim(claims, names.scopes)),
    plan: isName(plan) ? plan : null,
  };
}

/** Frozen through and through: a policy or a user's function that changed it would change it for other requests. */
export class PreparedIdentity implements Identity {
  readonly method: string;
  readonly subject: string;
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
  readonly plan: string | null;
  readonly issuer: string | null;
  readonly account: string;
  readonly mustEnrol: boolean;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly upstreamHeaders: Readonly<Record<string, string>>;
  notes: IdentityDerived | null = null;
  passedCheck = 0;
  isNameless = false;
  readonly endsAtMs: number;

  constructor(
    facts: IdentityFacts,
    claims: Readonly<Record<string, unknown>>,
    headers: HeaderMaker,
    endsAtMs: number = Number.POSITIVE_INFINITY,
  ) {
    this.method = facts.method;
    this.subject = facts.subject;
    this.roles = Object.freeze([...facts.roles]);
    this.scopes = Object.freeze([...facts.scopes]);
    this.plan = facts.plan;
    this.issuer = facts.issuer ?? null;
    this.account = accountKey(this.issuer, facts.subject);
    this.mustEnrol = facts.scopes.includes(ENROL_SCOPE);
    this.claims = deepFreeze(claims);
    this.upstreamHeaders = Object.freeze(headers(facts));
    this.endsAtMs = endsAtMs;
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  // A token of 16 kB nests 8,000 levels at most, which the stack bears; freezing before descending ends cycles.
  Object.freeze(value);
  for (const member of Object.values(value)) deepFreeze(member);
  return value;
}
