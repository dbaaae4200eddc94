/** Gathers what a run found and writes it: JSON with every single measurement, and Markdown beside it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { JobResult } from '../jobs/job.ts';
import type { Peer } from '../peers/peer.ts';
import type { Absent } from './candidates.ts';
import type { Machine } from './machine.ts';
import { caseTable, idleTable, verdictTable } from './table.ts';
import { judgeCase, judgeIdle, judgeTranscoding, type Verdict } from './targets.ts';

export interface Report {
  readonly startedAt: string;
  readonly command: string;
  readonly machine: Machine;
  /** Version and note of every proxy that was asked for and is installed. */
  readonly peers: readonly { readonly name: string; readonly version: string; readonly note: string }[];
  readonly jobs: Record<string, JobResult>;
  readonly verdicts: readonly Verdict[];
}

export function describePeers(peers: readonly Peer[]): Report['peers'] {
  return peers
    .filter((peer) => peer.missing() === undefined)
    .map((peer) => ({ name: peer.name, version: peer.version(), note: peer.note }));
}

export function judge(jobs: readonly JobResult[]): Verdict[] {
  return jobs.flatMap((job) => [
    ...job.cases.flatMap(judgeCase),
    ...judgeTranscoding(job.cases),
    ...judgeIdle(job.idle ?? []),
  ]);
}

export function jobMarkdown(job: JobResult): string {
  const parts = job.cases.map(caseTable);
  if (job.idle !== undefined && job.idle.length > 0) parts.push(idleTable(job.idle));
  if (job.absent.length > 0) parts.push(absentList(job.absent));
  return parts.join('\n\n');
}

function absentList(absent: readonly Absent[]): string {
  return `Not run:\n${absent.map(({ name, reason }) => `- ${name}: ${reason.replaceAll('\n', '\n  ')}`).join('\n')}`;
}

export function reportMarkdown(report: Report): string {
  const { machine } = report;
  const where = `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, ${machine.system}, kernel ${machine.kernel}`;
  const with_ = `node ${machine.node}, openssl ${machine.openssl}, TCP ${machine.congestionControl}`;
  const pinning = machine.pinned
    ? 'proxy on core 0, upstream and load on core 1'
    : 'NOT pinned to cores: figures mean little';
  const parts = [
    `# Benchmark of ${report.startedAt}`,
    `\`${report.command}\`\n\n${where}; ${with_}; ${pinning}.`,
    report.peers.map(({ name, version, note }) => `- ${name} ${version}: ${note}`).join('\n'),
    ...Object.entries(report.jobs).map(([name, job]) => `## ${name}\n\n${jobMarkdown(job)}`),
  ];
  if (report.verdicts.length > 0) parts.push(verdictTable(report.verdicts));
  return `${parts.join('\n\n')}\n`;
}

/** Writes FILE and, with `.md` for `.json`, the tables. Returns both names. */
export function writeReport(report: Report, file: string): string[] {
  const tables = `${file.replace(/\.json$/, '')}.md`;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(report, null, 1)}\n`);
  writeFileSync(tables, reportMarkdown(report));
  return [file, tables];
}
