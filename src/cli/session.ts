/** `gatehouse session`: where an account is signed in, and an end to it, on this machine or elsewhere. */
import { ADMIN_OPTIONS, callAdmin, refusedCode } from './admin-call.ts';
import type { Command, CommandContext } from './command.ts';
import { EXIT, JSON_OPTION, UsageError } from './command.ts';
import { accountOrExit } from './find-account.ts';
import { table } from './table.ts';

interface ShownSession {
  readonly id: string;
  readonly device: string;
  readonly address: string;
  readonly lastSeenAt: string;
  readonly expiresAt: string;
}

export const session: Command = {
  name: 'session',
  summary: 'list the sessions of an account, or end them',
  usage: ['list ACCOUNT', 'end ACCOUNT SESSION|all'],
  description: `Talks to a running gateway. ACCOUNT is a user name, an email or an id. A session that is ended is over at once: its access tokens are refused too.

Exit codes: 0 done, 2 the command line is wrong, 3 no gateway answers, 4 no such account or session, 5 refused.`,
  options: { ...ADMIN_OPTIONS, json: JSON_OPTION },
  arguments: { min: 2, max: 3 },
  async run(context) {
    const [action, named = '', wanted] = context.positionals;
    const isList = action === 'list' && wanted === undefined;
    if (!isList && (action !== 'end' || wanted === undefined))
      throw new UsageError('say list ACCOUNT, or end ACCOUNT SESSION|all');
    const account = await accountOrExit(context, named);
    if (typeof account === 'number') return account;
    const path = `/features/identity/users/${encodeURIComponent(account.id)}/sessions`;
    return isList ? await list(context, path) : await end(context, path, wanted ?? '');
  },
};

async function list(context: CommandContext, path: string): Promise<number> {
  const answer = await callAdmin(context, 'GET', path);
  if (answer.status !== 200) return refusedCode(context, answer);
  const { sessions } = answer.body as { readonly sessions: readonly ShownSession[] };
  const minute = (time: string): string => time.slice(0, 16).replace('T', ' ');
  const rows = sessions.map(({ id, device, address, lastSeenAt, expiresAt }) => [
    id,
    device === '' ? '-' : device,
    address,
    minute(lastSeenAt),
    minute(expiresAt),
  ]);
  if (context.options['json'] === true) context.out(`${JSON.stringify(sessions, null, 2)}\n`);
  else if (rows.length === 0) context.out('no sessions\n');
  else context.out(`${table([['ID', 'DEVICE', 'FROM', 'SEEN LAST', 'ENDS'], ...rows])}\n`);
  return EXIT.ok;
}

async function end(context: CommandContext, path: string, wanted: string): Promise<number> {
  const answer = await callAdmin(context, 'DELETE', wanted === 'all' ? path : `${path}/${encodeURIComponent(wanted)}`);
  if (answer.status !== 200) return refusedCode(context, answer);
  const { ended } = answer.body as { readonly ended: number };
  context.out(context.options['json'] === true ? `${answer.text}\n` : `${ended} ended\n`);
  return EXIT.ok;
}
