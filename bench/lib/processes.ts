/**
 * Starts the processes of a run, each pinned to a core, and ends every one of them by its own id, also when the run
 * fails or is interrupted. Should this process be killed outright, the kernel ends the children (setpriv).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { answers } from './ports.ts';
import { processTree } from './procfs.ts';
import { findProgram } from './programs.ts';

export type Role = 'proxy' | 'load';

/** The measured proxy has core 0; the upstream and the load share core 1, so they bound the rate, not the cost. */
const cores: Readonly<Record<Role, number>> = { proxy: 0, load: 1 };

/** False where pinning is impossible (no taskset, one core); the figures then mean little, and the report says so. */
export const pinned = findProgram('taskset') !== undefined && availableParallelism() > 1;

export interface StartOptions {
  readonly role: Role;
  readonly command: string;
  readonly args: readonly string[];
  /** Its output goes to `output.log` here; the tail is quoted when it fails. */
  readonly folder: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Wait until this port of 127.0.0.1 accepts. */
  readonly readyPort?: number;
  /** Open an IPC channel (Node children only). */
  readonly ipc?: boolean;
}

export interface Running {
  readonly pid: number;
  readonly child: ChildProcess;
  /** All processes of it now, for reading /proc. */
  pids(): number[];
  alive(): boolean;
  /** The last lines it printed. */
  output(): string;
  stop(): Promise<void>;
}

const live = new Set<ChildProcess>();
process.on('exit', killAll);
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.once(signal, () => process.exit(code));

function killAll(): void {
  for (const child of live) for (const pid of processTree(child.pid as number).reverse()) kill(pid, 'SIGKILL');
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it has ended already
  }
}

/** The command line that pins a command to the core of its role and ties its life to ours. */
export function pinnedCommand(role: Role, command: string, args: readonly string[]): [string, string[]] {
  let line = [command, ...args];
  if (pinned) line = ['taskset', '-c', String(cores[role]), ...line];
  if (findProgram('setpriv') !== undefined) line = ['setpriv', '--pdeathsig', 'TERM', ...line];
  return [line[0] as string, line.slice(1)];
}

/** Starts a process and waits, at most a minute, until it accepts connections. */
export async function start(options: StartOptions): Promise<Running> {
  const outputFile = join(options.folder, 'output.log');
  const [command, args] = pinnedCommand(options.role, options.command, options.args);
  const descriptor = openSync(outputFile, 'a');
  const child = spawn(command, args, {
    cwd: options.cwd ?? options.folder,
    env: { ...process.env, NODE_ENV: 'production', ...options.env },
    stdio: ['ignore', descriptor, descriptor, ...(options.ipc === true ? (['ipc'] as const) : [])],
  });
  closeSync(descriptor);
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const output = () => readFileSync(outputFile, 'utf8').trim().split('\n').slice(-6).join('\n');
  if (child.pid === undefined) {
    await ended;
    throw new Error(`cannot start ${options.command}`);
  }
  live.add(child);
  child.once('exit', () => live.delete(child));
  const running: Running = {
    pid: child.pid,
    child,
    pids: () => processTree(child.pid as number),
    alive: () => child.exitCode === null && child.signalCode === null,
    output,
    stop: () => stop(child, ended),
  };
  if (options.readyPort !== undefined) await waitUntilReady(running, options.readyPort, options.command);
  return running;
}

/** In a row, because a program may bind a port for a moment first to see whether it is free, as Gatehouse does. */
const ANSWERS_WANTED = 3;

/** A busy machine needs long for a start, and "slow" must not be reported as "broken". */
const START_MS = 60_000;

async function waitUntilReady(running: Running, port: number, name: string): Promise<void> {
  const deadline = performance.now() + START_MS;
  for (let inARow = 0; inARow < ANSWERS_WANTED; ) {
    inARow = (await answers(port)) ? inARow + 1 : 0;
    if (inARow === ANSWERS_WANTED) return;
    if (!running.alive() || performance.now() > deadline) {
      const reason = running.alive() ? `does not listen on port ${port}` : 'ended while starting';
      await running.stop();
      throw new Error(`${name} ${reason}\n${running.output()}`);
    }
    await delay(50);
  }
}

async function stop(child: ChildProcess, ended: Promise<void>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const tree = processTree(child.pid as number);
  child.kill('SIGTERM');
  const timer = setTimeout(() => {
    for (const pid of tree.reverse()) kill(pid, 'SIGKILL');
  }, 3_000);
  await ended;
  clearTimeout(timer);
}

/** Runs a command to its end and returns its standard output. Ends it at the deadline. */
export async function capture(
  role: Role,
  command: string,
  args: readonly string[],
  timeoutMs: number,
): Promise<string> {
  const [program, line] = pinnedCommand(role, command, args);
  const child = spawn(program, line, { stdio: ['ignore', 'pipe', 'pipe'] });
  live.add(child);
  let out = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('close', resolve);
    child.once('error', reject);
  }).finally(() => {
    clearTimeout(timer);
    live.delete(child);
  });
  if (code !== 0) throw new Error(`${command} failed (${code ?? 'ended at its deadline'}): ${errors.slice(-400)}`);
  return out;
}
