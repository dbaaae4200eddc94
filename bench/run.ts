/**
 * Compares Gatehouse with other proxies on this machine: `npx node bench/run.ts --help`. Every process of a run is
 * started, pinned and ended here; nothing leaves the loopback interface. `docs/guide/benchmarks.md` says how to read
 * the figures.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runJob } from './jobs/index.ts';
import type { Job, JobResult } from './jobs/job.ts';
import { describeMachine } from './lib/machine.ts';
import { describePeers, jobMarkdown, judge, type Report, writeReport } from './lib/report.ts';
import { smokeProblems } from './lib/smoke.ts';
import { usualWarmSeconds } from './lib/suite.ts';
import { verdictTable } from './lib/table.ts';
import { type JobName, type Options, parseOptions, usage } from './options.ts';
import { peers as allPeers, bundledPeers } from './peers/index.ts';
import type { Peer } from './peers/peer.ts';

const options = readOptions();
const folder = mkdtempSync(join(tmpdir(), 'gatehouse-bench-'));
process.on('exit', () => {
  if (options.keep) console.log(`kept ${folder}`);
  else rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});
process.exitCode = await main();

function readOptions(): Options {
  let parsed: Options;
  try {
    parsed = parseOptions(process.argv.slice(2));
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    process.exit(2);
  }
  if (parsed.help) {
    console.log(usage);
    process.exit(0);
  }
  if (process.platform !== 'linux') {
    console.error('the benchmarks read CPU time from /proc and so run on Linux only');
    process.exit(2);
  }
  return parsed;
}

async function main(): Promise<number> {
  const peers = choosePeers();
  const startedAt = new Date().toISOString();
  const jobs: Partial<Record<JobName, JobResult>> = {};
  for (const name of options.jobs) {
    const result = await runJob(name, job(peers), options.bodies);
    jobs[name] = result;
    clearProgress();
    console.log(`\n## ${name}\n\n${jobMarkdown(result)}`);
  }
  const verdicts = options.smoke ? [] : judge(Object.values(jobs));
  if (verdicts.length > 0) console.log(`\n${verdictTable(verdicts)}`);
  const command = ['npx node bench/run.ts', ...process.argv.slice(2)].join(' ');
  const report: Report = {
    startedAt,
    command,
    machine: describeMachine(),
    peers: describePeers(peers),
    jobs,
    verdicts,
  };
  if (!options.smoke || options.json !== undefined) {
    const written = writeReport(report, options.json ?? defaultFile(startedAt));
    console.log(`\nwritten: ${written.map((file) => relative('.', file)).join(', ')}`);
  }
  return options.smoke ? smokeVerdict(jobs) : 0;
}

function choosePeers(): readonly Peer[] {
  const pool = options.smoke && options.peers === undefined ? bundledPeers : allPeers;
  if (options.peers === undefined) return pool;
  const unknown = options.peers.filter((name) => !pool.some((peer) => peer.name === name));
  if (unknown.length > 0) {
    console.error(`no such proxy: ${unknown.join(', ')} (there are: ${pool.map((peer) => peer.name).join(', ')})`);
    process.exit(2);
  }
  return pool.filter((peer) => options.peers?.includes(peer.name));
}

function job(peers: readonly Peer[]): Job {
  const { rounds, seconds, connections, idleConnections, smoke } = options;
  // The load of a warm-up must be a whole number of seconds for wrk.
  const effort = smoke
    ? { warmSeconds: 0, settleSeconds: 0, mostTries: 1 }
    : { warmSeconds: usualWarmSeconds, settleSeconds: 1, mostTries: 3 };
  return { peers, rounds, seconds, ...effort, connections, idleConnections, smoke, folder, progress };
}

/** One line that rewrites itself on a terminal; nothing where output is a file or a pipe. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
}

function defaultFile(startedAt: string): string {
  const stamp = startedAt.slice(0, 19).replaceAll(/[:T]/g, '-');
  const name = `${stamp}-${options.jobs.length > 2 ? 'several' : options.jobs.join('-')}.json`;
  return fileURLToPath(new URL(`results/local/${name}`, import.meta.url));
}

/** Only whether answers were right counts, not how fast they came. */
function smokeVerdict(results: Partial<Record<JobName, JobResult>>): number {
  const problems = smokeProblems(results, choosePeers());
  for (const problem of problems) console.error(`smoke: ${problem}`);
  console.log(problems.length === 0 ? '\nsmoke: every answer was right' : '\nsmoke: FAILED');
  return problems.length === 0 ? 0 : 1;
}
