/**
 * TypeScript and JavaScript configuration files: the default export is the document, or a function that makes it. The
 * module runs in a thread of its own, so that every load is fresh, also for the modules that it imports, nothing of it
 * stays in memory, and a file that never ends is ended. What it exports must therefore be plain data. Such a file has
 * `process.env`, so `${NAME}` is left alone in it.
 */
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { standardError } from '../../base/process-output.ts';
import type { Problem } from './problems.ts';
import type { Environment, SourceResult } from './source.ts';
import { valueSource } from './source.ts';

/** What module-worker.ts sends. */
export type ModuleMessage =
  | { readonly kind: 'document'; readonly document: unknown; readonly files: readonly string[] }
  | { readonly kind: 'problem'; readonly key: string; readonly message: string; readonly stack: string };

const SLOWEST_MS = 15_000;

/** Beside this file, with its extension: `.ts` in a checkout, `.js` when compiled. */
const WORKER_URL = new URL(`./module-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);

/** `path` is absolute, `file` is how messages call it. */
export async function moduleSource(
  path: string,
  file: string,
  env: Environment,
  timeoutMs = SLOWEST_MS,
): Promise<SourceResult> {
  const message = await runModule(pathToFileURL(path).href, env, timeoutMs);
  if (message.kind === 'document')
    return { source: valueSource(message.document, file), problems: [], files: message.files };
  const problem: Problem = {
    severity: 'error',
    file,
    ...placeInStack(message.stack, path),
    key: message.key,
    message: message.message,
  };
  return { source: undefined, problems: [problem] };
}

function runModule(url: string, env: Environment, timeoutMs: number): Promise<ModuleMessage> {
  const failed = (text: string, stack = ''): ModuleMessage => ({ kind: 'problem', key: '', message: text, stack });
  return new Promise((resolve) => {
    const worker = new Worker(WORKER_URL, {
      workerData: { url },
      env: Object.fromEntries(Object.entries(env).filter((entry) => entry[1] !== undefined)) as Record<string, string>,
      // What the file prints must not mix with what the command line prints for programs.
      stdout: true,
      stderr: true,
    });
    for (const printed of [worker.stdout, worker.stderr])
      printed.on('data', (bytes: Uint8Array) => standardError.write(bytes));
    const timer = setTimeout(() => done(failed(`the file did not finish within ${timeoutMs} ms`)), timeoutMs);
    const done = (message: ModuleMessage): void => {
      clearTimeout(timer);
      worker.removeAllListeners();
      worker.on('error', () => {});
      void worker.terminate().then(() => resolve(message));
    };
    worker.once('message', done);
    worker.once('error', (error: unknown) => {
      const known = error instanceof Error ? error : new Error(String(error));
      done(failed(`the file fails: ${firstLine(known.message)}`, known.stack));
    });
    worker.once('exit', () => done(failed('the file ended the process before it exported a document')));
  });
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}

/** The first line of the stack that is in the file itself. */
function placeInStack(stack: string, path: string): { line: number | null; column: number | null } {
  const name = path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
  const escaped = name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const match = new RegExp(`${escaped}(?:\\?[^:\\s]*)?:(\\d+)(?::(\\d+))?`).exec(stack);
  if (match === null) return { line: null, column: null };
  return { line: Number(match[1]), column: match[2] === undefined ? 1 : Number(match[2]) };
}
