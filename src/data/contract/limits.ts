/**
 * What control and the workers tell each other about limits: rules, plans, settings, and the topics they travel under.
 * Plain data, checked by the schemas in limit-schema.ts; no zod here, because workers load this file too.
 */
import { formatDuration, parseDurationMs } from '../../base/units.ts';

export type Algorithm = 'gcra' | 'sliding' | 'fixed';

/** One limit as configured. */
export interface RuleSpec {
  /** Units (requests, unless they cost more) per window; 1 to 16,000,000. */
  readonly limit: number;
  /** Milliseconds; 100 ms to 31 days. */
  readonly windowMs: number;
  readonly algorithm: Algorithm;
  /** Units at once, for `gcra`; the others take `limit`. */
  readonly burst: number;
}

export const MAX_LIMIT = 16_000_000;
export const MIN_WINDOW_MS = 100;
export const MAX_WINDOW_MS = 31 * 86_400_000;

/** What is wrong with a limit, or nothing. */
export function ruleProblem(spec: RuleSpec): string | undefined {
  if (!Number.isInteger(spec.limit) || spec.limit < 1 || spec.limit > MAX_LIMIT) {
    return `the limit must be a whole number from 1 to ${MAX_LIMIT}, not ${spec.limit}`;
  }
  if (!(spec.windowMs >= MIN_WINDOW_MS && spec.windowMs <= MAX_WINDOW_MS)) {
    return `the window must be from ${MIN_WINDOW_MS} ms to 31 days, not ${spec.windowMs} ms`;
  }
  if (!Number.isInteger(spec.burst) || spec.burst < 1 || spec.burst > MAX_LIMIT) {
    return `the burst must be a whole number from 1 to ${MAX_LIMIT}, not ${spec.burst}`;
  }
  return undefined;
}

/** Whose counter a request goes to. */
export type KeyPart =
  | { readonly kind: 'ip' | 'user' | 'apiKey' | 'plan' | 'method' }
  | { readonly kind: 'header'; readonly name: string };

/** Some limits with one key. */
export interface LimitBlock {
  /** All of them together are the key; empty counts all callers together. */
  readonly by: readonly KeyPart[];
  readonly rules: readonly RuleSpec[];
  /** Also the limits of the caller's plan. */
  readonly plan: boolean;
  /** Methods that it is for, upper case; empty is all. */
  readonly methods: readonly string[];
  readonly cost: number;
  /** Field of the response with the final cost of the request, lower case. */
  readonly costHeader: string | null;
  /** Counters with the same scope, key and numbers are one. */
  readonly scope: string;
}

/** Phases in which limits are checked: before the route is known, before authentication, after it. */
export type LimitPhase = 'arrival' | 'authenticate' | 'limit';

/** Options of the policy `rate-limit`, as its schema compiles them. */
export interface RateLimitSettings {
  readonly blocks: readonly (LimitBlock & { readonly phase: LimitPhase })[];
  /** Regular expression that a path must match to be counted; absent: all are. */
  readonly paths?: string;
  /** How long a refusal is held back, so that who asks in a loop does so more slowly. Absent: not at all. */
  readonly refusalDelayMs?: number;
  /** Of its 429; `{plan}` is the plan of the caller. */
  readonly message?: string;
  /** `X-RateLimit-*`. */
  readonly legacyHeaders: boolean;
  /** `RateLimit` and `RateLimit-Policy`. */
  readonly standardHeaders: boolean;
}

/** More of a plan's limits for a while. */
export interface OccasionSettings {
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly startMs: number;
  readonly endMs: number;
  readonly factor: number;
  readonly extra: number;
}

export interface PlanSettings {
  readonly limits: readonly RuleSpec[];
  readonly occasions: readonly OccasionSettings[];
}

/** Published as `limits:plans`. */
export interface PlansSettings {
  /** For callers without a plan, or with one that is not listed. */
  readonly defaultPlan: string;
  readonly plans: Readonly<Record<string, PlanSettings>>;
}

/** What to do with a key for which the table has no cell: refuse the request, or let it pass uncounted. */
export type OverflowPolicy = 'deny' | 'allow';

/** Published as `limits:settings`. */
export interface LimiterSettings {
  readonly overflow: OverflowPolicy;
  /** Absent: this machine counts alone. */
  readonly redis?: RedisLimitSettings;
}

/** How workers use Redis. */
export interface RedisLimitSettings {
  /** Secret id of the URL. */
  readonly url: string;
  readonly mode: 'exact' | 'leased';
  readonly fallback: 'local' | 'open' | 'closed';
  /** Longest wait for one decision. */
  readonly timeoutMs: number;
  /** Largest batch that a worker takes ahead, as a share of the limit. */
  readonly leaseShare: number;
  readonly leaseMs: number;
  readonly prefix: string;
}

export const SETTINGS_TOPIC = 'limits:settings';
export const PLANS_TOPIC = 'limits:plans';
export const ALGORITHMS = ['gcra', 'sliding', 'fixed'] as const satisfies readonly Algorithm[];

const SHORT_FORM = /^(\d+)\s*\/\s*(\S+)$/;

/** The rule of `60/1m`, or what is wrong with it. */
export function parseLimit(text: string, algorithm: Algorithm = 'gcra'): RuleSpec | string {
  const match = SHORT_FORM.exec(text.trim());
  const windowMs = parseDurationMs(match?.[2]);
  if (match === null || windowMs === undefined) return `"${text}" is not a limit such as 60/1m`;
  const limit = Number(match[1]);
  const spec = { limit, windowMs, algorithm, burst: limit };
  return ruleProblem(spec) ?? spec;
}

/** A rule in words, such as `60/1m`. */
export function formatLimit(rule: Pick<RuleSpec, 'limit' | 'windowMs'>): string {
  return `${rule.limit}/${formatDuration(rule.windowMs)}`;
}

/** Is the key known before authentication? */
export function needsNoIdentity(by: readonly KeyPart[]): boolean {
  return by.every((part) => part.kind === 'ip' || part.kind === 'header' || part.kind === 'method');
}

/** How the key is called in the names of policies: `user`, `ip`, `header+ip`. */
export function formatKey(by: readonly KeyPart[]): string {
  return by.length === 0 ? 'all' : by.map((part) => part.kind).join('+');
}

/** Published as `limits:counts`: how much each count of a worker has grown since the last time, by name. */
export const COUNTS_TOPIC = 'limits:counts';

/** Published as `limits:table`: live cells, and cells in all. */
export interface TableOccupancy {
  readonly live: number;
  readonly cells: number;
}
export const OCCUPANCY_TOPIC = 'limits:table';

/** A worker's limits are counted by Redis, or by this machine alone while that does not answer. */
export const SHARED_TOPIC = 'limits:shared';
export interface SharedState {
  /** Thread id of the worker. */
  readonly thread: number;
  readonly isShared: boolean;
  /** What failed last, if it is known. */
  readonly reason: string | null;
}

// --- quotas ------------------------------------------------------------------------------------------------------

/** What a quota without limit tells: more than anybody asks for, and an integer in every language. */
export const UNLIMITED_QUOTA = 2_147_483_647;

/** Asked as `limits:quota`: may this caller use so much? */
export interface QuotaQuestion {
  readonly quota: string;
  readonly account: string;
  /** The account that pays for a child's. */
  readonly parent: string | null;
  readonly plan: string | null;
  /** What a parent allows its child, from the claim `quotas`. */
  readonly cap: number | null;
  /** At least this much, or nothing. */
  readonly least: number;
  /** As much as this, to spare further questions. */
  readonly want: number;
}

export interface QuotaAnswer {
  /** 0: refused. */
  readonly granted: number;
  /** What is left beside what was granted. */
  readonly remaining: number;
  readonly limit: number;
  /** Name of the period, such as `2026-07-01`, `2026-W27` or `2026-07`. */
  readonly period: string;
  /** Length and end of the period: seconds, and milliseconds since 1970. */
  readonly periodSeconds: number;
  readonly endMs: number;
}

/** Published as `limits:quota-used`: what became of what was granted. */
export interface QuotaReport {
  readonly quota: string;
  readonly account: string;
  readonly parent: string | null;
  readonly cap: number | null;
  readonly period: string;
  /** Used up; may be more than was granted, when the cost was known only afterwards. */
  readonly used: number;
  /** Taken off what is held: what was used of the grant, and what is given back. */
  readonly settled: number;
}

export const QUOTA_TOPIC = 'limits:quota';
export const QUOTA_USED_TOPIC = 'limits:quota-used';

/** Options of the policy `quota`, as its schema compiles them. */
export interface QuotaSettings {
  readonly quota: string;
  readonly cost: number;
  /** Field of the response with the cost, lower case. */
  readonly costHeader: string | null;
  /** Which responses count: any, those below 500, those below 400. */
  readonly counts: 'always' | 'answered' | 'success';
  /** Longest wait for control. */
  readonly timeoutMs: number;
  /** When control does not answer: let pass uncounted, or refuse with 503. */
  readonly whenAway: 'open' | 'closed';
  readonly headers: boolean;
}

// --- abuse -------------------------------------------------------------------------------------------------------

/**
 * What counts against a caller: responses 401, 403, 404 and 429, heads that the parser refused, paths that only
 * scanners ask for, and sign-ins that failed (reported by the identity service).
 */
export const ABUSE_EVENTS = [
  'unauthorized',
  'forbidden',
  'notFound',
  'tooMany',
  'malformed',
  'scan',
  'failedLogin',
] as const;
export type AbuseEvent = (typeof ABUSE_EVENTS)[number];

/** Who is banned: an address or block of them, an account, an API key. */
export type BanKind = 'address' | 'user' | 'key';

export interface AbuseRule {
  readonly name: string;
  readonly events: readonly AbuseEvent[];
  readonly by: BanKind;
  /** So many events are borne; the next one bans. */
  readonly limit: RuleSpec;
}

/** Published as `abuse:rules`. */
export interface AbuseRules {
  readonly rules: readonly AbuseRule[];
  /** Blocks of addresses that nothing counts against. */
  readonly exempt: readonly string[];
  /** Parts of paths, lower case, that only scanners ask for. */
  readonly scanPaths: readonly string[];
}

/** Published as `abuse:bans`, whole, each time it changes; what has ended is not in it. */
export interface PublishedBans {
  /** Addresses and blocks. */
  readonly addresses: readonly string[];
  readonly users: readonly string[];
  readonly keys: readonly string[];
}

/** Published as `abuse:trip`: a rule was broken. */
export interface AbuseTrip {
  readonly rule: string;
  readonly kind: BanKind;
  readonly subject: string;
}

export const ABUSE_RULES_TOPIC = 'abuse:rules';
export const BANS_TOPIC = 'abuse:bans';
export const TRIP_TOPIC = 'abuse:trip';

/** Plans that are there without being written, smallest first. */
export const SHIPPED_PLAN_NAMES: readonly string[] = ['standard', 'premium', 'enterprise'];
