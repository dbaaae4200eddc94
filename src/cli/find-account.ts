/** Accounts by the names that people know, from a running gateway. */
import { callAdmin } from './admin-call.ts';
import type { CommandContext } from './command.ts';

export interface FoundAccount {
  readonly id: string;
  readonly username?: string | null;
  readonly email?: string | null;
  readonly plan?: string;
}

/** An account of this gateway's identity service, by user name, email or id. Null: it knows none. */
export async function findAccount(context: CommandContext, named: string): Promise<FoundAccount | null> {
  const query = new URLSearchParams({ q: named, limit: '100' });
  const { status, body } = await callAdmin(context, 'GET', `/features/identity/users?${query}`);
  if (status !== 200) return null;
  const { users = [] } = body as { users?: readonly FoundAccount[] };
  const wanted = named.toLowerCase();
  const isMeant = ({ id, username, email }: FoundAccount): boolean =>
    id === named || username?.toLowerCase() === wanted || email?.toLowerCase() === wanted;
  return users.find(isMeant) ?? null;
}
