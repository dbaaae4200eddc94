/**
 * Preloaded into the processes of tests (`--import`), and with them into the threads of their gateways, whose first cost
 * is to load modules:
 * - A thread of a gateway begins with its compiled module (compiled-for-tests.ts), and so does what reads a document in
 *   the test's own thread, some 350 modules. A gateway's start takes half of the processor time with it (the first one
 *   of a process 570 instead of 1,070 ms, each further one 150 instead of 290 ms).
 * - Where a source imports another, the specifier says where that is, and the engine need not search.
 * - At its end the process writes down how much processor time it took (test-times.ts).
 * https://nodejs.org/api/module.html#customization-hooks
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import type { CpuLine } from './test-times.ts';

const ROOT = new URL('../', import.meta.url).href;
const PACKAGES = `${ROOT}node_modules/`;
const SOURCES = `${ROOT}src/`;
const PRIMARY = `${SOURCES}control/primary.ts`;
const COMPILED = process.env['TEST_COMPILED'];
const CPU_FILE = process.env['TEST_CPU_FILE'];
/** The kernel counts in hundredths of a second (USER_HZ). */
const MS_PER_TICK = 10;

/** The compiled module in place of one of the sources; null where there is none. */
function compiled(source: string): string | null {
  if (COMPILED === undefined || !source.startsWith(SOURCES)) return null;
  const url = new URL(source.slice(SOURCES.length).replace(/\.ts$/, '.js'), pathToFileURL(`${COMPILED}/`));
  return existsSync(url) ? url.href : null;
}

/** The source that stands for a whole part of its own: a thread, or what reads a document. */
function partOf(specifier: string, parent: string | undefined): string | null {
  if (parent === undefined) return isMainThread ? null : specifier;
  return parent === PRIMARY && specifier === './config/build.ts' ? new URL(specifier, parent).href : null;
}

registerHooks({
  resolve(specifier, context, next) {
    const { parentURL } = context;
    const part = partOf(specifier, parentURL);
    const url = part === null ? null : compiled(part);
    if (url !== null) return { url, format: 'module', shortCircuit: true };
    if (
      specifier.startsWith('.') &&
      specifier.endsWith('.ts') &&
      parentURL?.startsWith(ROOT) === true &&
      !parentURL.startsWith(PACKAGES)
    )
      return { url: new URL(specifier, parentURL).href, format: 'module-typescript', shortCircuit: true };
    return next(specifier, context);
  },
});

/** Of the processes that it started and that have ended; 0 where the system does not say. proc(5): fields 16 and 17. */
function childrenMs(): number {
  if (process.platform !== 'linux') return 0;
  const [user = 0, system = 0] = readFileSync('/proc/self/stat', 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
    .slice(13, 15)
    .map(Number);
  return (user + system) * MS_PER_TICK;
}

if (isMainThread && CPU_FILE !== undefined && /\.test\.m?[jt]s$/.test(process.argv[1] ?? '')) {
  const file = process.argv[1]!;
  process.on('exit', () => {
    const { user, system } = process.cpuUsage();
    const line: CpuLine = { file, cpuMs: Math.round((user + system) / 1_000 + childrenMs()) };
    appendFileSync(CPU_FILE, `${JSON.stringify(line)}\n`);
  });
}
