/** Accounts by the names that people know, from a running gateway. */
import { callAdmin, refusedCode } from './admin-call.ts';
import type { CommandContext } from './command.ts';
import { EXIT } from './command.ts';

export interface FoundAccount {
  readonly id: string;
  readonly username?: string | null;
  readonly email?: string | null;
  readonly plan?: string;
}

/** An account of this gateway's identity service, by user name, email or id. Null: it knows none, or may not say. */
export async function findAccount(context: CommandContext, named: string): Promise<FoundAccount | null> {
  const answer = await ask(context, named);
  return answer.status === 200 ? accountIn(answer.body, named) : null;
}

/** The account, or the exit code of a command that goes no further, whose reason is printed. */
export async function accountOrExit(context: CommandContext, named: string): Promise<FoundAccount | number> {
  const answer = await ask(context, named);
  if (answer.status !== 200) return refusedCode(context, answer);
  const account = accountIn(answer.body, named);
  if (account !== null) return account;
  context.err(`there is no account "${named}"\n`);
  return EXIT.notFound;
}

function ask(context: CommandContext, named: string): ReturnType<typeof callAdmin> {
  const query = new URLSearchParams({ q: named, limit: '100' });
  return callAdmin(context, 'GET', `/features/identity/users?${query}`);
}

function accountIn(body: unknown, named: string): FoundAccount | null {
  const { users = [] } = body as { users?: readonly FoundAccount[] };
  const wanted = named.toLowerCase();
  const isMeant = ({ id, username, email }: FoundAccount): boolean =>
    id === named || username?.toLowerCase() === wanted || email?.toLowerCase() === wanted;
  return users.find(isMeant) ?? null;
}
