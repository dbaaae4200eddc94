/**
 * Judges a smoke run: every proxy that was asked for must have answered everything rightly, or have a good reason to
 * be absent. Figures are not looked at.
 */
import type { JobResult } from '../jobs/job.ts';
import type { Peer } from '../peers/peer.ts';

/** Everything that went wrong, a line each. */
export function smokeProblems(jobs: Readonly<Record<string, JobResult>>, peers: readonly Peer[]): string[] {
  return Object.entries(jobs).flatMap(([name, job]) => jobProblems(job, peers).map((problem) => `${name}: ${problem}`));
}

function jobProblems(job: JobResult, peers: readonly Peer[]): string[] {
  const problems = job.absent
    .filter(({ name, reason }) => !excused(name, reason, peers))
    .map(({ name, reason }) => `${name}: ${reason}`);
  for (const { name, results } of job.cases) {
    if (results.length === 0) problems.push(`${name}: nobody answered`);
    for (const one of results) if (one.problem !== undefined) problems.push(`${one.peer}: ${name}: ${one.problem}`);
  }
  for (const { peer, errors, held, asked } of job.idle ?? []) {
    if (errors > 0) problems.push(`${peer}: ${errors} errors while idle connections were held`);
    if (held < asked) problems.push(`${peer}: ${held} of ${asked} idle connections were held`);
  }
  if (job.cases.length === 0 && (job.idle ?? []).length === 0) problems.push('nothing was measured');
  return problems;
}

/** What was never meant to do a job, and peers that are not installed; Gatehouse itself is never excused. */
function excused(name: string, reason: string, peers: readonly Peer[]): boolean {
  if (reason.startsWith('does not do ')) return true;
  return name !== 'gatehouse' && reason.startsWith('not installed') && peers.some((peer) => peer.name === name);
}
