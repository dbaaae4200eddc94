/**
 * What control asks the workers about the limits of one caller, and what they say. Published, because control cannot
 * ask; each worker tells its answer, and all of them see the same counters, so the first is taken. Plain data.
 */
import type { Algorithm, RateLimitSettings } from './limits.ts';

/** Who is meant, by what a request of theirs would have; what is absent falls back as in data/limiter/keys.ts. */
export interface LimitCaller {
  readonly address: string;
  /** The account, or the subject of a token. */
  readonly user: string | null;
  /** Id of the API key. */
  readonly apiKey: string | null;
  readonly plan: string | null;
  readonly method: string;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Published as `limits:look`; null once it is answered. */
export interface LimitQuestion {
  readonly id: number;
  /** Milliseconds since 1970; a worker that starts later leaves it alone. */
  readonly askedAtMs: number;
  readonly caller: LimitCaller;
  readonly settings: readonly RateLimitSettings[];
  /** Forget what was counted, then look. */
  readonly reset: boolean;
}

export interface LimitState {
  /** Tells the counter from others; those of a caller that have the same are one. */
  readonly id: string;
  /** By what it counts, such as `user` or `header+ip`. */
  readonly by: string;
  readonly algorithm: Algorithm;
  readonly limit: number;
  readonly windowMs: number;
  /** The plan whose limit it is; null: the route's or gateway's own. */
  readonly plan: string | null;
  readonly remaining: number;
  /** Until all of the limit is there again. */
  readonly resetMs: number;
  /** Until the next request is let through; 0: it would be now. */
  readonly retryMs: number;
}

/** Published as `limits:looked`: the states by settings, in their order; or why they are not known. */
export interface LimitAnswer {
  readonly id: number;
  readonly states?: readonly (readonly LimitState[])[];
  readonly problem?: string;
}

export const LOOK_TOPIC = 'limits:look';
export const LOOKED_TOPIC = 'limits:looked';
