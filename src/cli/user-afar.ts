/** `gatehouse user` of a gateway elsewhere, by its admin API and a token; user-run.ts is that of this machine. */
import { randomSecret } from '../control/secrets/random-token.ts';
import { type AdminAnswer, callAdmin, refusedCode } from './admin-call.ts';
import type { CommandContext } from './command.ts';
import { EXIT, UsageError } from './command.ts';
import { accountOrExit } from './find-account.ts';
import { listOf, standardInput } from './identity-common.ts';
import { table } from './table.ts';

const USERS = '/features/identity/users';
const PAGE = '100';

type Account = Readonly<Record<string, unknown>> & { readonly id: string };

export async function runUserAfar(context: CommandContext): Promise<number> {
  const [action = '', named = ''] = context.positionals;
  if (action === 'create') return create(context);
  if (action === 'list') return list(context);
  if (!['show', 'disable', 'enable', 'password', 'roles', 'plan'].includes(action))
    throw new UsageError(`user: there is no "${action}"`);
  if (named === '') throw new UsageError('which account?');
  const found = await accountOrExit(context, named);
  if (typeof found === 'number') return found;
  const path = `${USERS}/${encodeURIComponent(found.id)}`;
  switch (action) {
    case 'show':
      return show(context, await callAdmin(context, 'GET', path));
    case 'password':
      return setPassword(context, path, found.id);
    case 'roles': {
      const roles = listOf(text(context, 'roles'));
      return show(context, await callAdmin(context, 'PATCH', path, { roles }));
    }
    case 'plan': {
      const plan = text(context, 'plan');
      if (plan === undefined) throw new UsageError('user plan: --plan is needed');
      return show(context, await callAdmin(context, 'PATCH', path, { plan }));
    }
    default: {
      const status = action === 'enable' ? 'active' : 'disabled';
      return show(context, await callAdmin(context, 'PATCH', path, { status }));
    }
  }
}

async function create(context: CommandContext): Promise<number> {
  const { options } = context;
  const [email, username, roles, plan] = ['email', 'username', 'roles', 'plan'].map((name) => text(context, name));
  if (email === undefined && username === undefined)
    throw new UsageError('user create: --email or --username is needed');
  const isService = options['service'] === true;
  const password = isService ? undefined : await newPassword(context);
  const fresh = await callAdmin(context, 'POST', USERS, {
    kind: isService ? 'service' : 'user',
    ...(email === undefined ? {} : { email }),
    ...(username === undefined ? {} : { username }),
    ...(plan === undefined ? {} : { plan }),
    ...(roles === undefined ? {} : { roles: listOf(roles) }),
    ...(password === undefined ? {} : { password: password.given }),
  });
  if (fresh.status !== 201) return refusedCode(context, fresh);
  let account = fresh.body as Account & { readonly roles: readonly string[] };
  if (options['admin'] === true) {
    // Beside the roles that are usual there.
    const wider = { roles: [...new Set([...account.roles, 'admin'])] };
    const answer = await callAdmin(context, 'PATCH', `${USERS}/${encodeURIComponent(account.id)}`, wider);
    if (answer.status !== 200) return refusedCode(context, answer);
    account = answer.body as typeof account;
  }
  print(context, { ...account, ...(password?.made === true ? { password: password.given } : {}) });
  return EXIT.ok;
}

async function setPassword(context: CommandContext, path: string, id: string): Promise<number> {
  const { given, made } = await newPassword(context);
  const answer = await callAdmin(context, 'POST', `${path}/password`, { newPassword: given });
  if (answer.status !== 200) return refusedCode(context, answer);
  print(context, { id, ...(made ? { password: given } : {}) });
  return EXIT.ok;
}

async function newPassword({ options }: CommandContext): Promise<{ readonly given: string; readonly made: boolean }> {
  return options['password-stdin'] === true
    ? { given: (await standardInput()).replace(/\r?\n$/, ''), made: false }
    : { given: randomSecret(15), made: true };
}

async function list(context: CommandContext): Promise<number> {
  const found: Account[] = [];
  let after: string | null = '';
  while (after !== null) {
    const query = new URLSearchParams({ limit: PAGE });
    const begins = text(context, 'query');
    if (begins !== undefined) query.set('q', begins);
    if (after !== '') query.set('after', after);
    const answer = await callAdmin(context, 'GET', `${USERS}?${query}`);
    if (answer.status !== 200) return refusedCode(context, answer);
    const page = answer.body as { readonly users: readonly Account[]; readonly next: string | null };
    found.push(...page.users);
    after = page.next;
  }
  const cell = (value: unknown): string => (value === null || value === undefined ? '-' : String(value));
  const rows = found.map((user) =>
    ['id', 'kind', 'username', 'email', 'status', 'plan'].map((name) => cell(user[name])),
  );
  if (context.options['json'] === true) context.out(`${JSON.stringify(found)}\n`);
  else context.out(`${table([['ID', 'KIND', 'NAME', 'ADDRESS', 'STATUS', 'PLAN'], ...rows])}\n`);
  return EXIT.ok;
}

function text({ options }: CommandContext, name: string): string | undefined {
  const value = options[name];
  return typeof value === 'string' ? value : undefined;
}

function show(context: CommandContext, answer: AdminAnswer): number {
  if (answer.status !== 200) return refusedCode(context, answer);
  print(context, answer.body as Account);
  return EXIT.ok;
}

function print(context: CommandContext, data: Readonly<Record<string, unknown>>): void {
  const shown = (value: unknown): string => {
    if (Array.isArray(value)) return value.join(', ');
    return value === null || value === undefined ? '-' : String(value);
  };
  const rows = Object.entries(data).map(([name, value]) => [name, shown(value)]);
  context.out(`${context.options['json'] === true ? JSON.stringify(data) : table(rows)}\n`);
}
