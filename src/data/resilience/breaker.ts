/**
 * A circuit breaker whose state is one word in shared memory, so that all workers see one breaker: of a service, or of
 * an instance. It keeps requests from what fails at the moment, and finds out with few requests when it is well again.
 *
 *             errors >= errorThresholdRatio, of volumeThreshold responses or more in the window
 *   CLOSED ------------------------------------------------------------------------------------> OPEN
 *     ^                                                                                         |    ^
 *     |                                             the first pick after resetTimeout           |    |
 *     |   halfOpenProbes good responses                                                         v    |
 *     +--------------------------------------------------------------------------------- HALF-OPEN --+
 *                                                            no verdict in good time: |   ^   a probe fails
 *                                                            a new round of probes    +---+
 *
 *   word: [ round 10 | good probes 10 | probes let through 10 | state 2 ]        every change is one compare-and-swap
 *
 * A probe carries the number of its round; responses of an older round, and of requests that began before the breaker
 * closed, count for nothing: the failures of the past must not open it again. The probes of a worker that died
 * are replaced by the next round. Called by service.ts (pick, finish); it never sees a request.
 */
import { MAX_HALF_OPEN_PROBES } from '../contract/instance-layout.ts';
import type { InstanceTable } from '../contract/instance-table.ts';
import { TICK_MS } from '../contract/instance-table.ts';
import { breakerWindow } from '../contract/service-state.ts';
import type { BreakerSettings } from '../contract/snapshot.ts';
import { RollingWindow } from './rolling-window.ts';

const CLOSED = 0;
const OPEN = 1;
const HALF_OPEN = 2;
const STATE_MASK = 3;
const ONE_PROBE = 1 << 2;
const ONE_GOOD = 1 << 12;
const COUNT_MASK = 1_023;
const ROUND_SHIFT = 22;

/** What `admit` gives when the request is no probe, and when it must not pass. */
export const NO_PROBE = -1;
export const REFUSED = -2;

/** How long a round of probes may go without a verdict if no timeout bounds a probe. */
export const DEFAULT_PATIENCE_MS = 60_000;

/** After this long in one state, the time of the change is of no more use and is forgotten, before it could wrap. */
const FORGET_TICKS = 3_600_000 / TICK_MS;

export interface BreakerListener {
  onBreaker(state: 'open' | 'half-open' | 'closed', reason: string): void;
}

export class Breaker {
  readonly #words: Int32Array;
  readonly #wordAt: number;
  readonly #sinceAt: number;
  readonly #settings: BreakerSettings;
  readonly #probes: number;
  readonly #resetTicks: number;
  readonly #patienceTicks: number;
  readonly #window: RollingWindow;
  readonly #listener: BreakerListener;

  /**
   * `at` is the offset of the breaker word, which the time of its last change follows. `patienceMs`: longest time that
   * a probe can take, after which its round has had no verdict.
   */
  constructor(
    table: InstanceTable,
    at: number,
    windowAt: number,
    settings: BreakerSettings,
    patienceMs: number,
    listener: BreakerListener,
  ) {
    this.#words = table.words;
    this.#wordAt = at;
    this.#sinceAt = at + 1;
    this.#settings = settings;
    this.#resetTicks = Math.max(1, Math.ceil(settings.resetTimeoutMs / TICK_MS));
    this.#patienceTicks = Math.max(this.#resetTicks, Math.ceil(patienceMs / TICK_MS));
    const { buckets, bucketTicks } = breakerWindow(settings);
    this.#window = new RollingWindow(table.words, windowAt, buckets, bucketTicks);
    this.#probes = Math.min(settings.halfOpenProbes, MAX_HALF_OPEN_PROBES);
    this.#listener = listener;
  }

  get isClosed(): boolean {
    return (this.#words[this.#wordAt]! & STATE_MASK) === CLOSED;
  }

  get isHalfOpen(): boolean {
    return (this.#words[this.#wordAt]! & STATE_MASK) === HALF_OPEN;
  }

  /**
   * Ticks until a probe may pass, as far as time decides it: 0 when closed, due, or when a probe of this round is left.
   */
  waitTicks(tick: number): number {
    const word = Atomics.load(this.#words, this.#wordAt);
    const state = word & STATE_MASK;
    if (state === CLOSED || (state === HALF_OPEN && this.#hasProbe(word))) return 0;
    const age = (tick - Atomics.load(this.#words, this.#sinceAt)) | 0;
    return Math.max(0, (state === OPEN ? this.#resetTicks : this.#patienceTicks) - age);
  }

  #hasProbe(word: number): boolean {
    return ((word >>> 2) & COUNT_MASK) < this.#probes;
  }

  /** May a request pass? `NO_PROBE`: yes. `REFUSED`: no. Otherwise yes, as a probe of the round that is returned. */
  admit(tick: number): number {
    if (this.isClosed) return NO_PROBE;
    for (;;) {
      const word = Atomics.load(this.#words, this.#wordAt);
      const state = word & STATE_MASK;
      if (state === CLOSED) return NO_PROBE;
      if (state === HALF_OPEN && this.#hasProbe(word)) {
        if (this.#swap(word, word + ONE_PROBE)) return word >>> ROUND_SHIFT;
        continue;
      }
      if (this.waitTicks(tick) > 0) return REFUSED;
      const next = nextRound(word, HALF_OPEN) | ONE_PROBE;
      if (!this.#change(word, next, tick)) continue;
      if (state === OPEN) this.#listener.onBreaker('half-open', 'reset timeout passed');
      return next >>> ROUND_SHIFT;
    }
  }

  /** The probe was not sent, or its caller left: another may take its place. */
  giveBack(round: number): void {
    for (;;) {
      const word = Atomics.load(this.#words, this.#wordAt);
      if ((word & STATE_MASK) !== HALF_OPEN || word >>> ROUND_SHIFT !== round) return;
      if (this.#swap(word, word - ONE_PROBE)) return;
    }
  }

  /** Counts a response. `startTick`: when its request began. `round`: what `admit` gave. */
  record(tick: number, startTick: number, failed: boolean, round: number): void {
    if (round >= 0) this.#recordProbe(tick, failed, round);
    else if (this.isClosed) this.#recordClosed(tick, startTick, failed);
  }

  #recordClosed(tick: number, startTick: number, failed: boolean): void {
    const since = this.#words[this.#sinceAt]!;
    if (since !== 0) {
      if (((startTick - since) | 0) < 0) return;
      if (((tick - since) | 0) > FORGET_TICKS) Atomics.store(this.#words, this.#sinceAt, 0);
    }
    const word = Atomics.load(this.#words, this.#wordAt);
    this.#window.addTotal(tick);
    if (!failed) return;
    this.#window.addMarked(tick);
    this.#window.sum(tick);
    const { total, marked } = this.#window;
    const { volumeThreshold, errorThresholdRatio } = this.#settings;
    if (total < volumeThreshold || marked < errorThresholdRatio * total || (word & STATE_MASK) !== CLOSED) return;
    if (!this.#change(word, nextRound(word, OPEN), tick)) return;
    this.#listener.onBreaker('open', `${marked} of ${total} responses were errors`);
  }

  #recordProbe(tick: number, failed: boolean, round: number): void {
    for (;;) {
      const word = Atomics.load(this.#words, this.#wordAt);
      if ((word & STATE_MASK) !== HALF_OPEN || word >>> ROUND_SHIFT !== round) return;
      if (failed) {
        if (!this.#change(word, nextRound(word, OPEN), tick)) continue;
        this.#listener.onBreaker('open', 'a probe failed');
        return;
      }
      if (((word >>> 12) & COUNT_MASK) + 1 < this.#probes) {
        if (this.#swap(word, word + ONE_GOOD)) return;
        continue;
      }
      this.#window.clear();
      if (!this.#change(word, nextRound(word, CLOSED), tick)) continue;
      this.#listener.onBreaker('closed', `${this.#probes} probes were answered well`);
      return;
    }
  }

  #swap(from: number, to: number): boolean {
    return Atomics.compareExchange(this.#words, this.#wordAt, from, to) === from;
  }

  /**
   * The time is written first, so that no thread sees a new state with an old time; a loser writes about the same time.
   */
  #change(from: number, to: number, tick: number): boolean {
    Atomics.store(this.#words, this.#sinceAt, tick);
    return this.#swap(from, to);
  }
}

function nextRound(word: number, state: number): number {
  return (((word >>> ROUND_SHIFT) + 1) << ROUND_SHIFT) | state | 0;
}
