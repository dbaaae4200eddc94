/**
 * The configuration file of a command: the one that is named, or the one in the working directory; loaded and compiled.
 */
import type { Compiled } from '../control/config/compile.ts';
import { DEFAULT_FILES, defaultFiles } from '../control/config/files.ts';
import type { Problem } from '../control/config/problems.ts';
import { formatProblem } from '../control/config/problems.ts';
import type { CommandContext } from './command.ts';
import { namedFile, UsageError } from './command.ts';

/** The name as people should see it. Throws a `UsageError` when none is named and none is there. */
export function configFile(argument: string | undefined, context: CommandContext): string {
  const { cwd, err } = context;
  const named = namedFile(argument, context);
  if (named !== undefined) return named;
  const [found, ...others] = defaultFiles(cwd);
  if (found === undefined) {
    throw new UsageError(
      `there is no configuration file here; name one, or make one with "gatehouse init" (looked for ${DEFAULT_FILES.join(', ')})`,
    );
  }
  if (others.length > 0) err(`${found} is used, and not ${others.join(', ')}\n`);
  return found;
}

export type Loaded =
  | { readonly ok: true; readonly compiled: Compiled }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Loads with the variables of the context, as `start` would. */
export async function loadAndCompile(file: string, { cwd, env }: CommandContext): Promise<Loaded> {
  // Here and not above, because `status` and `--help` need no schema, and the schema takes a while to load.
  const [{ loadConfig }, { compileSteps }, { inSlices }] = await Promise.all([
    import('../control/config/load.ts'),
    import('../control/config/compile.ts'),
    import('../base/slices.ts'),
  ]);
  const loaded = await loadConfig({ file, cwd, env });
  if (!loaded.ok) return loaded;
  // A slice at a time, so that progress is shown meanwhile.
  const compiled = await inSlices(compileSteps(loaded.config));
  return compiled.ok ? { ok: true, compiled } : compiled;
}

/** One line for each problem. */
export function problemLines(problems: readonly Problem[]): string {
  return problems.map((problem) => `${formatProblem(problem)}\n`).join('');
}

/** `1 error`, `3 errors`. */
export function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}
