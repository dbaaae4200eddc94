/**
 * Request-and-answer jobs: plain, connections, sizes, TLS and the gateway job. Downloads and uploads have different
 * upstreams, so each direction is a comparison of its own with freshly started proxies.
 */
import {
  absence,
  type Candidate,
  type Conditions,
  startPeer,
  startUpstream,
  type Upstream,
} from '../lib/candidates.ts';
import type { Case } from '../lib/cases.ts';
import type { Certificate } from '../lib/certificate.ts';
import { checkAccessLog, checkCase } from '../lib/check.ts';
import { chooseGenerator, type LoadResult, runLoad } from '../lib/load.ts';
import { type CaseResult, timeCase } from '../lib/suite.ts';
import type { Feature } from '../peers/peer.ts';
import type { GatewayJob } from './gateway.ts';
import type { Job, JobResult } from './job.ts';

export interface HttpJob {
  readonly cases: readonly Case[];
  readonly feature: Feature;
  readonly tls?: Certificate;
  readonly gateway?: GatewayJob;
  /** Proxies answer from memory. */
  readonly cache?: boolean;
  /** Each request has a connection of its own. */
  readonly closes?: boolean;
  /** Whose ratio is 1, unless the run wants another. */
  readonly reference: string;
  /** In place of the check of every case: what is wrong, or undefined. */
  readonly check?: (candidate: Candidate) => Promise<string | undefined>;
}

export async function runHttpJob(job: Job, http: HttpJob): Promise<JobResult> {
  const result: JobResult = { cases: [], absent: [] };
  const downloads = http.cases.filter((one) => one.uploadBytes === 0);
  const uploads = http.cases.filter((one) => one.uploadBytes > 0);
  if (downloads.length > 0) await runDirection(job, { ...http, cases: downloads }, result);
  if (uploads.length > 0) await runDirection(job, { ...http, cases: uploads }, result);
  return result;
}

async function runDirection(job: Job, http: HttpJob, result: JobResult): Promise<void> {
  const upload = http.cases.some((one) => one.uploadBytes > 0);
  const upstream = await startUpstream(upload || job.smoke ? 'bundled' : 'static', job.folder);
  const candidates: Candidate[] = [];
  try {
    await startAll(job, http, upstream, candidates, result);
    for (const one of http.cases) result.cases.push(await runCase(job, http, one, candidates, upstream, result));
  } finally {
    await Promise.all([...candidates, { running: upstream.running }].map(({ running }) => running.stop()));
  }
}

async function startAll(
  job: Job,
  http: HttpJob,
  upstream: Upstream,
  candidates: Candidate[],
  result: JobResult,
): Promise<void> {
  const conditions: Conditions = {
    upstreamPort: upstream.port,
    connections: Math.max(512, job.connections * 2),
    ...(http.tls === undefined ? {} : { tls: http.tls }),
    ...(http.gateway === undefined ? {} : { gateway: http.gateway }),
    ...(http.cache === undefined ? {} : { cache: http.cache }),
  };
  for (const peer of job.peers) {
    let reason = absence(peer, http.feature);
    if (reason === undefined) {
      try {
        candidates.push(await startPeer(peer, conditions, job.folder));
      } catch (error) {
        reason = (error as Error).message;
      }
    }
    if (reason !== undefined) noteAbsent(result, peer.name, reason);
  }
}

async function runCase(
  job: Job,
  http: HttpJob,
  one: Case,
  candidates: readonly Candidate[],
  upstream: Upstream,
  result: JobResult,
): Promise<CaseResult> {
  const good: Candidate[] = [];
  for (const candidate of candidates) {
    const problem = await (http.check?.(candidate) ?? check(candidate, one));
    if (problem === undefined) good.push(candidate);
    else noteAbsent(result, candidate.peer.name, `wrong answer, not timed: ${problem}`);
  }
  const connections = Math.min(job.connections, one.mostConnections);
  const generator = chooseGenerator(job.seconds);
  const how = http.closes === true ? ', a connection each' : '';
  const name = http.tls === undefined ? `${one.name}${how}` : `${one.name}, TLS`;
  const load = (candidate: Candidate, seconds: number): Promise<LoadResult> =>
    runLoad(
      generator,
      {
        port: candidate.port,
        tls: candidate.tls,
        path: one.path,
        uploadBytes: one.uploadBytes,
        expectBytes: one.expectBytes,
        connections,
        seconds,
        ...(http.gateway === undefined ? {} : { tokensFile: http.gateway.tokensFile }),
        ...(http.closes === undefined ? {} : { closes: http.closes }),
      },
      candidate.folder,
    );
  const progress = (text: string) => job.progress(`${name}: ${text}`);
  const results = await timeCase(good, { ...job, load, progress });
  return { name, connections, upstream: upstream.name, generator, reference: job.reference ?? http.reference, results };
}

/** The answer, and that a proxy which is said to log does so. */
async function check({ port, tls, launch }: Candidate, one: Case): Promise<string | undefined> {
  const problem = await checkCase(port, tls, one);
  return problem ?? (launch.accessLog === undefined ? undefined : await checkAccessLog(launch.accessLog));
}

function noteAbsent(result: JobResult, name: string, reason: string): void {
  if (!result.absent.some((other) => other.name === name && other.reason === reason)) {
    result.absent.push({ name, reason });
  }
}
