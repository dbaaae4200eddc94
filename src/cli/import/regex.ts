/** Whether a regular expression of another gateway may stand in a route of ours. */
import { wholeRegex } from '../../base/safe-regex.ts';

/** Why not; undefined when it may. */
export function regexProblem(source: string): string | undefined {
  try {
    wholeRegex(source.replace(/^\^/, ''));
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
