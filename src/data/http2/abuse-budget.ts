/**
 * What a connection may cost us beyond its requests: one budget that fills up again with time. Each thing that is cheap
 * to send and expensive to handle takes from it, as much as it costs; who has used it up is sent ENHANCE_YOUR_CALM.
 * Normal clients reset streams and send pings too, so a budget bears bursts and never a flood. Owner: the connection.
 */
import type { Clock } from '../../base/clock.ts';

/** What is counted, by its name in `gatehouse_http2_abuse_NAME_total`. */
const ABUSE_KINDS = [
  /** A request that is cancelled before its response is complete (rapid reset, CVE-2023-44487). */
  'rapid_reset',
  /** A stream that we have to reset because of what was sent on it (MadeYouReset, CVE-2025-8671). */
  'provoked_reset',
  /** Field blocks in many frames (CONTINUATION flood, CVE-2024-27316). */
  'continuation',
  /** Frames without content (CVE-2019-9518). */
  'empty_frame',
  /** CVE-2019-9515. */
  'settings',
  /** CVE-2019-9512. */
  'ping',
  /** PRIORITY, PRIORITY_UPDATE and unknown frames (CVE-2019-9513). */
  'priority',
  /** Windows of a few bytes, so that a body goes out in crumbs (CVE-2019-9511). */
  'tiny_window',
  /** Field blocks that unfold to more than a head may be (CVE-2016-6581). */
  'field_block',
] as const;
export type AbuseKind = (typeof ABUSE_KINDS)[number];

/** What one of each takes. */
const COST: Readonly<Record<AbuseKind, number>> = {
  rapid_reset: 10,
  provoked_reset: 10,
  continuation: 2,
  empty_frame: 2,
  settings: 5,
  ping: 2,
  priority: 1,
  tiny_window: 2,
  field_block: 60,
};

const BUDGET = 2_000;
const REFILL_PER_SECOND = 200;

export class AbuseBudget {
  readonly #clock: Clock;
  #left = BUDGET;
  #atMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#atMs = clock.monotonicMs();
  }

  /** False: it is used up. */
  take(kind: AbuseKind): boolean {
    this.#left -= COST[kind];
    if (this.#left >= 0) return true;
    const nowMs = this.#clock.monotonicMs();
    this.#left = Math.min(BUDGET, this.#left + ((nowMs - this.#atMs) / 1000) * REFILL_PER_SECOND);
    this.#atMs = nowMs;
    return this.#left >= 0;
  }
}
