/**
 * HTTP/2 in front: the jobs `http2` (1 KB from an upstream that speaks HTTP/1.1, over TLS, and from one that speaks
 * HTTP/2, both in clear text) and `grpc` (unary calls, and the same calls as JSON). Sixteen connections with ten
 * requests in flight on each, unless the run wants another number of connections.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { download, sha256 } from '../lib/bodies.ts';
import {
  absence,
  type Candidate,
  type Conditions,
  startPeer,
  startUpstream,
  type UpstreamKind,
} from '../lib/candidates.ts';
import { cases } from '../lib/cases.ts';
import { makeCertificate } from '../lib/certificate.ts';
import { checkAccessLog } from '../lib/check.ts';
import { type Http2Answer, type Http2Request, http2Request } from '../lib/http2.ts';
import { chooseHttp2Generator, type Http2Plan, runHttp2Load } from '../lib/load-http2.ts';
import { path as callPath, grpcMessage, jsonPath, note, protoText } from '../lib/note.ts';
import { type CaseResult, timeCase } from '../lib/suite.ts';
import type { Feature } from '../peers/peer.ts';
import type { Job, JobResult } from './job.ts';

const mostConnections = 16;
const streams = 10;
/**
 * More than `usualWarmSeconds`: of the first 60,000 gRPC calls each costs 13 us of V8's compiling threads, of the next
 * 60,000 two, later on half of one.
 */
const leastWarmSeconds = 10;

interface Http2Case {
  readonly name: string;
  readonly features: readonly Feature[];
  readonly reference: string;
  readonly upstream: UpstreamKind;
  readonly conditions: Partial<Conditions>;
  readonly request: Omit<Http2Request, 'port' | 'tls'>;
  readonly expectBytes: number;
  /** What is wrong with an answer of status 200, or undefined. */
  readonly check: (answer: Http2Answer) => string | undefined;
}

export async function runHttp2Job(job: Job): Promise<JobResult> {
  const { path } = cases['1k'];
  const want = download(path).bytes;
  const check = ({ body }: Http2Answer) =>
    body.length === want.length && sha256(body) === sha256(want) ? undefined : 'the body arrived changed';
  const shared = { request: { path }, expectBytes: want.length, check };
  return runCases(job, [
    {
      ...shared,
      name: '1 KB JSON down, HTTP/2 with TLS to HTTP/1.1',
      features: ['http2', 'tls'],
      reference: 'nginx',
      upstream: job.smoke ? 'bundled' : 'static',
      conditions: { http2: { upstream: 'h1' }, tls: makeCertificate(job.folder) },
    },
    {
      ...shared,
      name: '1 KB JSON down, HTTP/2 to HTTP/2 in clear text',
      features: ['http2', 'h2c-upstream'],
      reference: 'haproxy',
      upstream: 'http2',
      conditions: { http2: { upstream: 'h2c' } },
    },
  ]);
}

export async function runGrpcJob(job: Job): Promise<JobResult> {
  const message = grpcMessage(note);
  const json = Buffer.from(JSON.stringify(note));
  const protoFile = join(job.folder, 'notes.proto');
  writeFileSync(protoFile, protoText);
  return runCases(job, [
    {
      name: 'unary gRPC call, 1 KB each way',
      features: ['http2', 'grpc'],
      reference: 'haproxy',
      upstream: 'http2',
      conditions: { http2: { upstream: 'grpc' } },
      request: { path: callPath, headers: { 'content-type': 'application/grpc', te: 'trailers' }, body: message },
      expectBytes: message.length,
      check: ({ body, trailers }) => {
        if (trailers['grpc-status'] !== '0') return `grpc-status ${String(trailers['grpc-status'])}`;
        return body.equals(message) ? undefined : 'the message arrived changed';
      },
    },
    {
      name: 'the same call as JSON, transcoded',
      features: ['http2', 'transcode'],
      reference: 'gatehouse',
      upstream: 'http2',
      conditions: { http2: { upstream: 'grpc', protoFile } },
      request: { path: jsonPath, headers: { 'content-type': 'application/json' }, body: json },
      expectBytes: json.length,
      check: ({ body }) =>
        isDeepStrictEqual(JSON.parse(body.toString()), note) ? undefined : 'the message arrived changed',
    },
  ]);
}

async function runCases(job: Job, all: readonly Http2Case[]): Promise<JobResult> {
  const result: JobResult = { cases: [], absent: [] };
  for (const one of all) {
    const upstream = await startUpstream(one.upstream, job.folder);
    const candidates: Candidate[] = [];
    try {
      for (const peer of job.peers) {
        let reason = one.features.map((feature) => absence(peer, feature)).find((absent) => absent !== undefined);
        if (reason === undefined) {
          const conditions = { ...one.conditions, upstreamPort: upstream.port, connections: 512 };
          const started = await startPeer(peer, conditions, job.folder).catch((error: Error) => error);
          if (started instanceof Error) reason = started.message;
          else candidates.push(started);
        }
        if (reason !== undefined) noteAbsent(result, peer.name, reason);
      }
      result.cases.push(await runCase(job, one, candidates, upstream.name, result));
    } finally {
      await Promise.all([...candidates, upstream].map(({ running }) => running.stop()));
    }
  }
  return result;
}

async function runCase(
  job: Job,
  one: Http2Case,
  candidates: readonly Candidate[],
  upstream: string,
  result: JobResult,
): Promise<CaseResult> {
  const good: Candidate[] = [];
  for (const candidate of candidates) {
    const problem = await check(candidate, one);
    if (problem === undefined) good.push(candidate);
    else noteAbsent(result, candidate.peer.name, `wrong answer, not timed: ${one.name}: ${problem}`);
  }
  const connections = Math.min(job.connections, mostConnections);
  const generator = chooseHttp2Generator(job.seconds);
  const { path, headers, body } = one.request;
  const bodyFile = join(job.folder, 'http2-body');
  if (body !== undefined) writeFileSync(bodyFile, body);
  const plan: Omit<Http2Plan, 'port' | 'tls' | 'seconds'> = {
    path,
    ...(headers === undefined ? {} : { headers }),
    ...(body === undefined ? {} : { bodyFile }),
    expectBytes: one.expectBytes,
    connections,
    streams,
  };
  const load = ({ port, tls, folder }: Candidate, seconds: number) =>
    runHttp2Load(generator, { ...plan, port, tls, seconds }, folder);
  const progress = (text: string) => job.progress(`${one.name}: ${text}`);
  const warmSeconds = job.smoke ? 0 : Math.max(leastWarmSeconds, job.warmSeconds);
  const results = await timeCase(good, { ...job, warmSeconds, load, progress });
  const reference = job.reference ?? one.reference;
  return { name: one.name, connections, streams, upstream, generator, reference, results };
}

async function check({ port, tls, launch }: Candidate, one: Http2Case): Promise<string | undefined> {
  try {
    const answer = await http2Request({ ...one.request, port, tls });
    const problem = answer.status === 200 ? one.check(answer) : `status ${answer.status}`;
    return problem ?? (launch.accessLog === undefined ? undefined : await checkAccessLog(launch.accessLog));
  } catch (error) {
    return (error as Error).message;
  }
}

function noteAbsent(result: JobResult, name: string, reason: string): void {
  if (!result.absent.some((other) => other.name === name && other.reason === reason))
    result.absent.push({ name, reason });
}
