/**
 * Memory at rest and of idle keep-alive connections. Each proxy is measured alone: its memory before, with the
 * connections opened, after one request on each, and whether traffic is still served while they are held. Memory is
 * the proportional set (PSS), which shares pages fairly between a parent and its workers.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { IdleCommand, IdleReply } from '../idle-source.ts';
import { absence, type Candidate, startPeer, startUpstream, subfolder } from '../lib/candidates.ts';
import { cases } from '../lib/cases.ts';
import { checkCase } from '../lib/check.ts';
import { getRequest, http2Request } from '../lib/http2.ts';
import { chooseGenerator, runLoad } from '../lib/load.ts';
import { chooseHttp2Generator, runHttp2Load } from '../lib/load-http2.ts';
import { type Running, start } from '../lib/processes.ts';
import { descriptorLimit, proportionalBytes, residentBytes } from '../lib/procfs.ts';
import type { Job, JobResult } from './job.ts';

/** What the idle connections speak. */
export type IdleProtocol = 'h1' | 'h2';

export interface IdleResult {
  readonly peer: string;
  readonly protocol: IdleProtocol;
  /** Resident and proportional memory with no connection ever made, in bytes. */
  readonly restResidentBytes: number;
  readonly restBytes: number;
  readonly asked: number;
  /** Connections open at the end of the measurement. */
  readonly held: number;
  /** Memory per held connection above rest, in bytes. */
  readonly openedBytes: number;
  readonly afterRequestBytes: number;
  /** The same once nothing has happened for a while. */
  readonly laterBytes: number;
  /** Requests/s served on other connections while these were held, and errors. */
  readonly perSecond: number;
  readonly errors: number;
}

/** One source holds at most this many, so that a descriptor limit of 1,024 times ten suffices. */
const perSource = 6_000;

export async function runIdleJob(job: Job, protocol: IdleProtocol): Promise<JobResult> {
  const idle: IdleResult[] = [];
  const result: JobResult = { cases: [], idle, absent: [] };
  const upstream = await startUpstream(job.smoke ? 'bundled' : 'static', job.folder);
  try {
    for (const peer of job.peers) {
      let reason = absence(peer, 'idle') ?? (protocol === 'h2' ? absence(peer, 'http2') : undefined);
      if (reason === undefined) {
        try {
          job.progress(`idle: ${peer.name}`);
          const conditions = {
            upstreamPort: upstream.port,
            connections: job.idleConnections + 200,
            ...(protocol === 'h2' ? { http2: { upstream: 'h1' as const } } : {}),
          };
          idle.push(await measure(job, await startPeer(peer, conditions, job.folder), protocol));
        } catch (error) {
          reason = (error as Error).message;
        }
      }
      if (reason !== undefined) result.absent.push({ name: peer.name, reason });
    }
  } finally {
    await upstream.running.stop();
  }
  return result;
}

async function measure(job: Job, candidate: Candidate, protocol: IdleProtocol): Promise<IdleResult> {
  const sources: Running[] = [];
  try {
    await delay(START_IS_OVER_MS);
    const rest = await settled(candidate);
    const restResidentBytes = residentBytes(candidate.running.pids());
    const problem = await check(candidate, protocol);
    if (problem !== undefined) throw new Error(`wrong answer, not measured: ${problem}`);
    const asked = Math.min(job.idleConnections, descriptorLimit() - 300);
    await openAll(job, candidate, asked, sources, protocol);
    const opened = await settled(candidate);
    const replies = await Promise.all(sources.map((source) => ask(source, oneRequest(candidate, protocol))));
    const answered = replies.reduce((sum, reply) => sum + reply.answered, 0);
    const afterRequest = await settled(candidate);
    if (!job.smoke) await delay(QUIET_MS);
    const later = await settled(candidate);
    const served = await serve(job, candidate, protocol);
    const counts = await Promise.all(sources.map((source) => ask(source, { count: true })));
    const held = counts.reduce((sum, reply) => sum + reply.open, 0);
    return {
      peer: candidate.peer.name,
      protocol,
      restResidentBytes,
      restBytes: rest,
      asked,
      held,
      openedBytes: (opened - rest) / held,
      afterRequestBytes: (afterRequest - rest) / held,
      laterBytes: (later - rest) / held,
      perSecond: served.requests / served.seconds,
      errors: served.errors + Math.max(0, held - answered),
    };
  } finally {
    await Promise.all([candidate.running, ...sources].map((running) => running.stop()));
  }
}

/** What is wrong, or undefined. */
async function check({ port }: Candidate, protocol: IdleProtocol): Promise<string | undefined> {
  if (protocol === 'h1') return checkCase(port, false, cases['1k']);
  const { status, body } = await http2Request({ port, tls: false, path: cases['1k'].path });
  return status === 200 && body.length === cases['1k'].expectBytes ? undefined : `status ${status}`;
}

async function openAll(
  job: Job,
  candidate: Candidate,
  asked: number,
  sources: Running[],
  protocol: IdleProtocol,
): Promise<void> {
  const script = fileURLToPath(new URL('../idle-source.ts', import.meta.url));
  for (let left = asked; left > 0; left -= perSource) {
    const folder = subfolder(job.folder, 'idle-source');
    const source = await start({ role: 'load', command: process.execPath, args: [script], folder, ipc: true });
    sources.push(source);
    await ask(source, { open: Math.min(left, perSource), port: candidate.port, protocol });
  }
}

function oneRequest(candidate: Candidate, protocol: IdleProtocol): IdleCommand {
  const { path, expectBytes } = cases['1k'];
  if (protocol === 'h2')
    return { request: getRequest(1, path, `127.0.0.1:${candidate.port}`).toString('latin1'), expectBytes };
  return { request: `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${candidate.port}\r\n\r\n`, expectBytes };
}

/** Sends one command and awaits its reply, at most a minute. */
function ask(source: Running, command: IdleCommand): Promise<IdleReply> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the source of idle connections does not answer')), 60_000);
    source.child.once('message', (reply) => {
      clearTimeout(timer);
      resolve(reply as IdleReply);
    });
    source.child.send(command);
  });
}

/** At rest means: what starting took has been given back. */
const START_IS_OVER_MS = 3_000;
/** What V8 and Go collect by themselves when nothing happens is no connection's: they do it after some ten seconds. */
const QUIET_MS = 20_000;

/** Proportional memory once it stands still (two readings half a second apart within 1 %), after at most 8 s. */
async function settled(candidate: Candidate): Promise<number> {
  let before = proportionalBytes(candidate.running.pids());
  for (let reading = 0; reading < 16; reading++) {
    await delay(500);
    const now = proportionalBytes(candidate.running.pids());
    if (Math.abs(now - before) < before * 0.01) return now;
    before = now;
  }
  return before;
}

function serve(job: Job, candidate: Candidate, protocol: IdleProtocol) {
  const { path, expectBytes, uploadBytes } = cases['1k'];
  const { seconds } = job;
  if (protocol === 'h2') {
    const plan = { port: candidate.port, tls: false, path, expectBytes, connections: 4, streams: 4, seconds };
    return runHttp2Load(chooseHttp2Generator(seconds), plan, candidate.folder);
  }
  const plan = { port: candidate.port, tls: false, path, uploadBytes, expectBytes, connections: 16 };
  return runLoad(chooseGenerator(seconds), { ...plan, seconds }, candidate.folder);
}
