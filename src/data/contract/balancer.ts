/**
 * What a balancing algorithm is. It only chooses among candidates: health, breaker, ejection, slow start, limits
 * and retries are done around it (data/balancer/service.ts), the same for every algorithm and for those that users
 * write with `defineBalancer`. Everything here runs on the hot path: no promise, no allocation where avoidable.
 */

/** One instance as an algorithm sees it; the object lives as long as the instance keeps its id. */
export interface Candidate {
  readonly id: string;
  readonly zone: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  /** Configured weight times the slow-start ramp, never below a small positive number. */
  readonly weight: number;
  /** Requests in flight, over all workers. */
  readonly inFlight: number;
  /** Peak-sensitive moving average of the time to first byte, milliseconds; 0 until the first response. */
  readonly latencyMs: number;
  /**
   * Attempts that failed lately in this worker, fading by two thirds in ten seconds, at most 32; 0 while it works. What
   * fails at once is in flight for no time, so a choice by `inFlight` alone favours what is broken.
   */
  readonly recentFailures: number;
}

/** What an algorithm may know of the request. */
export interface BalancerRequest {
  readonly address: string;
  readonly path: string;
  readonly query: string;
  /** Subject of the identity, or null. */
  readonly subject: string | null;
  header(name: string): string | null;
  cookie(name: string): string | null;
}

export interface Balancer {
  /** Index into `candidates`, which holds one at least. `candidates` may differ from call to call. */
  pick(candidates: readonly Candidate[], request: BalancerRequest): number;
}

export interface BalancerDefinition<Options = unknown> {
  /** As in the configuration, and the name of the file. */
  readonly name: string;
  /**
   * True when picks follow `weight`; slow start then works through the weight. Default false: the service thins out
   * the picks of an instance that is starting, so that slow start holds for every algorithm.
   */
  readonly weighted?: boolean;
  /** `random` gives numbers in [0, 1); tests hand in a seeded one. */
  create(options: Options, random: () => number): Balancer;
}

/** Types a balancing algorithm, also one in a file of the user's named by `loadBalancing.custom`. */
export function defineBalancer<Options = unknown>(
  definition: BalancerDefinition<Options>,
): BalancerDefinition<Options> {
  return definition;
}
