/** `gatehouse check`: whether a configuration would start, and everything that is wrong with it. Starts nothing. */
import { resolve } from 'node:path';
import { isMapping } from '../control/config/source.ts';
import type { Command } from './command.ts';
import { EXIT, JSON_OPTION, UnreachableError } from './command.ts';
import { configFile, counted, loadAndCompile, problemLines } from './config-file.ts';
import { callGateway } from './control-socket.ts';

/** For a gateway that is busy: what is said of it is beside the point of the command. */
const ANSWER_TIMEOUT_MS = 10_000;

export const check: Command = {
  name: 'check',
  summary: 'check a configuration and show everything that is wrong with it',
  usage: ['[FILE] [--json] [--strict]'],
  description: `Loads a configuration as "start" does, with the same environment variables, reads the certificates that it names, and starts nothing. Each problem is a line:

  FILE:LINE:COLUMN: KEY: what is wrong (got ..., expected ...); did you mean "..."?

Problems go to standard error; with --json they are printed to standard output as a list of objects. Where the gateway that was started with this file runs, it also names the settings that it would take at its next start only.

The exit code is 0 when the configuration is right, 1 when it is wrong.`,
  options: {
    json: JSON_OPTION,
    strict: { type: 'boolean', meaning: 'count warnings as errors' },
  },
  arguments: { min: 0, max: 1 },
  async run(context) {
    const file = configFile(context.positionals[0], context);
    const loaded = await loadAndCompile(file, context);
    const problems = loaded.ok ? loaded.compiled.problems : loaded.problems;
    const isRight = loaded.ok && (context.options['strict'] !== true || problems.length === 0);
    const socket = loaded.ok ? loaded.compiled.plan.controlSocket : null;
    const restart = socket === null ? null : await restartKeys(resolve(context.cwd, file), socket);
    if (context.options['json'] === true) {
      context.out(`${JSON.stringify({ file, ok: isRight, problems, restart }, null, 2)}\n`);
    } else {
      context.err(problemLines(problems));
      if (isRight && loaded.ok) context.out(`${file} is right: ${contents(loaded.compiled.snapshot)}\n`);
      else context.err(`${file}: ${counts(problems)}\n`);
      if (restart !== null && restart.length > 0)
        context.err(`the gateway that runs takes these at its next start only: ${restart.join(', ')}\n`);
    }
    return isRight ? EXIT.ok : EXIT.configuration;
  },
};

/** Keys that the gateway with this file cannot change while it runs; null: none runs. */
async function restartKeys(file: string, socket: string): Promise<readonly string[] | null> {
  try {
    const { body } = await callGateway(socket, 'POST', '/reload?dryRun=1', ANSWER_TIMEOUT_MS);
    if (!isMapping(body) || body['file'] !== file || !Array.isArray(body['restart'])) return null;
    return body['restart'].map(String);
  } catch (error) {
    if (error instanceof UnreachableError) return null;
    throw error;
  }
}

function contents(snapshot: { services: readonly { name: string }[]; routes: readonly { id: string }[] }): string {
  const services = snapshot.services.filter(({ name }) => !name.startsWith('builtin:')).length;
  const routes = snapshot.routes.filter(({ id }) => !id.startsWith('builtin:')).length;
  return `${counted(services, 'service')}, ${counted(routes, 'route')}`;
}

function counts(problems: readonly { severity: string }[]): string {
  const errors = problems.filter(({ severity }) => severity === 'error').length;
  const warnings = problems.length - errors;
  return [errors > 0 ? counted(errors, 'error') : '', warnings > 0 ? counted(warnings, 'warning') : '']
    .filter((part) => part !== '')
    .join(', ');
}
