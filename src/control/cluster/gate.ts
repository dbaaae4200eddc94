/**
 * The gate of a rollout: do the nodes that run the new version do worse than the others in the same time? Compares the
 * share of faults, and of requests much slower than the others' 99th percentile, by Fisher's exact test (one-sided),
 * which holds for small numbers, too. Below a least number of requests only a plain difference of faults counts, and a
 * gate that saw none says that it could not judge. Pure; rollout-steps.ts feeds it.
 */
import { LATENCY_BUCKETS } from '../../base/duration-cells.ts';
import type { Traffic } from './members.ts';

export interface GateSettings {
  /** Requests on the canary below which latency is not judged, and no fault but a plain difference. Default 50. */
  readonly minRequests: number;
  /** Chance of a difference this large by luck, below which it counts as one. Default 0.01. */
  readonly significance: number;
  /** A request is slow when it takes this many times the 99th percentile of the others. Default 2. */
  readonly latencyRatio: number;
}

export interface GateSample {
  readonly requests: number;
  readonly faults: number;
  readonly buckets: readonly number[];
}

/** A difference of latency smaller than this is not worth a rollback. */
const LEAST_LATENCY_SECONDS = 0.025;
/** Where there are no other nodes to compare with: a share of faults above this closes the gate. */
const ABSOLUTE_FAULT_SHARE = 0.05;
/** One broken connection is no version that does worse. */
const LEAST_FAULTS = 3;
/**
 * Below `minRequests` it takes so many faults, and luck must be ten times less likely: few requests are looked at again
 * and again while they become more, and each look is another chance to be wrong.
 */
const LEAST_FAULTS_OF_FEW = 5;
const FEW_SIGNIFICANCE = 0.1;

export interface Verdict {
  /** Why the gate is closed; null while it is open. */
  readonly closed: string | null;
  /** Why being open says nothing of the version; null when it was judged. */
  readonly unjudged: string | null;
}

/** What came in between two readings of counters; a counter that fell means a restart, and counts from zero. */
export function since(before: Traffic | undefined, now: Traffic | null): GateSample {
  if (now === null) return { requests: 0, faults: 0, buckets: [] };
  const base = before !== undefined && now.requests >= before.requests ? before : undefined;
  return {
    requests: now.requests - (base?.requests ?? 0),
    faults: Math.max(0, now.faults - (base?.faults ?? 0)),
    buckets: now.buckets.map((count, i) => Math.max(0, count - (base?.buckets[i] ?? 0))),
  };
}

export function sumOf(samples: readonly GateSample[]): GateSample {
  return {
    requests: samples.reduce((sum, { requests }) => sum + requests, 0),
    faults: samples.reduce((sum, { faults }) => sum + faults, 0),
    buckets: Array.from({ length: LATENCY_BUCKETS.length + 1 }, (_, i) =>
      samples.reduce((sum, { buckets }) => sum + (buckets[i] ?? 0), 0),
    ),
  };
}

/**
 * `before`: how the others did at the last comparison, for when they have little traffic now, or all run the version.
 */
export function judge(
  canary: GateSample,
  others: GateSample,
  settings: GateSettings,
  before: GateSample | null = null,
): Verdict {
  const { minRequests } = settings;
  const isEnough = canary.requests >= minRequests;
  const isComparable = isEnough && others.requests >= minRequests;
  const usual = before === null ? others : sumOf([others, before]);
  const closed =
    moreFaults(canary, others, usual, settings) ?? (isComparable ? slower(canary, others, settings) : null);
  if (closed !== null || isEnough) return { closed, unjudged: null };
  return {
    closed,
    unjudged: `${canary.requests} requests on the gateways that run it, of ${minRequests} that it takes`,
  };
}

function moreFaults(canary: GateSample, others: GateSample, known: GateSample, settings: GateSettings): string | null {
  const { minRequests, significance } = settings;
  const isEnough = canary.requests >= minRequests;
  if (canary.faults < (isEnough ? LEAST_FAULTS : LEAST_FAULTS_OF_FEW)) return null;
  const limit = isEnough ? significance : significance * FEW_SIGNIFICANCE;
  const chance = fisher(canary.faults, canary.requests, others.faults, others.requests);
  if (chance < limit)
    return `${canary.faults} of ${canary.requests} requests on the canary failed, ${others.faults} of ${others.requests} elsewhere (p = ${chance.toPrecision(2)})`;
  if (others.requests >= minRequests) return null;
  // Too few elsewhere at this time for a difference to show: more than is usual by a share that is too much anywhere.
  const usual = known.requests === 0 ? 0 : known.faults / known.requests;
  const share = canary.faults / canary.requests;
  const most = usual + ABSOLUTE_FAULT_SHARE;
  if (share <= most || (!isEnough && binomial(canary.faults, canary.requests, most) >= limit)) return null;
  const elsewhere =
    others.requests === 0 ? 'no other node has traffic' : `other nodes have only ${others.requests} requests`;
  const before = known.requests > others.requests ? ` (${percent(usual)} is usual)` : '';
  return `${percent(share)} of ${canary.requests} requests on the canary failed, and ${elsewhere} to compare with${before}`;
}

/**
 * A percentile of few requests is the luck of the slowest of them, so the shares of slow ones are compared, too: more
 * than one in a hundred, and more than luck gives.
 */
function slower(canary: GateSample, others: GateSample, { latencyRatio, significance }: GateSettings): string | null {
  const [mine, theirs] = [percentile(canary.buckets, 0.99), percentile(others.buckets, 0.99)];
  const limit = Math.max(theirs * latencyRatio, theirs + LEAST_LATENCY_SECONDS);
  if (mine <= limit) return null;
  const [slowHere, slowThere] = [slowerThan(canary.buckets, limit), slowerThan(others.buckets, limit)];
  const chance = fisher(slowHere, sum(canary.buckets), slowThere, sum(others.buckets));
  if (chance >= significance) return null;
  return `the 99th percentile of latency is ${mine} s on the canary and ${theirs} s elsewhere (p = ${chance.toPrecision(2)})`;
}

/** Requests in buckets that begin at or above this many seconds. */
function slowerThan(buckets: readonly number[], seconds: number): number {
  return sum(buckets.filter((_, i) => (LATENCY_BUCKETS[i - 1] ?? 0) >= seconds));
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

/**
 * Chance of at least `a` faults among `n` requests of the canary when both sides fail alike (hypergeometric tail).
 * Fisher, The Design of Experiments, 1935.
 */
export function fisher(a: number, n: number, b: number, m: number): number {
  const faults = a + b;
  if (faults === 0) return 1;
  const log = (k: number): number => logChoose(n, k) + logChoose(m, faults - k) - logChoose(n + m, faults);
  let chance = 0;
  for (let k = a; k <= Math.min(n, faults); k++) {
    const term = Math.exp(log(k));
    chance += term;
    if (term < chance * 1e-12) break;
  }
  return Math.min(1, chance);
}

/** Chance of at least `k` faults among `n` requests that fail with this share each. */
export function binomial(k: number, n: number, share: number): number {
  if (share >= 1) return 1;
  let chance = 0;
  for (let i = k; i <= n; i++)
    chance += Math.exp(logChoose(n, i) + i * Math.log(share) + (n - i) * Math.log(1 - share));
  return Math.min(1, chance);
}

function logChoose(n: number, k: number): number {
  if (k < 0 || k > n) return Number.NEGATIVE_INFINITY;
  return logFactorial(n) - logFactorial(k) - logFactorial(n - k);
}

/** Exact for small numbers, Stirling's series above. */
function logFactorial(n: number): number {
  if (n < 32) {
    let sum = 0;
    for (let i = 2; i <= n; i++) sum += Math.log(i);
    return sum;
  }
  return n * Math.log(n) - n + 0.5 * Math.log(2 * Math.PI * n) + 1 / (12 * n) - 1 / (360 * n ** 3);
}

/**
 * Upper bound in seconds of the bucket in which this share of the counts lies; the last bucket has twice the last
 * bound.
 */
function percentile(buckets: readonly number[], share: number): number {
  const total = sum(buckets);
  let below = 0;
  for (const [i, count] of buckets.entries()) {
    below += count;
    if (below >= total * share) return LATENCY_BUCKETS[i] ?? (LATENCY_BUCKETS.at(-1) ?? 0) * 2;
  }
  return 0;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
