/**
 * `gatehouse breaker` and `gatehouse console`, and how all commands set something by hand beside the configuration of a
 * running gateway, on this machine or, with --server, elsewhere.
 */
import { parseUnitDurationMs } from '../base/units.ts';
import type { Override } from '../control/overrides.ts';
import { ADMIN_OPTIONS, callAdmin, refusedCode } from './admin-call.ts';
import type { Command, CommandContext, CommandOption } from './command.ts';
import { EXIT, JSON_OPTION, UsageError } from './command.ts';

export const BY_HAND_OPTIONS: Readonly<Record<string, CommandOption>> = {
  reason: { type: 'string', value: 'TEXT', meaning: 'why, for those who wonder later' },
  for: { type: 'string', value: 'TIME', meaning: 'how long it holds, such as 30m' },
};
const OPTIONS: Readonly<Record<string, CommandOption>> = { ...BY_HAND_OPTIONS, ...ADMIN_OPTIONS, json: JSON_OPTION };
export const BY_HAND_EXITS =
  'Exit codes: 0 done, 2 the command line is wrong, 3 no gateway answers, 4 no such instance or service, 5 refused.';

export const breaker: Command = {
  name: 'breaker',
  summary: 'hold a circuit breaker open, or reset it',
  usage: ['open SERVICE --for TIME --reason TEXT', 'reset SERVICE'],
  description: `SERVICE is the name of a service, or the id of an instance where instances have breakers of their own. After --for the breaker lets probes through, as after any opening. "reset" closes it and forgets the errors that it counted.

${BY_HAND_EXITS}`,
  options: OPTIONS,
  arguments: { min: 2, max: 2 },
  async run(context) {
    const [action, target = ''] = context.positionals;
    const path = `/breakers/${encodeURIComponent(target)}`;
    if (action === 'open') {
      if (context.options['for'] === undefined)
        throw new UsageError('--for TIME is missing: a breaker is not held open for ever');
      return set(context, `${path}/open`, {});
    }
    if (action !== 'reset') throw new UsageError('say open SERVICE or reset SERVICE');
    const answer = await callAdmin(context, 'POST', `${path}/reset`);
    if (answer.status !== 200) return refusedCode(context, answer);
    context.out(context.options['json'] === true ? `${answer.text}\n` : `${target}: its breaker is closed\n`);
    return EXIT.ok;
  },
};

export const openConsole: Command = {
  name: 'console',
  summary: 'print a link to the console that signs in once',
  usage: ['[--role viewer|operator|admin]'],
  description: `The console is served where admin.listen says. The link works once, within five minutes; the session ends after half an hour without use. From another machine, forward the port: ssh -L 8001:127.0.0.1:8001 HOST.

${BY_HAND_EXITS}`,
  options: {
    role: { type: 'string', value: 'ROLE', meaning: 'what the session may do; default admin' },
    ...ADMIN_OPTIONS,
    json: JSON_OPTION,
  },
  arguments: { min: 0, max: 0 },
  async run(context) {
    const { role = 'admin' } = context.options;
    const answer = await callAdmin(context, 'POST', '/links', { role });
    if (answer.status !== 200) return refusedCode(context, answer);
    context.out(context.options['json'] === true ? `${answer.text}\n` : `${(answer.body as { url: string }).url}\n`);
    return EXIT.ok;
  },
};

const DONE: Readonly<Record<Override['kind'], string>> = {
  drain: 'drained',
  added: 'added',
  removed: 'taken out',
  weight: 'weight set',
  breaker: 'breaker held open',
  logLevel: 'log level set',
};

/** Sets something by hand at this path of the admin API. */
export async function set(context: CommandContext, path: string, more: object): Promise<number> {
  const { reason, for: time } = context.options;
  if (typeof reason !== 'string') throw new UsageError('--reason TEXT is missing: others will wonder');
  const forMs = typeof time === 'string' ? parseUnitDurationMs(time) : undefined;
  if (typeof time === 'string' && forMs === undefined)
    throw new UsageError(`--for takes a time with its unit, such as 30m, not "${time}"`);
  const answer = await callAdmin(context, 'PUT', path, { reason, ...more, ...(forMs === undefined ? {} : { forMs }) });
  if (answer.status !== 200) return refusedCode(context, answer);
  const { target, kind, until } = answer.body as Override;
  context.out(
    context.options['json'] === true
      ? `${answer.text}\n`
      : `${target}: ${DONE[kind]} by hand${until === null ? ', until it is ended' : ` until ${until}`}\n`,
  );
  return EXIT.ok;
}

/** Ends what was set by hand there. */
export async function ended(context: CommandContext, path: string): Promise<number> {
  const answer = await callAdmin(context, 'DELETE', path);
  if (answer.status !== 200) return refusedCode(context, answer);
  const { ended: wasSet } = answer.body as { readonly ended: boolean };
  if (context.options['json'] === true) context.out(`${answer.text}\n`);
  else context.out(wasSet ? 'the configuration holds again\n' : 'nothing was set by hand\n');
  return EXIT.ok;
}
