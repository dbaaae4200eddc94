/**
 * The round-robin of one case: each round measures every proxy once, in alternating order, so that a slow phase of the
 * machine hits all of them and the ratio within a round stays honest. The main figure is CPU time of the proxy per
 * request; the rate is bounded by the core that load and upstream share.
 */
import type { Candidate } from './candidates.ts';
import type { LoadResult } from './load.ts';
import { coreTime, cpuNanoseconds, peakResidentBytes, resetPeak } from './procfs.ts';

/** One timed burst against one proxy. */
export interface Run {
  readonly round: number;
  readonly cpuUs: number;
  readonly requests: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU time on the proxy's core that was not the proxy's, in cores. Above 0.1 a run is repeated. */
  readonly foreignCores: number;
  /** Time the hypervisor took away, in cores. */
  readonly stealCores: number;
}

/** All bursts of one proxy in one case. */
export interface PeerResult {
  readonly peer: string;
  /** Index is the round; a failed round is undefined. */
  readonly runs: (Run | undefined)[];
  peakBytes: number;
  problem?: string;
}

export interface CaseResult {
  readonly name: string;
  readonly connections: number;
  /** Requests in flight on each; absent: one. */
  readonly streams?: number;
  readonly upstream: string;
  readonly generator: string;
  /** What ratios are to. */
  readonly reference: string;
  readonly results: PeerResult[];
}

export interface Timing {
  readonly rounds: number;
  readonly seconds: number;
  /** Seconds of load before the first round, for compilers and caches; `usualWarmSeconds`, or none. */
  readonly warmSeconds: number;
  /**
   * Seconds of the same load before each timed burst. Between two bursts of one proxy lie those of all others, and what
   * ages meanwhile (verified tokens do, after half a minute) would be filled anew within the burst, as under no steady
   * load.
   */
  readonly settleSeconds: number;
  /** How often a run is tried, because it failed or something else used the proxy's core. */
  readonly mostTries: number;
  readonly load: (candidate: Candidate, seconds: number) => Promise<LoadResult>;
  readonly progress: (text: string) => void;
}

/**
 * V8 compiles what runs often in threads of its own, which share the proxy's core here: over HTTP/1.1 that takes 26 us
 * of each of the first 18,000 requests, 3 to 5 of the next 30,000, less than one later on. All proxies are given them.
 */
export const usualWarmSeconds = 5;

const repeatAboveForeignCores = 0.1;
/** Share of failed requests above which a run does not count. */
const mostErrors = 0.001;

/** Measures the candidates that passed their check. */
export async function timeCase(candidates: readonly Candidate[], timing: Timing): Promise<PeerResult[]> {
  const results = candidates.map((candidate): PeerResult => ({ peer: candidate.peer.name, runs: [], peakBytes: 0 }));
  for (const candidate of candidates) {
    resetPeak(candidate.running.pids());
    if (timing.warmSeconds > 0) await timing.load(candidate, timing.warmSeconds).catch(() => undefined);
  }
  for (let round = 0; round < timing.rounds; round++) {
    const order = [...candidates.keys()];
    if (round % 2 === 1) order.reverse();
    for (const index of order) {
      const candidate = candidates[index] as Candidate;
      const result = results[index] as PeerResult;
      result.runs[round] = await timeRound(candidate, result, round, timing);
      const cpu = result.runs[round]?.cpuUs.toFixed(1) ?? 'failed';
      timing.progress(`round ${round + 1}/${timing.rounds} ${candidate.peer.name} ${cpu}`);
    }
  }
  for (const [index, result] of results.entries()) {
    result.peakBytes = peakResidentBytes((candidates[index] as Candidate).running.pids());
  }
  return results;
}

/** One run that counts: repeated while it fails or something else uses the proxy's core, the quietest try kept. */
async function timeRound(
  candidate: Candidate,
  result: PeerResult,
  round: number,
  timing: Timing,
): Promise<Run | undefined> {
  let best: Run | undefined;
  for (let attempt = 0; attempt < timing.mostTries; attempt++) {
    try {
      if (timing.settleSeconds > 0) await timing.load(candidate, timing.settleSeconds);
      const run = await timeOnce(candidate, round, timing);
      if (best === undefined || run.foreignCores < best.foreignCores) best = run;
    } catch (error) {
      result.problem = (error as Error).message;
    }
    if (!candidate.running.alive()) {
      result.problem = `ended by itself: ${candidate.running.output()}`;
      return undefined;
    }
    if (best !== undefined && best.foreignCores <= repeatAboveForeignCores) break;
  }
  return best;
}

async function timeOnce(candidate: Candidate, round: number, timing: Timing): Promise<Run> {
  const core = coreTime(0);
  const cpu = cpuNanoseconds(candidate.running.pids());
  const startedAt = performance.now();
  const load = await timing.load(candidate, timing.seconds);
  const cpuNs = cpuNanoseconds(candidate.running.pids()) - cpu;
  const wallNs = (performance.now() - startedAt) * 1e6;
  const coreAfter = coreTime(0);
  if (load.requests === 0) throw new Error(`no good answer, ${load.errors} errors`);
  if (load.errors > load.requests * mostErrors) throw new Error(`${load.errors} errors, ${load.requests} answers`);
  return {
    round,
    cpuUs: cpuNs / 1000 / load.requests,
    requests: load.requests,
    perSecond: load.requests / load.seconds,
    p50Ms: load.p50Ms,
    p99Ms: load.p99Ms,
    foreignCores: Math.max(0, (coreAfter.busyNs - core.busyNs - cpuNs) / wallNs),
    stealCores: (coreAfter.stealNs - core.stealNs) / wallNs,
  };
}
