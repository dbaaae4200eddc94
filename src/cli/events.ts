/** `gatehouse events`: streams and consumers of a running gateway, and what to do with dead letters. */
import { AUDIENCES } from '../control/audience.ts';
import { ADMIN_OPTIONS, callAdmin, refusedCode } from './admin-call.ts';
import type { Command, CommandContext } from './command.ts';
import { EXIT, JSON_OPTION, UsageError } from './command.ts';
import { table } from './table.ts';

interface ShownConsumer {
  readonly name: string;
  readonly stream: string;
  readonly service: string;
  readonly runs: string;
  readonly lag: number | null;
  readonly pending: number;
  readonly retrying: number;
  readonly dead: number;
  readonly delivered: number;
  readonly problem: string | null;
}

interface ShownDead {
  readonly position: string;
  readonly subject: string;
  readonly attempts: number;
  readonly since: string;
  readonly problem: string | null;
}

export const events: Command = {
  name: 'events',
  summary: 'consumers of events, and dead letters: look, replay, drop',
  usage: [
    '[--json]',
    'asyncapi [--audience WHO]',
    'dead CONSUMER [--subject SUBJECT] [--limit N] [--json]',
    'show CONSUMER POSITION',
    'replay CONSUMER (POSITION... | --subject SUBJECT | --all)',
    'drop CONSUMER (POSITION... | --subject SUBJECT | --all)',
  ],
  description: `A dead letter is an event that its service refused, or did not take in all its attempts. A replay delivers it once more, with all its attempts; events behind it are not held up by it.

  gatehouse events dead analytics
  gatehouse events replay analytics --all

Exit codes: 0 done, 2 the command line is wrong, 3 no gateway answers, 4 no such dead letter, or no events here, 5 refused.`,
  options: {
    audience: {
      type: 'string',
      value: 'WHO',
      meaning: `of asyncapi: ${AUDIENCES.join(', ')}; default admin, all there is`,
    },
    subject: { type: 'string', value: 'SUBJECT', meaning: 'only dead letters of this subject' },
    limit: { type: 'string', value: 'N', meaning: 'how many are shown, 1 to 1000; default 100' },
    all: { type: 'boolean', meaning: 'all dead letters of the consumer' },
    ...ADMIN_OPTIONS,
    json: JSON_OPTION,
  },
  arguments: { min: 0, max: 1_000 },
  async run(context) {
    const [action, consumer, ...positions] = context.positionals;
    if (action === undefined) return await showConsumers(context);
    if (action === 'asyncapi' && consumer === undefined) return await showDocument(context);
    if (consumer !== undefined) {
      if (action === 'dead' && positions.length === 0) return await showDead(context, consumer);
      if (action === 'show' && positions.length === 1) return await showEvent(context, consumer, positions[0]!);
      if (action === 'replay' || action === 'drop') return await change(context, action, consumer, positions);
    }
    throw new UsageError(
      'say nothing, asyncapi, dead CONSUMER, show CONSUMER POSITION, replay CONSUMER or drop CONSUMER',
    );
  },
};

async function showConsumers(context: CommandContext): Promise<number> {
  const answer = await callAdmin(context, 'GET', '/features/events/consumers');
  if (answer.status !== 200) return refusedCode(context, answer);
  const { consumers } = answer.body as { consumers: readonly ShownConsumer[] };
  if (context.options['json'] === true) context.out(`${JSON.stringify(consumers, null, 2)}\n`);
  else if (consumers.length === 0) context.out('there are no consumers\n');
  else {
    const rows = consumers.map((each) => [
      each.name,
      each.stream,
      each.service,
      each.runs,
      each.lag === null ? '-' : String(each.lag),
      String(each.pending),
      String(each.retrying),
      String(each.dead),
      String(each.delivered),
      each.problem ?? '',
    ]);
    const head = [
      'CONSUMER',
      'STREAM',
      'SERVICE',
      'RUNS',
      'LAG',
      'PENDING',
      'RETRYING',
      'DEAD',
      'DELIVERED',
      'PROBLEM',
    ];
    context.out(`${table([head, ...rows])}\n`);
  }
  return EXIT.ok;
}

/** An AsyncAPI document of the channels. */
async function showDocument(context: CommandContext): Promise<number> {
  const asked = context.options['audience'];
  if (asked !== undefined && !AUDIENCES.some((each) => each === asked))
    throw new UsageError(`--audience takes one of ${AUDIENCES.join(', ')}`);
  const query = typeof asked === 'string' ? `?audience=${asked}` : '';
  const answer = await callAdmin(context, 'GET', `/features/events/asyncapi${query}`);
  if (answer.status !== 200) return refusedCode(context, answer);
  context.out(`${JSON.stringify(answer.body, null, 2)}\n`);
  return EXIT.ok;
}

async function showDead(context: CommandContext, consumer: string): Promise<number> {
  const { subject, limit = '100' } = context.options;
  if (!/^([1-9]\d{0,2}|1000)$/.test(String(limit))) throw new UsageError('--limit takes a number from 1 to 1000');
  const query = new URLSearchParams({ limit: String(limit) });
  if (typeof subject === 'string') query.set('subject', subject);
  const path = `/features/events/dead/${encodeURIComponent(consumer)}?${query}`;
  const answer = await callAdmin(context, 'GET', path);
  if (answer.status !== 200) return refusedCode(context, answer);
  const { dead, hasMore } = answer.body as { dead: readonly ShownDead[]; hasMore: boolean };
  if (context.options['json'] === true) context.out(`${JSON.stringify(dead, null, 2)}\n`);
  else if (dead.length === 0) context.out('no dead letters\n');
  else {
    const rows = dead.map(({ position, subject: of, attempts, since, problem }) => {
      return [position, of, String(attempts), since, problem ?? ''];
    });
    context.out(`${table([['POSITION', 'SUBJECT', 'ATTEMPTS', 'SINCE', 'PROBLEM'], ...rows])}\n`);
    if (hasMore) context.out('there may be more: --limit shows up to 1000\n');
  }
  return EXIT.ok;
}

async function showEvent(context: CommandContext, consumer: string, position: string): Promise<number> {
  const path = `/features/events/dead/${encodeURIComponent(consumer)}/${encodeURIComponent(position)}`;
  const answer = await callAdmin(context, 'GET', path);
  if (answer.status !== 200) return refusedCode(context, answer);
  context.out(`${JSON.stringify((answer.body as { event: unknown }).event, null, 2)}\n`);
  return EXIT.ok;
}

async function change(
  context: CommandContext,
  action: 'replay' | 'drop',
  consumer: string,
  positions: readonly string[],
): Promise<number> {
  const { subject, all } = context.options;
  const said = [positions.length > 0, subject !== undefined, all === true].filter(Boolean).length;
  if (said !== 1) throw new UsageError(`say which to ${action}: positions, --subject or --all`);
  const body = { consumer, ...(positions.length > 0 ? { positions } : {}), subject, all };
  const answer = await callAdmin(context, 'POST', `/features/events/dead/${action}`, body);
  if (answer.status !== 200) return refusedCode(context, answer);
  const { replayed, dropped } = answer.body as { replayed?: number; dropped?: number };
  if (context.options['json'] === true) context.out(`${answer.text}\n`);
  else context.out(action === 'replay' ? `${replayed} replayed\n` : `${dropped} dropped\n`);
  return EXIT.ok;
}
