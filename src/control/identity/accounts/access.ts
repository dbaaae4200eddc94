/**
 * What an account may do right now: roles, scopes, plan, and for a child what is left after its parent's limits. Asked
 * at every sign-in and refresh, so a change reaches tokens within their five minutes without ending sessions. A
 * child's answer is always computed from the parent's present one: it cannot exceed a parent that lost something.
 */
import type { Kysely } from 'kysely';
import { ageBand, ageOf, allowedUntil } from '../child-accounts/rules.ts';
import type { IdentityContext } from '../context.ts';
import type { IdentityTables, User } from '../tables.ts';

export interface Access {
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
  readonly plan: string;
  readonly mfaRequired: boolean;
  readonly parentId: string | null;
  readonly ageBand: string | null;
  readonly contentRating: number | null;
  readonly blockedTopics: readonly string[];
  readonly quotas: Readonly<Record<string, number>>;
  /** Milliseconds; `undefined`: not allowed at this hour. */
  readonly allowedUntil: number | undefined;
}

/** Scopes of administration: never inherited by a child, never put on an API key by its owner without having them. */
export const ADMIN_SCOPE = 'identity:admin';
export const AUDIT_SCOPE = 'identity:audit';
export { ENROL_SCOPE } from '../../../data/contract/auth.ts';

const BUILT_IN_ROLES: Readonly<Record<string, readonly string[]>> = {
  user: [],
  admin: [ADMIN_SCOPE, AUDIT_SCOPE, 'gateway:admin', 'gateway:read'],
  service: [],
  child: [],
};

type Handle = Kysely<IdentityTables>;

/** Every role there is, with its scopes: built-in, configured, and made by the admin API. */
export async function allRoles(context: IdentityContext, db: Handle): Promise<Map<string, ReadonlySet<string>>> {
  const roles = new Map<string, Set<string>>();
  const add = (name: string, scopes: readonly string[]): void => {
    const known = roles.get(name) ?? new Set<string>();
    for (const scope of scopes) known.add(scope);
    roles.set(name, known);
  };
  for (const [name, scopes] of Object.entries(BUILT_IN_ROLES)) add(name, scopes);
  for (const [name, role] of Object.entries(context.options.roles)) add(name, role.scopes);
  const rows = await db.selectFrom('roles').select(['name', 'scopes']).execute();
  for (const row of rows) add(row.name, JSON.parse(row.scopes) as string[]);
  return roles;
}

export async function rolesOf(db: Handle, userId: string): Promise<string[]> {
  const rows = await db.selectFrom('user_roles').select('role').where('user_id', '=', userId).orderBy('role').execute();
  return rows.map((row) => row.role);
}

/** Undefined when the account, or a child's parent, may not act at all. */
export async function accessOf(context: IdentityContext, db: Handle, user: User): Promise<Access | undefined> {
  if (user.status !== 'active') return undefined;
  if (user.kind === 'child') return await childAccess(context, db, user);
  const [defined, roles] = [await allRoles(context, db), await rolesOf(db, user.id)];
  const scopes = new Set<string>();
  for (const role of roles) for (const scope of defined.get(role) ?? []) scopes.add(scope);
  const age = ageOf(user.birth_date, context.clock.wallMs());
  const { required, requiredRoles } = context.options.mfa;
  return {
    roles,
    scopes: [...scopes].sort(),
    plan: user.plan,
    mfaRequired: user.kind === 'user' && (required || roles.some((role) => requiredRoles.includes(role))),
    parentId: null,
    ageBand: ageBand(age),
    contentRating: age === undefined || age >= 18 ? null : age,
    blockedTopics: [],
    quotas: {},
    allowedUntil: Number.POSITIVE_INFINITY,
  };
}

async function childAccess(context: IdentityContext, db: Handle, child: User): Promise<Access | undefined> {
  const parent = await db
    .selectFrom('users')
    .selectAll()
    .where('id', '=', child.parent_id ?? '')
    .executeTakeFirst();
  // One level only: a child cannot have children, and a chain in a damaged database must not grant anything.
  if (parent === undefined || parent.kind !== 'user') return undefined;
  const above = await accessOf(context, db, parent);
  if (above === undefined) return undefined;
  const { readRules } = await import('../child-accounts/rules-schema.ts');
  const rules = readRules(child);
  const now = context.clock.wallMs();
  const age = ageOf(child.birth_date, now) ?? 0;
  const inheritable = above.scopes.filter((scope) => !isAdministrative(scope));
  const ratings = [age, rules.contentRating ?? age, above.contentRating ?? 99];
  return {
    roles: ['child'],
    scopes: rules.scopes === null ? inheritable : inheritable.filter((scope) => rules.scopes?.includes(scope)),
    plan: smallerPlan(context, rules.plan ?? child.plan, above.plan),
    mfaRequired: false,
    parentId: parent.id,
    ageBand: ageBand(age),
    contentRating: Math.min(...ratings),
    blockedTopics: rules.blockedTopics,
    quotas: rules.quotas,
    allowedUntil: allowedUntil(rules, now),
  };
}

function isAdministrative(scope: string): boolean {
  return scope.startsWith('identity:') || scope.startsWith('gateway:') || scope.endsWith(':admin');
}

/** By the order of `identity.plans`; a plan that is not listed counts as the smallest. */
function smallerPlan(context: IdentityContext, wanted: string, most: string): string {
  const { plans } = context.options;
  const rank = (plan: string): number => Math.max(0, plans.indexOf(plan));
  return rank(wanted) <= rank(most) ? wanted : most;
}
