/**
 * The command line: finds the command, reads its options, runs it, gives the exit code. Started by bin/gatehouse.js;
 * knows nothing of what the commands do.
 */
import { isatty } from 'node:tty';
import { parseArgs } from 'node:util';
import { messageOf } from '../base/errors.ts';
import { standardError, standardOutput } from '../base/process-output.ts';
import { nearest } from '../control/config/nearest.ts';
import { PRODUCT_VERSION } from '../control/config/version.ts';
import type { Command, Surroundings } from './command.ts';
import { EXIT, optionsOf, UnreachableError, UsageError } from './command.ts';
import { commandHelp, overview } from './help.ts';
import { type Progress, progressOf } from './progress.ts';

/** `args` are those after `gatehouse`. Resolves with the exit code; rejects on defects only. */
export async function main(
  args: readonly string[],
  surroundings: Surroundings = processSurroundings(),
): Promise<number> {
  const { out, err } = surroundings;
  const [first, ...rest] = args;
  if (first === '--version' || first === '-v' || first === '-V') {
    out(`${PRODUCT_VERSION}\n`);
    return EXIT.ok;
  }
  if (first === 'start') {
    // Without the others: the gateway that it starts stays in this process.
    const { start } = await import('./start.ts');
    return runCommand(start, rest, surroundings);
  }
  const { COMMANDS } = await import('./commands.ts');
  if (first === undefined || first === '--help' || first === '-h' || first === 'help') {
    const asked = COMMANDS.find(({ name }) => name === rest[0]);
    (first === undefined ? err : out)(asked === undefined ? overview(COMMANDS, PRODUCT_VERSION) : commandHelp(asked));
    return first === undefined ? EXIT.usage : EXIT.ok;
  }
  const command = COMMANDS.find(({ name }) => name === first);
  if (command === undefined) {
    const names = COMMANDS.map(({ name }) => name);
    if (first.startsWith('-')) {
      err(
        `gatehouse: the command stands before its options: gatehouse COMMAND ${first} ...; --help lists the commands\n`,
      );
      return EXIT.usage;
    }
    const suggestion = nearest(first, names);
    const hint = suggestion === undefined ? `one of ${names.join(', ')}` : `did you mean "${suggestion}"?`;
    err(`gatehouse: there is no command "${first}"; ${hint}\n`);
    return EXIT.usage;
  }
  return runCommand(command, rest, surroundings);
}

async function runCommand(command: Command, args: readonly string[], surroundings: Surroundings): Promise<number> {
  const { out, err, draw } = surroundings;
  let progress: Progress | undefined;
  try {
    const known = optionsOf(command);
    const ownsH = Object.values(known).some(({ short }) => short === 'h');
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { ...known, help: { type: 'boolean', ...(ownsH ? {} : { short: 'h' }) } },
      allowPositionals: true,
      strict: true,
    });
    if (values['help'] === true) {
      out(commandHelp(command));
      return EXIT.ok;
    }
    const { min, max } = command.arguments;
    if (positionals.length < min) throw new UsageError('an argument is missing');
    if (positionals.length > max) throw new UsageError(`there is one argument too many: "${positionals[max]}"`);
    const leave = command.isService === true ? surroundings.beginService?.() : undefined;
    progress = draw === undefined || readsInput(values) ? undefined : progressOf(command.name, surroundings, draw);
    const code = await command.run({ ...(progress?.surroundings ?? surroundings), positionals, options: values });
    progress?.end();
    await leave?.(code);
    return code;
  } catch (error) {
    progress?.end();
    if (error instanceof UnreachableError) {
      err(`${error.message}\n`);
      return EXIT.unreachable;
    }
    if (!isUsageError(error)) throw error;
    err(`gatehouse ${command.name}: ${usageMessage(error, command)}\n`);
    const forms = command.usage.map((form) => `gatehouse ${command.name} ${form}`.trimEnd());
    err(`usage: ${forms.join('\n       ')}\n`);
    return EXIT.usage;
  }
}

/** Who types a password waits for nothing. */
function readsInput(values: Readonly<Record<string, unknown>>): boolean {
  return Object.keys(values).some((name) => name.endsWith('-stdin'));
}

function isUsageError(error: unknown): boolean {
  if (error instanceof UsageError) return true;
  return error instanceof TypeError && String((error as NodeJS.ErrnoException).code).startsWith('ERR_PARSE_ARGS_');
}

/** The parser's message as one line, with the nearest option where one is unknown. */
function usageMessage(error: unknown, command: Command): string {
  const message = messageOf(error);
  const [, valued, isAbsent, isGiven] =
    /^Option '(?:-\w, )?--([\w-]+)(?: <value>)?'(?:( argument (?:missing|is ambiguous))|( does not take an argument))/.exec(
      message,
    ) ?? [];
  if (valued !== undefined && isGiven !== undefined) return `--${valued} takes no value`;
  if (valued !== undefined && isAbsent !== undefined) {
    const { value = 'VALUE' } = optionsOf(command)[valued] ?? {};
    return `--${valued} needs a value: --${valued} ${value}, or --${valued}=${value} where it begins with "-"`;
  }
  const unknown = /^Unknown option '--?([^']*)'/.exec(message)?.[1];
  if (unknown === undefined) return message.charAt(0).toLowerCase() + (message.split('. ', 1)[0] ?? '').slice(1);
  const suggestion = nearest(unknown, [...Object.keys(optionsOf(command)), 'help']);
  const shown = unknown.length > 1 ? `--${unknown}` : `-${unknown}`;
  return `there is no option ${shown}${suggestion === undefined ? '' : `; did you mean --${suggestion}?`}`;
}

function processSurroundings(): Surroundings {
  return {
    cwd: process.cwd(),
    env: process.env,
    signals: process,
    exit: (code) => process.exit(code),
    out: (text) => standardOutput.write(text),
    err: (text) => standardError.write(text),
    ...(isatty(2) && process.env['CI'] === undefined ? { draw: (text: string) => standardError.write(text) } : {}),
    beginService: () => {
      standardOutput.isBounded = true;
      return async (code) => {
        await Promise.all([standardOutput.taken(), standardError.taken()]);
        process.exit(code);
      };
    },
  };
}
