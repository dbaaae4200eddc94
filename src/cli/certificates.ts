/** `gatehouse certificates`: all that end, those of `tls: auto` with what became of their orders; and ordering one. */
import { setTimeout as delay } from 'node:timers/promises';
import { ADMIN_OPTIONS, callAdmin } from './admin-call.ts';
import { type Command, type CommandContext, EXIT, JSON_OPTION, UsageError } from './command.ts';
import { messageIn } from './error-message.ts';
import { table } from './table.ts';

interface Shown {
  readonly name: string;
  /** `acme`, or the key that names its file. */
  readonly source: string;
  readonly validUntil: string | null;
  readonly renewAt: string | null;
  readonly ordering: boolean;
  readonly failures: number;
  readonly nextTryAt: string | null;
  readonly problem: string | null;
}

const LOOK_MS = 1_000;

export const certificates: Command = {
  name: 'certificates',
  summary: 'list certificates and when they end, or order one now',
  usage: ['[--json]', 'order NAME [--no-wait]'],
  description: `Talks to a running gateway. Lists those that the configuration names and those of tls: auto. "order" asks the authority for one of tls: auto now, whatever is left of the certificate there is and of the wait after a failure, and waits until it is issued or refused. Authorities limit how many they issue for a name.

Exit codes: 0 done, 2 the command line is wrong, 3 no gateway answers, 4 no such name, 5 the authority refused or cannot be reached.`,
  options: {
    'no-wait': { type: 'boolean', meaning: 'do not wait for the end of the order' },
    ...ADMIN_OPTIONS,
    json: JSON_OPTION,
  },
  arguments: { min: 0, max: 2 },
  async run(context) {
    const [action, name] = context.positionals;
    if (action === undefined) return await list(context);
    if (action === 'order' && name !== undefined) return await order(context, name.toLowerCase());
    throw new UsageError('say order NAME, or nothing to list them');
  },
};

async function list(context: CommandContext): Promise<number> {
  const { status, text, body } = await callAdmin(context, 'GET', '/status');
  if (status !== 200) return refused(context, status, text);
  const { certificates: all = [] } = (body as { readonly features: { readonly certificates?: readonly Shown[] } })
    .features;
  if (context.options['json'] === true) context.out(`${JSON.stringify(all, null, 2)}\n`);
  else if (all.length === 0) context.out('no certificates\n');
  else context.out(`${table([['NAME', 'FROM', 'VALID UNTIL', 'RENEWED', 'STATE'], ...all.map(row)])}\n`);
  return EXIT.ok;
}

async function order(context: CommandContext, name: string): Promise<number> {
  const { status, text } = await callAdmin(context, 'POST', `/features/certificates/${encodeURIComponent(name)}/order`);
  if (status !== 202) return refused(context, status, text);
  const isJson = context.options['json'] === true;
  if (context.options['no-wait'] === true) {
    context.out(isJson ? `${text}\n` : `${name} is being ordered\n`);
    return EXIT.ok;
  }
  for (;;) {
    await delay(LOOK_MS);
    const looked = await callAdmin(context, 'GET', '/features/certificates');
    if (looked.status !== 200) return refused(context, looked.status, looked.text);
    const all = (looked.body as { readonly certificates: readonly Shown[] }).certificates;
    const found = all.find((each) => each.name === name);
    if (found === undefined) {
      context.err(`gatehouse: ${name} is no longer in the configuration\n`);
      return EXIT.notFound;
    }
    if (found.ordering) continue;
    if (isJson) context.out(`${JSON.stringify(found, null, 2)}\n`);
    else if (found.problem === null) context.out(`${name} is issued, valid until ${day(found.validUntil)}\n`);
    else context.err(`gatehouse: ${name} was not issued: ${found.problem}\n`);
    return found.problem === null ? EXIT.ok : EXIT.failed;
  }
}

function row({ name, source, validUntil, renewAt, ordering, failures, nextTryAt, problem }: Shown): string[] {
  const tries =
    failures === 0 ? '' : `failed ${failures === 1 ? 'once' : `${failures} times`}, next try ${nextTryAt}: `;
  const good = validUntil === null ? 'waits' : 'good';
  const state = ordering ? 'is being ordered' : problem === null ? good : `${tries}${problem}`;
  return [name, source, day(validUntil), day(renewAt), state];
}

const day = (time: string | null): string => time?.slice(0, 10) ?? '-';

function refused(context: CommandContext, status: number, text: string): number {
  context.err(`gatehouse: ${messageIn(text)}\n`);
  return status === 404 ? EXIT.notFound : EXIT.failed;
}
