/** `gatehouse user`: accounts from the command line, above all the first administrator. */

import { allRoles, rolesOf } from '../control/identity/accounts/access.ts';
import { refuseLastAdmin, storePassword } from '../control/identity/accounts/change-password.ts';
import { publicUser } from '../control/identity/accounts/register.ts';
import { endAllAccess, findById, findByLogin, insertUser } from '../control/identity/accounts/users.ts';
import type { IdentityContext } from '../control/identity/context.ts';
import * as field from '../control/identity/fields.ts';
import { checkNewPassword } from '../control/identity/password-hashing/policy.ts';
import type { User } from '../control/identity/tables.ts';
import { randomSecret } from '../control/secrets/random-token.ts';
import { isUniqueViolation } from '../control/store/faults.ts';
import type { CommandContext } from './command.ts';
import {
  type CommonValues,
  identityCommand,
  listOf,
  RefusedError,
  standardInput,
  UsageError,
  withIdentity,
} from './identity-common.ts';
import { table } from './table.ts';

const ACTOR = 'command line';

interface Values extends CommonValues {
  readonly email?: string;
  readonly username?: string;
  readonly admin?: boolean;
  readonly service?: boolean;
  readonly roles?: string;
  readonly plan?: string;
  readonly query?: string;
  readonly 'password-stdin'?: boolean;
}

export const runUser = identityCommand<Values>(async (values, [action = '', account = ''], io) => {
  const show = (data: Record<string, unknown>): void =>
    io.out(
      values.json ? `${JSON.stringify(data)}\n` : `${table(Object.entries(data).map(([k, v]) => [k, text(v)]))}\n`,
    );
  const password = async (): Promise<{ given: string; made: boolean }> =>
    values['password-stdin']
      ? { given: (await standardInput()).replace(/\r?\n$/, ''), made: false }
      : { given: randomSecret(15), made: true };
  return await withIdentity(values.config, io, async (context) => {
    switch (action) {
      case 'create':
        show(await create(context, values, await password()));
        return 0;
      case 'list':
        return await list(context, values.query ?? '', values.json === true, io);
      case 'show': {
        const user = await find(context, account);
        show({ ...publicUser(user), roles: await rolesOf(context.store.db, user.id) });
        return 0;
      }
      case 'disable':
      case 'enable':
        show(publicUser(await setStatus(context, await find(context, account), action === 'enable')));
        return 0;
      case 'password': {
        const user = await find(context, account);
        const { given, made } = await password();
        checkNewPassword(given, [user.email, user.username], context.options.passwords);
        const hash = await context.hasher.hash(given);
        await context.store.transaction(async (trx) => {
          await storePassword(context, trx, user, hash, 'password set on the command line');
          await context.audit.append(trx, { actor: ACTOR, action: 'password.set', target: user.id });
        });
        show({ id: user.id, ...(made ? { password: given } : {}) });
        return 0;
      }
      case 'roles':
        show({ id: account, roles: await setRoles(context, await find(context, account), listOf(values.roles)) });
        return 0;
      case 'plan':
        show(publicUser(await setPlan(context, await find(context, account), values.plan)));
        return 0;
      default:
        throw new UsageError(action === '' ? 'user: what?' : `user: there is no "${action}"`);
    }
  });
});

async function create(
  context: IdentityContext,
  values: Values,
  password: { given: string; made: boolean },
): Promise<Record<string, unknown>> {
  if (values.email === undefined && values.username === undefined)
    throw new UsageError('user create: --email or --username is needed');
  const email = values.email === undefined ? null : checked(field.email, '--email', values.email);
  const username = values.username === undefined ? null : checked(field.username, '--username', values.username);
  const usual = values.service ? ['service'] : context.options.defaultRoles;
  const roles = [
    ...new Set([
      ...(values.roles === undefined ? usual : listOf(values.roles)),
      ...(values.admin === true ? ['admin'] : []),
    ]),
  ];
  await checkRoles(context, roles);
  if (!values.service) checkNewPassword(password.given, [email, username], context.options.passwords);
  const passwordHash = values.service ? null : await context.hasher.hash(password.given);
  const plan = values.plan === undefined ? {} : { plan: planNamed(context, values.plan) };
  try {
    const user = await context.store.transaction(async (trx) => {
      const kind = values.service ? ('service' as const) : ('user' as const);
      const made = await insertUser(context, trx, {
        kind,
        email,
        username,
        emailVerified: email !== null,
        passwordHash,
        roles,
        ...plan,
      });
      await context.audit.append(trx, { actor: ACTOR, action: 'user.created', target: made.id, detail: { roles } });
      return made;
    });
    return {
      ...publicUser(user),
      roles,
      ...(values.service === true || !password.made ? {} : { password: password.given }),
    };
  } catch (error) {
    if (isUniqueViolation(error)) throw new RefusedError('the address or the user name is taken');
    throw error;
  }
}

async function list(context: IdentityContext, query: string, json: boolean, io: CommandContext): Promise<number> {
  const begins = query.toLowerCase();
  let after = '';
  const rows: User[] = [];
  for (;;) {
    const page = await context.store.db
      .selectFrom('users')
      .selectAll()
      .where('id', '>', after)
      .orderBy('id')
      .limit(500)
      .execute();
    rows.push(
      ...page.filter((user) => (user.email ?? '').startsWith(begins) || (user.username_key ?? '').startsWith(begins)),
    );
    const last = page.at(-1);
    if (last === undefined) break;
    after = last.id;
  }
  const lines = [['ID', 'KIND', 'NAME', 'ADDRESS', 'STATUS', 'PLAN']];
  for (const user of rows)
    lines.push([user.id, user.kind, user.username ?? '-', user.email ?? '-', user.status, user.plan]);
  io.out(json ? `${JSON.stringify(rows.map(publicUser))}\n` : `${table(lines)}\n`);
  return 0;
}

async function setStatus(context: IdentityContext, user: User, enabled: boolean): Promise<User> {
  await context.store.transaction(async (trx) => {
    if (!enabled) await refuseLastAdmin(context, trx, user.id);
    const status = enabled
      ? ({ status: 'active', disabled_reason: null } as const)
      : ({ status: 'disabled', disabled_reason: 'administrator' } as const);
    await trx.updateTable('users').set(status).where('id', '=', user.id).execute();
    if (!enabled) await endAllAccess(context, trx, user.id, 'account disabled');
    await context.audit.append(trx, {
      actor: ACTOR,
      action: enabled ? 'user.enabled' : 'user.disabled',
      target: user.id,
    });
  });
  return await find(context, user.id);
}

/** Reaches tokens with the next refresh; nothing ends. */
async function setPlan(context: IdentityContext, user: User, plan: string | undefined): Promise<User> {
  if (plan === undefined) throw new UsageError('user plan: --plan is needed');
  planNamed(context, plan);
  await context.store.transaction(async (trx) => {
    await trx.updateTable('users').set({ plan }).where('id', '=', user.id).execute();
    await context.audit.append(trx, { actor: ACTOR, action: 'user.changed', target: user.id, detail: { plan } });
  });
  return await find(context, user.id);
}

function planNamed({ options: { plans } }: IdentityContext, plan: string): string {
  if (!plans.includes(plan)) throw new RefusedError(`there is no plan "${plan}"; there are ${plans.join(', ')}`);
  return plan;
}

async function setRoles(context: IdentityContext, user: User, roles: string[]): Promise<string[]> {
  if (user.kind === 'child') throw new RefusedError('a child account has no roles');
  await checkRoles(context, roles);
  await context.store.transaction(async (trx) => {
    if (!roles.includes('admin')) await refuseLastAdmin(context, trx, user.id);
    await trx.deleteFrom('user_roles').where('user_id', '=', user.id).execute();
    for (const role of new Set(roles)) await trx.insertInto('user_roles').values({ user_id: user.id, role }).execute();
    await endAllAccess(context, trx, user.id, 'roles changed');
    await context.audit.append(trx, { actor: ACTOR, action: 'user.changed', target: user.id, detail: { roles } });
  });
  return roles;
}

async function checkRoles(context: IdentityContext, roles: readonly string[]): Promise<void> {
  const known = await allRoles(context, context.store.db);
  const unknown = roles.find((role) => !known.has(role) || role === 'child');
  if (unknown !== undefined)
    throw new RefusedError(`there is no role "${unknown}"; there are ${[...known.keys()].join(', ')}`);
}

/** By id, address or user name. */
export async function find(context: IdentityContext, account: string): Promise<User> {
  if (account === '') throw new UsageError('which account?');
  const user = (await findById(context.store.db, account)) ?? (await findByLogin(context.store.db, account));
  if (user === undefined) throw new RefusedError(`there is no account "${account}"`);
  return user;
}

function checked<Output>(
  schema: {
    safeParse(
      value: unknown,
    ): { success: true; data: Output } | { success: false; error: { issues: { message: string }[] } };
  },
  name: string,
  value: string,
): Output {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new UsageError(`${name} must be ${result.error.issues[0]?.message ?? 'something else'}, not "${value}"`);
}

function text(value: unknown): string {
  if (Array.isArray(value)) return value.join(', ');
  return value === null || value === undefined ? '-' : String(value);
}
