/**
 * Run as a process of its own before a worker sees the file of an `authorize.function`: gets its path; exit code 0 if
 * it loads and its default export is a function, 3 if that is something else, 4 with the reason on standard error if it
 * does not load.
 */
import { pathToFileURL } from 'node:url';
import { hookUserModules, loadProblem } from '../../../base/own-modules.ts';

/** What it ends with when the file waits for something that never comes. */
process.exitCode = 13;
void check(process.argv[2] ?? '');

async function check(path: string): Promise<void> {
  hookUserModules();
  try {
    const module = (await import(pathToFileURL(path).href)) as { default?: unknown };
    process.exitCode = typeof module.default === 'function' ? 0 : 3;
  } catch (error) {
    process.stderr.write(loadProblem(error));
    process.exitCode = 4;
  }
}
