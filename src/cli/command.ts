/**
 * What a command of `gatehouse` is: a name, words for its help, options for `parseArgs`, and a function that does it
 * and gives the exit code. Everything a command touches outside of its arguments is in its context, so that tests hand
 * in their own. The list of commands is commands.ts.
 */
import type { ParseArgsOptionDescriptor } from 'node:util';

/** Exit codes; docs/guide/command-line.md lists them. */
export const EXIT = {
  ok: 0,
  /** The configuration is wrong, or a reload was refused. */
  configuration: 1,
  /** The command line is wrong: unknown command, unknown option, missing argument. */
  usage: 2,
  /** No running gateway answers. */
  unreachable: 3,
  /** What was asked for is not there: no route matches. */
  notFound: 4,
  /** Something outside stands in the way: a port in use, a file that exists already, a file that cannot be written. */
  failed: 5,
  /** Done, but some settings take effect at the next start only. */
  restart: 6,
  /** A defect in Gatehouse (EX_SOFTWARE of sysexits.h); bin/gatehouse.js has it too. */
  defect: 70,
} as const;

export interface CommandOption extends ParseArgsOptionDescriptor {
  /** What follows the option in the help, such as `FILE`; none for switches. */
  readonly value?: string;
  /** One line. */
  readonly meaning: string;
}

type OwnFault = 'unhandledRejection' | 'uncaughtException';

/** The part of `process` that tells of signals, and of what goes wrong where nothing waits for it. */
export interface SignalSource {
  on(signal: NodeJS.Signals, listener: () => void): unknown;
  on(fault: OwnFault, listener: (reason: unknown) => void): unknown;
  off(signal: NodeJS.Signals, listener: () => void): unknown;
  off(fault: OwnFault, listener: (reason: unknown) => void): unknown;
}

export interface CommandContext {
  /** Arguments without options. */
  readonly positionals: readonly string[];
  readonly options: Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signals: SignalSource;
  /** Ends the process at once. */
  readonly exit: (code: number) => void;
  /** Writes to standard output; the text has its own line ends. */
  readonly out: (text: string) => void;
  /** Writes to standard error. */
  readonly err: (text: string) => void;
}

/** What of a command's context comes from outside. */
export type Surroundings = Omit<CommandContext, 'positionals' | 'options'> & {
  /** Called before a command that is a service; what it returns ends the process with the command's exit code. */
  readonly beginService?: () => (code: number) => Promise<void>;
  /** Writes to the terminal in front of which somebody waits; absent where there is none. */
  readonly draw?: (text: string) => void;
};

export interface Command {
  readonly name: string;
  /** For the list of commands. Lower case, no full stop. */
  readonly summary: string;
  /** Forms of use after `gatehouse NAME`, such as `[FILE]`. */
  readonly usage: readonly string[];
  /** Paragraphs of the help. */
  readonly description: string;
  readonly options: Readonly<Record<string, CommandOption>>;
  /** Least and most arguments without options. */
  readonly arguments: { readonly min: number; readonly max: number };
  /** Runs until it is asked to end. Then, and while it runs, it waits for nobody to read what it prints. */
  readonly isService?: true;
  run(context: CommandContext): Promise<number>;
}

/** Thrown by a command whose arguments make no sense together: exit code 2, with a pointer to the help. */
export class UsageError extends Error {}

/** Thrown by a command that talks to a running gateway when none answers: exit code 3, with the reason. */
export class UnreachableError extends Error {}

/** Options that several commands have. */
export const JSON_OPTION: CommandOption = { type: 'boolean', meaning: 'print JSON, for programs' };

/** Which gateway, or which configuration, a command is about. Every command has it. */
const CONFIG_OPTION: CommandOption = {
  type: 'string',
  short: 'c',
  value: 'FILE',
  meaning: 'configuration file; default is the one in the working directory',
};

/** Options of a command, with those that all have. */
export function optionsOf({ options }: Pick<Command, 'options'>): Readonly<Record<string, CommandOption>> {
  return { config: CONFIG_OPTION, ...options };
}

/** The file that a command is about, where one is named: as an argument or by `--config`. */
export function namedFile(argument: string | undefined, { options }: CommandContext): string | undefined {
  const { config } = options;
  if (typeof config !== 'string') return argument;
  if (argument !== undefined) throw new UsageError('name the configuration once: as an argument or with --config');
  return config;
}
