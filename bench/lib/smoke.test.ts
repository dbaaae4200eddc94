import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JobResult } from '../jobs/job.ts';
import { gatehouse } from '../peers/gatehouse.ts';
import { nodeHttp } from '../peers/node-http.ts';
import { smokeProblems } from './smoke.ts';
import type { CaseResult, PeerResult } from './suite.ts';

const run = { round: 0, cpuUs: 1, requests: 1, perSecond: 1, p50Ms: 1, p99Ms: 1, foreignCores: 0, stealCores: 0 };
const good: PeerResult = { peer: 'gatehouse', runs: [run], peakBytes: 1 };

function job(results: PeerResult[], changes: Partial<JobResult> = {}): JobResult {
  const one: CaseResult = { name: '1 KB', connections: 1, upstream: 'u', generator: 'g', reference: 'r', results };
  return { cases: [one], absent: [], ...changes };
}

const idle = {
  peer: 'gatehouse',
  protocol: 'h1' as const,
  restResidentBytes: 1,
  restBytes: 1,
  openedBytes: 1,
  afterRequestBytes: 1,
  laterBytes: 1,
  perSecond: 1,
};

const rows: { name: string; input: JobResult; want: RegExp | undefined }[] = [
  { name: 'passes when everybody answered', input: job([good]), want: undefined },
  {
    name: 'passes when a peer is not made for the job',
    input: job([good], { absent: [{ name: 'node-http', reason: 'does not do gateway' }] }),
    want: undefined,
  },
  {
    name: 'passes when a peer is not installed',
    input: job([good], { absent: [{ name: 'node-http', reason: 'not installed: apt-get' }] }),
    want: undefined,
  },
  {
    name: 'fails when gatehouse is not there',
    input: job([good], { absent: [{ name: 'gatehouse', reason: 'not installed: no bin' }] }),
    want: /gatehouse: not installed/,
  },
  {
    name: 'fails on a wrong answer',
    input: job([good], { absent: [{ name: 'node-http', reason: 'wrong answer, not timed: status 500' }] }),
    want: /wrong answer/,
  },
  {
    name: 'fails on errors under load',
    input: job([{ ...good, problem: '3 errors' }]),
    want: /gatehouse: 1 KB: 3 errors/,
  },
  { name: 'fails when nobody answered', input: job([]), want: /nobody answered/ },
  { name: 'fails when nothing was measured', input: { cases: [], absent: [] }, want: /nothing was measured/ },
  {
    name: 'fails when idle connections were lost',
    input: { cases: [], absent: [], idle: [{ ...idle, asked: 10, held: 9, errors: 0 }] },
    want: /9 of 10 idle/,
  },
  {
    name: 'fails on errors while idle connections were held',
    input: { cases: [], absent: [], idle: [{ ...idle, asked: 10, held: 10, errors: 2 }] },
    want: /2 errors/,
  },
];

for (const { name, input, want } of rows) {
  test(`a smoke run ${name}`, () => {
    const problems = smokeProblems({ plain: input }, [gatehouse, nodeHttp]);
    if (want === undefined) assert.deepEqual(problems, []);
    else assert.match(problems.join('\n'), want);
  });
}
