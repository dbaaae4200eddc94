/** The jobs by name: which cases, which reference, which upstream. */
import { type CaseId, cases } from '../lib/cases.ts';
import { makeCertificate } from '../lib/certificate.ts';
import type { JobName } from '../options.ts';
import { makeGatewayJob } from './gateway.ts';
import { checkGateway } from './gateway-check.ts';
import { runHttpJob } from './http.ts';
import { runGrpcJob, runHttp2Job } from './http2.ts';
import { runIdleJob } from './idle.ts';
import type { Job, JobResult } from './job.ts';
import { runWebSocketJob } from './websocket.ts';

/** Bodies of each job that has several, when none are asked for. */
const defaultBodies = {
  plain: ['1k'],
  connections: ['1k'],
  sizes: ['100k', '1m', 'up-10k', 'up-1m'],
  tls: ['1k', '100k', '1m', 'up-10k', 'up-1m'],
  cache: ['1k', '100k'],
} as const satisfies Record<string, readonly CaseId[]>;

export function runJob(name: JobName, everything: Job, bodies: readonly CaseId[] | undefined): Promise<JobResult> {
  // Peers made for one job only are not worth a line in the others, nor plain proxies in that one.
  const kind = name === 'gateway' || name === 'cache' ? name : 'http';
  const job = { ...everything, peers: everything.peers.filter((peer) => peer.features.has(kind)) };
  switch (name) {
    case 'plain':
    case 'sizes':
      return runHttpJob(job, { cases: chosen(name, bodies), feature: 'http', reference: 'nginx' });
    case 'connections':
      return runHttpJob(job, { cases: chosen(name, bodies), feature: 'http', reference: 'nginx', closes: true });
    case 'tls': {
      const tls = makeCertificate(job.folder);
      return runHttpJob(job, { cases: chosen(name, bodies), feature: 'tls', reference: 'nginx', tls });
    }
    case 'gateway': {
      const gateway = makeGatewayJob(job.folder);
      return runHttpJob(job, {
        cases: [{ ...cases['1k'], name: 'gateway job, 1 KB JSON down' }],
        feature: 'gateway',
        reference: 'nginx-lua-cache',
        gateway,
        check: (candidate) => checkGateway(candidate, gateway),
      });
    }
    case 'cache':
      return runHttpJob(job, { cases: chosen(name, bodies), feature: 'cache', reference: 'nginx', cache: true });
    case 'websocket':
      return runWebSocketJob(job);
    case 'http2':
      return runHttp2Job(job);
    case 'grpc':
      return runGrpcJob(job);
    case 'idle':
      return runIdleJob(job, 'h1');
    case 'idle-http2':
      return runIdleJob(job, 'h2');
  }
}

function chosen(name: keyof typeof defaultBodies, bodies: readonly CaseId[] | undefined) {
  return (bodies ?? defaultBodies[name]).map((id) => cases[id]);
}
