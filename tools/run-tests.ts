/**
 * `npm test`, or `npm test -- FILE...` for some of it: finds or installs the servers that tests need and runs every
 * test file, each in a process of its own. Those that start no server (fast-tests.ts) come first and share a process per
 * core, since most of what a small file costs is the start of its process; of these, what failed or was not heard of
 * runs again in a process of its own. Many of the others wait for something, so more of them run at once than there are
 * cores. Those that do little else for minutes, such as for the lease of a process that was killed, have a place of
 * their own beside all others; those that measure, or judge a whole system under load by how it takes the loss of a
 * part, come last, with less beside them.
 *
 * A few files that failed are run once more, one after the other with nothing beside them. What passes then is not
 * silent: it is printed last, by name, as unsteady. Such a test holds only on a quiet machine, or what it tests does;
 * that is a fault to mend, but no reason to call the change before us broken. More than `MOST_AGAIN` files are not run
 * again: that many do not fail by chance.
 *
 * After each part it says how long that took, and which files took longest and used the processor most (with their
 * threads and the processes they started; Linux), so that one sees where the time goes. `TEST_TOP=60` lists more.
 *
 * A file whose tests are over but whose process does not end (it started something that it did not stop) would hold
 * up everything: where nothing was heard for `SILENT_MS`, what runs is ended, and counts as failed.
 */
import { spawn, spawnSync } from 'node:child_process';
import { globSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { compiledForTests } from './compiled-for-tests.ts';
import { fastTests, shared } from './fast-tests.ts';
import type { CpuLine, TestLine } from './test-times.ts';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const LINES = join(ROOT, '.cache', `tests-${process.pid}`);
const PRELOADED = pathToFileURL(join(ROOT, 'tools', 'preload-tests.ts')).href;
const MOST_AGAIN = 5;
const SLOWEST = Number(process.env['TEST_TOP'] ?? 12);
/** The longest test has ten minutes. */
const SILENT_MS = Number(process.env['TEST_SILENCE_MS'] ?? 720_000);
const EVERYTHING = [
  'src/**/*.test.ts',
  'test/**/*.test.ts',
  'examples/**/*.test.ts',
  'bench/*.test.ts',
  'bench/{lib,jobs,peers}/**/*.test.ts',
  'tools/**/*.test.ts',
];
/**
 * They wait: for leases of nodes that were killed, servers that are killed and start again, disks that are full. What
 * they judge is what became of it, not how fast. Some also count what callers of the nodes that are left get meanwhile:
 * not one call may fail, on a busy machine as on a quiet one.
 */
const WAITS = [
  'test/failures/cluster-queen-killed',
  'test/failures/cluster-election',
  'test/failures/churn',
  'test/failures/database-locked',
  'test/failures/events-disk-full',
  'test/failures/full-disk',
  'test/failures/gateway-killed',
  'test/failures/redis-told-once',
  'test/failures/stop-while-database-hangs',
  'test/failures/worker-dies-while-it-reloads',
  'test/integration/cluster-registry',
];
/** They measure, or judge a system under load by how it takes the loss of a part. */
const MEASURES = /^(test\/failures|examples\/storyverse)\//;
/** `--shared FILE...`: the files as those that share a process are run. */
const SHARED = '--shared';
const AT_ONCE = Math.max(4, 2 * availableParallelism());
const WAITING_AT_ONCE = 3;

type Outcome = readonly [code: number, failed: ReadonlyMap<string, readonly string[]>, heard: ReadonlySet<string>];

/** Tests that failed beside others in one process, and passed without them, by file. */
const failedOnlyShared = new Map<string, readonly string[]>();

interface How {
  /** Another run goes on meanwhile: what this one prints comes at its end, from a file of this name. */
  readonly beside?: string;
  /** All files in one process. */
  readonly isShared?: boolean;
}

/** Exit code of one run, the names of the failed tests by file, and the files of which any test was heard. */
async function run(
  files: readonly string[],
  concurrency: number,
  { beside, isShared = false }: How = {},
): Promise<Outcome> {
  const lines = `${LINES}.${beside ?? 'main'}.jsonl`;
  const cpuLines = `${lines}.cpu`;
  const output = beside === undefined ? 'stdout' : `${LINES}.${beside}.txt`;
  mkdirSync(dirname(LINES), { recursive: true });
  // They are there also where the process ends before it writes any of them.
  writeFileSync(lines, '');
  writeFileSync(cpuLines, '');
  if (beside !== undefined) writeFileSync(output, '');
  const reporters = ['spec', output, pathToFileURL(join(ROOT, 'tools', 'test-times.ts')).href, lines];
  const options = reporters.map((to, index) => `--test-reporter${index % 2 === 0 ? '' : '-destination'}=${to}`);
  const limits = ['--test-timeout=300000', isShared ? '--test-isolation=none' : `--test-concurrency=${concurrency}`];
  const args = ['--import', PRELOADED, '--test', ...limits, ...options, ...files];
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, TEST_CPU_FILE: cpuLines },
  });
  const watch = setInterval(() => {
    if (Date.now() - lastHeardMs() > SILENT_MS) endFiles(child.pid!);
  }, SILENT_MS / 12);
  const startedMs = Date.now();
  const lastHeardMs = (): number => Math.max(startedMs, statSync(lines, { throwIfNoEntry: false })?.mtimeMs ?? 0);
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (status) => resolve(status ?? 1));
  });
  clearInterval(watch);
  const failed = new Map<string, string[]>();
  const took = new Map<string, number>();
  for (const line of readFileSync(lines, 'utf8').split('\n')) {
    if (line === '') continue;
    const { file: named, ms, failed: name } = JSON.parse(line) as TestLine;
    // A shared process names files as they were given to it, others by their whole path.
    const file = resolve(ROOT, named);
    took.set(file, (took.get(file) ?? 0) + ms);
    if (name !== undefined) failed.set(file, [...(failed.get(file) ?? []), name]);
  }
  const used = new Map<string, number>();
  for (const line of readFileSync(cpuLines, 'utf8').split('\n')) {
    if (line === '') continue;
    const { file, cpuMs } = JSON.parse(line) as CpuLine;
    used.set(isShared ? join(ROOT, `${files.length} files in one process`) : file, cpuMs);
  }
  rmSync(lines);
  rmSync(cpuLines);
  if (beside !== undefined) {
    process.stdout.write(readFileSync(output));
    rmSync(output);
  }
  console.log(`\n${took.size} files took ${seconds(Date.now() - startedMs)}, these longest:\n${longest(took)}\n`);
  if (used.size > 0) {
    const sum = [...used.values()].reduce((all, ms) => all + ms, 0);
    console.log(`The processor was used for ${seconds(sum)}, by these most:\n${longest(used)}\n`);
  }
  return [code, failed, new Set(took.keys())];
}

/**
 * Files that share a process per core. Those that failed there, and those that nothing was heard of (their tests stand
 * in another file, or their process ended early), run in processes of their own, and that outcome counts. What failed
 * only beside others is printed last.
 */
async function runShared(files: readonly string[]): Promise<Outcome> {
  const outcomes = await Promise.all(
    shared(files).map((own, share) => run(own, 1, { beside: `shared${share}`, isShared: true })),
  );
  const failed = new Map(outcomes.flatMap(([, names]) => [...names]));
  const heard = new Set(outcomes.flatMap(([, , names]) => [...names]));
  const paths = files.map((file) => resolve(ROOT, file));
  // One that failed without the name of a file: any of them may be the reason.
  const isUnclear = outcomes.some(([code]) => code !== 0) && !paths.some((path) => failed.has(path));
  const again = paths.filter((path) => isUnclear || failed.has(path) || !heard.has(path));
  if (again.length === 0) return [0, new Map(), heard];
  const names = new Map(again.map((path) => [path, failed.get(path) ?? ['nothing was heard of it']]));
  console.log(`\nOnce more, in processes of their own:\n${list(names)}\n`);
  const outcome = await run(again, AT_ONCE);
  for (const [path, tests] of failed) if (names.has(path) && !outcome[1].has(path)) failedOnlyShared.set(path, tests);
  return outcome;
}

/** The processes of the files that run now, which are children of the runner, and all that these have started. */
function endFiles(runner: number): void {
  const processes = parents();
  const end = (parent: number): void => {
    for (const [pid] of processes.filter(([, of]) => of === parent)) {
      end(pid);
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
  };
  console.log(`\nNothing was heard for ${SILENT_MS / 1_000} s: what runs is ended.`);
  end(runner);
}

/** Every process with its parent. */
function parents(): [pid: number, parent: number][] {
  if (process.platform === 'linux') {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((name) => {
        try {
          // proc(5): the name in parentheses, the state, the parent.
          return [[Number(name), Number(/^.*\) . (\d+)/s.exec(readFileSync(`/proc/${name}/stat`, 'utf8'))?.[1])]];
        } catch {
          return [];
        }
      });
  }
  const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' });
  return stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number) as [number, number]);
}

function list(failed: ReadonlyMap<string, readonly string[]>): string {
  return [...failed].map(([file, names]) => `  ${relative(ROOT, file)}: ${names.join('; ')}`).join('\n');
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(0)} s`;
}

function longest(took: ReadonlyMap<string, number>): string {
  return [...took]
    .sort(([, a], [, b]) => b - a)
    .slice(0, SLOWEST)
    .map(([file, ms]) => `${seconds(ms).padStart(7)}  ${relative(ROOT, file)}`)
    .join('\n');
}

/** All of it. */
async function runAll(): Promise<Outcome> {
  const files = globSync(EVERYTHING, { cwd: ROOT });
  const waits = (file: string): boolean => WAITS.some((start) => file.startsWith(start));
  const fast = new Set(fastTests());
  const waiting = files.filter(waits);
  const measuring = files.filter((file) => MEASURES.test(file) && !waits(file));
  const others = files.filter((file) => !MEASURES.test(file) && !waits(file) && !fast.has(file));
  const inTurn = async (): Promise<Outcome[]> => [await runShared([...fast]), await run(others, AT_ONCE)];
  const [beside, turns] = await Promise.all([run(waiting, WAITING_AT_ONCE, { beside: 'waiting' }), inTurn()]);
  const outcomes = [beside, ...turns, await run(measuring, 2)];
  const code = outcomes.find(([each]) => each !== 0)?.[0] ?? 0;
  return [code, new Map(outcomes.flatMap(([, failed]) => [...failed])), new Set()];
}

function runAsked(): Promise<Outcome> {
  if (asked[0] === SHARED) return runShared(asked.slice(1));
  return asked.length > 0 ? run(asked, 2) : runAll();
}

await import('../test/support/compile-cache.ts');
await import('./set-up-tests.ts');
process.env['TEST_COMPILED'] = await compiledForTests();
const asked = process.argv.slice(2);
const [code, failed] = await runAsked();
const unsteady = new Map(failedOnlyShared);
if (code !== 0) {
  if (failed.size === 0 || failed.size > MOST_AGAIN) process.exit(code);
  console.log(`\nOnce more, with nothing beside them:\n${list(failed)}\n`);
  const [codeAgain, failedAgain] = await run([...failed.keys()], 1);
  if (codeAgain !== 0) {
    console.log(`\nFailed twice:\n${list(failedAgain)}`);
    process.exit(codeAgain);
  }
  for (const [file, tests] of failed) unsteady.set(file, tests);
}
if (unsteady.size > 0) console.log(`\nUnsteady, passed only when run again alone; mend these:\n${list(unsteady)}`);
