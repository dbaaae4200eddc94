/**
 * Compares the working tree with another commit of this repository: `npx node bench/compare.ts REF [options]`. Both are
 * compiled, both run at once, and they are measured in turn, so the paired ratio shows what the change did. The commit
 * is checked out in a worktree under the temporary folder, with this checkout's packages, and removed afterwards.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runJob } from './jobs/index.ts';
import type { Job } from './jobs/job.ts';
import { describeMachine } from './lib/machine.ts';
import { describePeers, jobMarkdown, type Report, writeReport } from './lib/report.ts';
import { type CaseResult, usualWarmSeconds } from './lib/suite.ts';
import { medianRatio } from './lib/targets.ts';
import { parseOptions } from './options.ts';
import { gatehouseAt, projectRoot } from './peers/gatehouse.ts';

const usage = `npx node bench/compare.ts REF [options]

  REF             a commit, branch or tag of this repository
  --at-most X     exit 1 if the median paired ratio of any case is above X, such as 1.10
  --job, --rounds, --seconds, --bodies, --connections, --json as in bench/run.ts; not the job idle
`;

const { ref, atMost, rest } = readArguments(process.argv.slice(2));
const options = known(rest);
const folder = mkdtempSync(join(tmpdir(), 'gatehouse-compare-'));
const worktree = join(folder, 'base');
process.on('exit', cleanUp);
process.exitCode = await main();

function readArguments(argv: readonly string[]) {
  const [first, ...others] = argv;
  if (argv.some((each) => each === '--help' || each === '-h')) {
    console.log(usage);
    process.exit(0);
  }
  if (first === undefined || first.startsWith('-')) {
    console.error(usage);
    process.exit(2);
  }
  const at = others.indexOf('--at-most');
  if (at < 0) return { ref: first, atMost: undefined, rest: others };
  const value = Number(others[at + 1]);
  if (!(value > 0)) {
    console.error(`--at-most: '${others[at + 1] ?? ''}' is not a ratio\n\n${usage}`);
    process.exit(2);
  }
  return { ref: first, atMost: value, rest: others.toSpliced(at, 2) };
}

function known(argv: readonly string[]) {
  try {
    return parseOptions(argv);
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    process.exit(2);
  }
}

async function main(): Promise<number> {
  checkOut();
  const base = gatehouseAt(worktree, 'base');
  const peers = [base, gatehouseAt(projectRoot, 'working')];
  const { rounds, seconds, connections, idleConnections } = options;
  const startedAt = new Date().toISOString();
  const progress = (text: string) => process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`);
  const effort = { rounds, seconds, warmSeconds: usualWarmSeconds, settleSeconds: 1, mostTries: 3 };
  const timing = { ...effort, connections, idleConnections };
  const job: Job = { ...timing, peers, reference: base.name, smoke: false, folder, progress };
  const jobs: Report['jobs'] = {};
  for (const name of options.jobs) {
    const result = await runJob(name, job, options.bodies);
    jobs[name] = result;
    console.log(`\n## ${name}, ${ref} against the working tree\n\n${jobMarkdown(result)}`);
  }
  if (options.json !== undefined) {
    const command = `npx node bench/compare.ts ${process.argv.slice(2).join(' ')}`;
    const machine = describeMachine();
    writeReport({ startedAt, command, machine, peers: describePeers(peers), jobs, verdicts: [] }, options.json);
  }
  return verdict(Object.values(jobs).flatMap((result) => result.cases));
}

function checkOut(): void {
  git('worktree', 'add', '--detach', worktree, ref);
  symlinkSync(join(projectRoot, 'node_modules'), join(worktree, 'node_modules'));
  const lock = (root: string) => readFileSync(join(root, 'package-lock.json'), 'utf8');
  if (lock(worktree) !== lock(projectRoot))
    console.error(`note: ${ref} locks other packages; it runs with this checkout's`);
}

function cleanUp(): void {
  spawnSync('git', ['-C', projectRoot, 'worktree', 'remove', '--force', worktree]);
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}

function git(...args: string[]): void {
  const result = spawnSync('git', ['-C', projectRoot, ...args], { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`git ${args[0]} failed: ${result.stderr.trim()}`);
}

/** 1 if a case lacks a side or, with `--at-most`, is above it. */
function verdict(cases: readonly CaseResult[]): number {
  let code = cases.length === 0 ? 1 : 0;
  for (const one of cases) {
    const [base, working] = ['base', 'working'].map((name) => one.results.find((result) => result.peer === name));
    const ratio = base === undefined || working === undefined ? Number.NaN : medianRatio(working, base);
    const bad = !Number.isFinite(ratio) || (atMost !== undefined && ratio > atMost);
    if (bad) code = 1;
    console.log(`${one.name}: ${ratio.toFixed(3)} of ${ref}${bad ? ', too much or not measured' : ''}`);
  }
  return code;
}
