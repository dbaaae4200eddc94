/** `gatehouse ban`: who is banned, ban, lift. */
import { ADMIN_OPTIONS } from './admin-call.ts';
import type { Command, CommandContext } from './command.ts';
import { EXIT, JSON_OPTION, UsageError } from './command.ts';
import { messageIn } from './error-message.ts';
import { callFeature } from './feature-call.ts';

interface ShownBan {
  readonly id: string;
  readonly kind: string;
  readonly subject: string;
  readonly reason: string;
  readonly made_by: string;
  readonly ends_at: string | null;
  readonly lifted_at: string | null;
}

export const ban: Command = {
  name: 'ban',
  summary: 'list, add and lift bans of addresses, users and API keys',
  usage: [
    'list [--all] [--kind KIND] [--json]',
    'add SUBJECT [--kind KIND] [--for TIME] [--reason TEXT] [--json]',
    'lift ID|SUBJECT',
  ],
  description: `Talks to a running gateway. SUBJECT is an address, a CIDR block, or with --kind user or key the id of an account or API key. TIME is a duration such as 30m or 7d, or ever. Bans hold on every worker at once, and on the other machines when Redis is configured.

  gatehouse ban add 203.0.113.7 --for 1d --reason "scans us"
  gatehouse ban lift 203.0.113.7

Exit codes: 0 done, 2 the command line is wrong, 3 no gateway answers, 4 no such ban, 5 refused.`,
  options: {
    kind: { type: 'string', value: 'KIND', meaning: 'address (default), user or key' },
    for: { type: 'string', value: 'TIME', meaning: 'how long; default 1h' },
    reason: { type: 'string', value: 'TEXT', meaning: 'kept with the ban' },
    all: { type: 'boolean', meaning: 'list also bans that are over' },
    ...ADMIN_OPTIONS,
    json: JSON_OPTION,
  },
  arguments: { min: 0, max: 2 },
  async run(context) {
    const [action = 'list', subject] = context.positionals;
    if (action === 'list' && subject === undefined) return await list(context);
    if (action === 'add' && subject !== undefined) return await add(context, subject);
    if (action === 'lift' && subject !== undefined) return await lift(context, subject);
    throw new UsageError('say list, add SUBJECT or lift ID');
  },
};

async function list(context: CommandContext): Promise<number> {
  const { kind, all, json } = context.options;
  const query = new URLSearchParams();
  if (typeof kind === 'string') query.set('kind', kind);
  if (all === true) query.set('all', 'true');
  const { status, text } = await callFeature(context, 'limits', 'GET', `/bans?${query}`);
  if (status !== 200) return refused(context, text);
  const { bans } = JSON.parse(text) as { bans: readonly ShownBan[] };
  if (json === true) context.out(`${JSON.stringify(bans, null, 2)}\n`);
  else if (bans.length === 0) context.out('no bans\n');
  else for (const each of bans) context.out(`${line(each)}\n`);
  return EXIT.ok;
}

async function add(context: CommandContext, subject: string): Promise<number> {
  const { kind = 'address', for: time = '1h', reason, json } = context.options;
  const body = { kind, subject, for: time, ...(reason === undefined ? {} : { reason }) };
  const { status, text } = await callFeature(context, 'limits', 'POST', '/bans', body);
  if (status !== 201) return refused(context, text);
  const made = JSON.parse(text) as ShownBan;
  context.out(json === true ? `${JSON.stringify(made, null, 2)}\n` : `${line(made)}\n`);
  return EXIT.ok;
}

async function lift(context: CommandContext, named: string): Promise<number> {
  const listed = await callFeature(context, 'limits', 'GET', '/bans');
  if (listed.status !== 200) return refused(context, listed.text);
  const { bans } = JSON.parse(listed.text) as { bans: readonly ShownBan[] };
  const meant = bans.filter(({ id, subject }) => id === named || subject === named);
  if (meant.length === 0) {
    context.err(`no ban of ${named} holds\n`);
    return EXIT.notFound;
  }
  for (const { id, subject } of meant) {
    const { status, text } = await callFeature(context, 'limits', 'DELETE', `/bans/${encodeURIComponent(id)}`);
    if (status !== 204) return refused(context, text);
    context.out(`lifted: ${subject}\n`);
  }
  return EXIT.ok;
}

function refused(context: CommandContext, text: string): number {
  context.err(`${messageIn(text)}\n`);
  return EXIT.failed;
}

function line({ id, kind, subject, reason, made_by, ends_at, lifted_at }: ShownBan): string {
  const end = lifted_at !== null ? `lifted ${lifted_at}` : ends_at === null ? 'until lifted' : `until ${ends_at}`;
  return `${id}  ${kind} ${subject}  ${end}  by ${made_by}: ${reason}`;
}
