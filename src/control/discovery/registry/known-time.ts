/**
 * How much of what other nodes of a cluster took is known here, beside shared-registry.ts, which tells and learns it.
 */
import type { Clock } from '../../../base/clock.ts';
import type { Facts } from '../../facts.ts';

/** A renewal is in the store by then: what `RENEWAL_GATHER_MS` and a busy store take. */
const WRITE_SLACK_MS = 2_000;

/** Monotonic: up to then it is known here who renewed its lease at which node; `Registry` drops by it. */
export function knownMs(facts: Facts, clock: Clock): number {
  if (!facts.isInCluster) return clock.monotonicMs();
  return facts.knownMs === null ? Number.NEGATIVE_INFINITY : facts.knownMs - WRITE_SLACK_MS;
}
