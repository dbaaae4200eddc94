/**
 * The second tier of the cache, in Redis: its settings, and the log of purges that all gateways write and read there.
 * Names and formats are the same for all gateways of one prefix, so a change of them needs another prefix.
 */

/** What workers need, from main; null where no route has `store: redis`. */
export interface CacheTierSettings {
  /** Secret id of the URL. */
  readonly url: string;
  readonly prefix: string;
  /** Longest wait for a read; then the service is asked. */
  readonly timeoutMs: number;
  /** Nothing is written while a server uses more than this. */
  readonly mostMemoryBytes: number;
  /** Tells the messages of this gateway from those of others. */
  readonly gateway: string;
}

/** Main to worker. */
export const CACHE_TIER_TOPIC = 'cache:tier';

/** A worker tells main how long questions took that were answered since it told last. */
export const CACHE_TIER_TIMES_TOPIC = 'cache:tier-times';

export interface CacheTierTimes {
  /** By `timingBucket` (base/timings.ts). */
  readonly counts: readonly number[];
  readonly seconds: number;
}

/** How a read or a write of the tier ended, for the metrics. */
const TIER_READS = ['hit', 'miss', 'late', 'failed', 'away'] as const;
export type TierReadResult = (typeof TIER_READS)[number];
const TIER_WRITES = ['stored', 'outdated', 'failed', 'busy', 'full', 'too_large'] as const;
export type TierWriteResult = (typeof TIER_WRITES)[number];

/**
 * How a fetch and those of other gateways agreed: it got the lock, or what another one wrote, or waited in vain, or
 * waiting was pointless, or Redis did not reply.
 */
const TIER_LOCKS = ['taken', 'waited', 'late', 'passed', 'failed'] as const;
export type TierLockResult = (typeof TIER_LOCKS)[number];

/** Purges that the log keeps; a gateway that was away for more of them forgets everything. */
export const PURGES_KEPT = 1_000;

/** Keys that belong to purges share a slot of a Cluster. */
export const purgeSequenceKey = (prefix: string): string => `${prefix}:{purges}:latest`;
export const purgeLogKey = (prefix: string): string => `${prefix}:{purges}:log`;
/** Channel: there is something new in the log. */
export const purgeChannel = (prefix: string): string => `${prefix}:{purges}:news`;
/** Channel: `GATEWAY KEY`, a URL was changed by an unsafe request. */
export const goneChannel = (prefix: string): string => `${prefix}:{purges}:gone`;

export type PurgeKind = 'all' | 'tag' | 'prefix' | 'key';

/** One purge in the log. */
export interface PurgeRecord {
  /** Microseconds of Redis's own clock, and always more than that of the former one. */
  readonly id: number;
  readonly kind: PurgeKind;
  readonly gateway: string;
  /** A tag, the beginning of URLs, or a first key; empty for `all`. */
  readonly text: string;
}

/** A member of the log without its id, which Redis puts before it. */
export function purgeText({ kind, gateway, text }: Omit<PurgeRecord, 'id'>): string {
  return `${kind} ${gateway} ${text}`;
}

/** Null: not one of ours. */
export function readPurge(member: string): PurgeRecord | null {
  const match = /^(\d{1,16}) (all|tag|prefix|key) (\S+) (.*)$/s.exec(member);
  if (match === null) return null;
  return { id: Number(match[1]), kind: match[2] as PurgeKind, gateway: match[3]!, text: match[4]! };
}
