/**
 * The targets the project set itself, and whether a run met them. They are printed, never enforced: one run on a busy
 * machine proves nothing, so a person reads them (`docs/guide/benchmarks.md` says how).
 */
import type { IdleResult } from '../jobs/idle.ts';
import { median, pairedRatios } from './statistics.ts';
import type { CaseResult, PeerResult } from './suite.ts';

/** A bound on the paired ratio of CPU per request between two proxies of one case. */
interface RatioTarget {
  /** Matches the name of the case. */
  readonly name: RegExp;
  readonly to: string;
  readonly atMost: number;
}

const ratioTargets: readonly RatioTarget[] = [
  { name: /^1 KB JSON down$/, to: 'nginx', atMost: 1.25 },
  { name: /^1 KB JSON down$/, to: 'undici', atMost: 0.55 },
  { name: /^1 MB (down|up)$/, to: 'nginx', atMost: 1.1 },
  { name: /, HTTP\/2 with TLS to HTTP\/1.1$/, to: 'nginx', atMost: 1 },
  { name: /, HTTP\/2 to HTTP\/2 in clear text$/, to: 'haproxy', atMost: 1 },
  { name: /^unary gRPC call/, to: 'haproxy', atMost: 1.2 },
  { name: /, TLS$/, to: 'nginx', atMost: 1.2 },
  { name: /^WebSocket/, to: 'nginx', atMost: 1.4 },
  { name: /^gateway job/, to: 'nginx-lua-cache', atMost: 1 },
  { name: /^gateway job/, to: 'nginx-lua', atMost: 0.75 },
  { name: /^gateway job/, to: 'undici-cache', atMost: 1 / 3 },
  { name: /^gateway job/, to: 'fastify-cache', atMost: 1 / 6 },
];

const mostIdleBytes = { h1: 7 * 1024, h2: 10 * 1024 } as const;
/** What a transcoded call costs above one that passes as it is. */
const mostTranscodingUs = 20;
const mostRestBytes = 100 * 1000 * 1000;
const us = 'gatehouse';

export interface Verdict {
  readonly target: string;
  readonly got: number;
  readonly atMost: number;
  readonly unit: string;
  readonly met: boolean;
}

function verdict(target: string, got: number, atMost: number, unit: string): Verdict {
  return { target, got, atMost, unit, met: got <= atMost };
}

/** Targets that this case can speak to, that is, whose two proxies were both timed. */
export function judgeCase(result: CaseResult): Verdict[] {
  const verdicts: Verdict[] = [];
  const own = find(result, us);
  if (own === undefined) return verdicts;
  for (const { name, to, atMost } of ratioTargets) {
    const other = find(result, to);
    if (!name.test(result.name) || other === undefined) continue;
    const ratio = medianRatio(own, other);
    if (Number.isFinite(ratio)) verdicts.push(verdict(`${result.name}: CPU/request to ${to}`, ratio, atMost, 'x'));
  }
  return verdicts;
}

export function judgeIdle(results: readonly IdleResult[]): Verdict[] {
  const own = results.find((result) => result.peer === us);
  if (own === undefined) return [];
  const kind = own.protocol === 'h2' ? 'idle HTTP/2 connections' : 'idle connections';
  const name = `${own.held.toLocaleString('en-US')} ${kind}: memory each`;
  const most = mostIdleBytes[own.protocol] / 1024;
  return [
    verdict('memory at rest', own.restResidentBytes / 1e6, mostRestBytes / 1e6, ' MB'),
    verdict(`${name}, opened`, own.openedBytes / 1024, most, ' KB'),
    verdict(`${name}, 20 s after a request`, own.laterBytes / 1024, most, ' KB'),
  ];
}

/** Transcoding beside the same call passed on. */
export function judgeTranscoding(results: readonly CaseResult[]): Verdict[] {
  const own = (name: RegExp) => {
    const result = results.find((one) => name.test(one.name));
    return result === undefined ? undefined : find(result, us);
  };
  const [passed, transcoded] = [own(/^unary gRPC call/), own(/, transcoded$/)];
  if (passed === undefined || transcoded === undefined) return [];
  const cost = (one: PeerResult) => median(one.runs.flatMap((run) => (run === undefined ? [] : [run.cpuUs])));
  const added = cost(transcoded) - cost(passed);
  return Number.isFinite(added) ? [verdict('transcoding adds', added, mostTranscodingUs, ' us')] : [];
}

function find(result: CaseResult, peer: string): PeerResult | undefined {
  return result.results.find((one) => one.peer === peer);
}

/** Median over the rounds of the ratio of CPU per request; NaN if no round has both. */
export function medianRatio(of: PeerResult, to: PeerResult): number {
  const cpu = (result: PeerResult) => result.runs.map((run) => run?.cpuUs);
  return median(pairedRatios(cpu(of), cpu(to)));
}
