/** `gatehouse reload`: a running gateway reads its configuration anew, or says what would change if it did. */
import type { Difference } from '../control/config/difference.ts';
import { formatProblem, type Problem } from '../control/config/problems.ts';
import { isMapping } from '../control/config/source.ts';
import type { GatewayStatus } from '../control/ops/sources.ts';
import { ADMIN_OPTIONS, callAdmin, refusedCode, serverOf } from './admin-call.ts';
import type { Command, CommandContext } from './command.ts';
import { EXIT, JSON_OPTION } from './command.ts';
import { callGateway, findSocket } from './control-socket.ts';
import { differenceLines } from './difference-text.ts';

export const reload: Command = {
  name: 'reload',
  summary: 'make a running gateway read its configuration anew',
  usage: [
    '[FILE] [--dry-run] [--reason TEXT] [--socket PATH] [--json]',
    '--server URL [--dry-run] [--reason TEXT] [--json]',
  ],
  description: `The gateway compiles the configuration beside the one that runs and changes over when it is right; connections stay. A bad one changes nothing, and what is wrong with it is printed. FILE tells which gateway is meant, by the data folder that it names; the gateway reads the file that it was started with.

With --dry-run nothing changes: the routes, services and settings that would are printed, + for what is new, - for what goes, ~ for what differs.

Exit codes: 0 reloaded, 1 the configuration is wrong, 3 no gateway answers, 5 refused, 6 reloaded, but some settings take effect at the next start only; they are printed.`,
  options: {
    'dry-run': { type: 'boolean', meaning: 'change nothing, show what would change' },
    reason: { type: 'string', value: 'TEXT', meaning: 'why, for the history and the log' },
    ...ADMIN_OPTIONS,
    json: JSON_OPTION,
  },
  arguments: { min: 0, max: 1 },
  async run(context) {
    const { reason } = context.options;
    const isTrial = context.options['dry-run'] === true;
    const query = new URLSearchParams({
      ...(isTrial ? { dryRun: '1' } : {}),
      ...(typeof reason === 'string' ? { reason } : {}),
    });
    const body =
      serverOf(context) === undefined
        ? (await callGateway(await findSocket(context.positionals[0], context), 'POST', `/reload?${query}`)).body
        : await fromAfar(context, isTrial, typeof reason === 'string' ? { reason } : {});
    if (typeof body === 'number') return body;
    if (context.options['json'] === true) context.out(`${JSON.stringify(body, null, 2)}\n`);
    const result = isMapping(body) ? body : {};
    return isTrial ? reportTrial(result, context) : reloaded(result, context);
  },
};

/** The same by the admin API, or the exit code of a refusal. */
async function fromAfar(context: CommandContext, isTrial: boolean, why: { reason?: string }): Promise<unknown> {
  const answer = isTrial
    ? await callAdmin(context, 'POST', '/config/check', {})
    : await callAdmin(context, 'POST', '/config/reload', why);
  const { status, body } = answer;
  if (isTrial && status === 200) {
    const trial = body as { readonly problems: readonly Problem[] };
    return { ...trial, problems: trial.problems.map(formatProblem) };
  }
  if (status === 422 && isMapping(body) && Array.isArray(body['problems'])) {
    const live = await callAdmin(context, 'GET', '/status');
    const { configuration } = live.body as GatewayStatus;
    return { ok: false, version: configuration.version, problems: body['problems'] };
  }
  return status === 200 ? body : refusedCode(context, answer);
}

function reloaded(result: Readonly<Record<string, unknown>>, context: CommandContext): number {
  const isOk = result['ok'] === true;
  if (context.options['json'] !== true) {
    printProblems(result['problems'], context);
    if (isOk) context.out(`reloaded: version ${String(result['version'])} is in use\n`);
    else context.err(`not reloaded: version ${String(result['version'])} stays in use\n`);
  }
  return isOk ? restartCode(result['restart'], context) : EXIT.configuration;
}

function reportTrial(result: Readonly<Record<string, unknown>>, context: CommandContext): number {
  if (context.options['json'] !== true) {
    printProblems(result['problems'], context);
    if (result['ok'] === true) context.out(differenceLines(result['difference'] as Difference));
  }
  return result['ok'] === true ? restartCode(result['restart'], context) : EXIT.configuration;
}

export function printProblems(problems: unknown, { err }: CommandContext): void {
  for (const problem of Array.isArray(problems) ? problems : []) err(`${String(problem)}\n`);
}

/** Says which keys wait for a restart. */
export function restartCode(keys: unknown, { err, options }: CommandContext): number {
  if (!Array.isArray(keys) || keys.length === 0) return EXIT.ok;
  if (options['json'] !== true) err(`takes effect at the next start only: ${keys.join(', ')}\n`);
  return EXIT.restart;
}
