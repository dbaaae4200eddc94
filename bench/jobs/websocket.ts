/** WebSocket echo: 100-byte messages, one in flight per connection, upstream and load of our own. */
import { absence, type Candidate, startPeer, startUpstream } from '../lib/candidates.ts';
import { type LoadResult, runWebSocketLoad } from '../lib/load.ts';
import { timeCase } from '../lib/suite.ts';
import type { Job, JobResult } from './job.ts';

const messageBytes = 100;

export async function runWebSocketJob(job: Job): Promise<JobResult> {
  const result: JobResult = { cases: [], absent: [] };
  const upstream = await startUpstream('bundled', job.folder);
  const candidates: Candidate[] = [];
  const good: Candidate[] = [];
  try {
    for (const peer of job.peers) {
      let reason = absence(peer, 'websocket');
      try {
        if (reason === undefined) {
          const conditions = { upstreamPort: upstream.port, connections: Math.max(512, job.connections * 2) };
          const candidate = await startPeer(peer, conditions, job.folder);
          candidates.push(candidate);
          reason = wrongEcho(await load(candidate, 2, 0.3));
          if (reason === undefined) good.push(candidate);
        }
      } catch (error) {
        reason = (error as Error).message;
      }
      if (reason !== undefined) result.absent.push({ name: peer.name, reason });
    }
    const name = `WebSocket echo, ${messageBytes} B`;
    const results = await timeCase(good, {
      ...job,
      load: (candidate, seconds) => load(candidate, job.connections, seconds),
      progress: (text) => job.progress(`${name}: ${text}`),
    });
    const { connections, reference = 'nginx' } = job;
    result.cases.push({ name, connections, upstream: upstream.name, generator: 'bundled', reference, results });
  } finally {
    await Promise.all([...candidates, { running: upstream.running }].map(({ running }) => running.stop()));
  }
  return result;
}

function load(candidate: Candidate, connections: number, seconds: number): Promise<LoadResult> {
  return runWebSocketLoad({
    port: candidate.port,
    tls: false,
    path: '/echo',
    uploadBytes: 0,
    expectBytes: messageBytes,
    connections,
    seconds,
  });
}

function wrongEcho(result: LoadResult): string | undefined {
  if (result.errors > 0) return `wrong answer, not timed: ${result.errors} broken connections or changed echoes`;
  return result.requests > 0 ? undefined : 'wrong answer, not timed: no echo came back';
}
