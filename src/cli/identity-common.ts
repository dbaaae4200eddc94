/** What the commands about accounts share: the identity service of a configuration, opened without a gateway. */
import { resolve } from 'node:path';
import { createLogger } from '../base/log.ts';
import { compile } from '../control/config/compile.ts';
import { defaultFiles } from '../control/config/files.ts';
import { loadConfig } from '../control/config/load.ts';
import { formatProblem } from '../control/config/problems.ts';
import type { IdentityContext } from '../control/identity/context.ts';
import { openContext } from '../control/identity/identity.ts';
import type { IdentityInput } from '../control/identity/options.ts';
import { plansOfDocument } from '../control/identity/plans.ts';
import { Problem } from '../control/identity/problem.ts';
import { type CommandContext, EXIT, UsageError } from './command.ts';

/** Wrong values of options: exit code 2. The same class as of every command. */
export { UsageError };
/** The command was understood and could not be done: exit code 5. */
export class RefusedError extends Error {}

export interface IdentitySettings {
  readonly options: IdentityInput;
  readonly dataDir: string;
  readonly storeUrl: string | undefined;
  readonly trustProxy: readonly string[];
}

/** The `identity` section and the data folder, as the gateway itself would see them. */
export async function identitySettings(file: string | undefined, io: CommandContext): Promise<IdentitySettings> {
  const found = file ?? defaultFiles(io.cwd)[0];
  if (found === undefined)
    return { options: {}, dataDir: resolve(io.cwd, 'data'), storeUrl: undefined, trustProxy: [] };
  const loaded = await loadConfig({ file: found, env: io.env, cwd: io.cwd });
  if (!loaded.ok) throw new RefusedError(loaded.problems.map(formatProblem).join('\n'));
  const compiled = compile(loaded.config);
  if (!compiled.ok) throw new RefusedError(compiled.problems.map(formatProblem).join('\n'));
  const document = loaded.config.document as unknown as Readonly<Record<string, unknown>>;
  const section = (document['identity'] ?? {}) as IdentityInput;
  const stores = document['stores'] as { readonly sql?: string } | undefined;
  return {
    // As the gateway has it; where it leaves accounts to a process of their own, what else of the document they need.
    options: compiled.plan.sections.identity?.options ?? { ...section, ...plansOfDocument(section, document) },
    dataDir: compiled.plan.dataDir,
    storeUrl: stores?.sql === '' ? undefined : stores?.sql,
    trustProxy: compiled.snapshot.gateway.trustProxy,
  };
}

/** Opens the service's database for one command and closes it again. */
export async function withIdentity<Result>(
  file: string | undefined,
  io: CommandContext,
  work: (context: IdentityContext) => Promise<Result>,
): Promise<Result> {
  const { options, dataDir, storeUrl } = await identitySettings(file, io);
  const deps = { dataDir, environment: io.env, log: createLogger('warn', (line) => io.err(`${line}\n`)) };
  const { context, release } = await openContext(options, { ...deps, ...(storeUrl === undefined ? {} : { storeUrl }) });
  try {
    return await work(context);
  } finally {
    await context.outbox.settled();
    await release();
  }
}

export interface CommonValues {
  readonly config?: string;
  readonly json?: boolean;
}

/** Wraps one command: its options as `Values`, its words, and the world. */
export function identityCommand<Values extends CommonValues>(
  run: (values: Values, words: readonly string[], io: CommandContext) => Promise<number>,
): (context: CommandContext) => Promise<number> {
  return (context) =>
    reportRefusals(context, () => run(context.options as unknown as Values, context.positionals, context));
}

/** Runs a command of this file's family: refusals become words and exit code 5, without a stack. */
async function reportRefusals(context: CommandContext, work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof RefusedError || error instanceof Problem)) throw error;
    const fields = error instanceof Problem ? (error.more.fields ?? []) : [];
    const more = fields.map(({ field, expected }) => `\n  ${field}: must be ${expected}`).join('');
    context.err(`gatehouse: ${error.message}${more}\n`);
    return EXIT.failed;
  }
}

/** The whole of standard input. */
export async function standardInput(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += chunk;
    if (text.length > 100_000) throw new UsageError('standard input is too long');
  }
  return text;
}

/** `a,b c` as a list. */
export function listOf(text: string | undefined): string[] {
  return (text ?? '').split(/[\s,]+/).filter((each) => each !== '');
}
