/**
 * Finds out how many requests at once a service takes before they only queue up in it: a gradient on latency. Windows
 * of responses give a median; when it rises above what the service needs unloaded (the baseline), the limit shrinks
 * with the ratio of the two; while it does not, and the limit is in use, it grows by its square root.
 *
 *   limit' = limit * min(1, tolerance * baseline / median) + sqrt(limit)
 *
 * A median of a loaded service must not become the baseline, else the limit creeps up for ever. So the baseline follows
 * downwards at once, upwards only when hardly anything is in flight; and a limit that is in use for long is lowered to
 * a quarter for a moment, to measure anew what the service needs (`MEASURE_EVERY_MS`).
 *
 * Owner: one service in one worker. Deliberately not shared: a worker measures the latency of its own connections,
 * limits of all workers add up to what the service takes, and no request waits for a word that other threads write.
 */
const WINDOW_MS = 250;
const MIN_SAMPLES = 20;
const KEPT_SAMPLES = 64;
const INITIAL_LIMIT = 20;
const MIN_LIMIT = 4;
const MAX_LIMIT = 2_000;
const TOLERANCE = 1.5;
const SMOOTHING = 0.5;
const MEASURE_EVERY_MS = 30_000;
/** The first time, as the first window may have been measured under load. */
const MEASURE_FIRST_MS = 2_000;
/** A measurement that gets too few responses is given up after this long. */
const MEASURE_AT_MOST_MS = 2_000;
/** With a tenth of a window's responses lost to timeouts, the limit is cut without asking the median. */
const TOLERATED_TIMEOUTS = 0.1;

export class AdaptiveLimit {
  #limit = INITIAL_LIMIT;
  #baselineMs = 0;
  readonly #samples = new Float64Array(KEPT_SAMPLES);
  #count = 0;
  #timeouts = 0;
  #peakInFlight = 0;
  #windowStartMs = -1;
  /** When the limit was last known not to bind, or measured. */
  #lastMeasuredMs = -1;
  /** The limit to go back to after a measurement; 0 outside of one. */
  #restoreLimit = 0;
  #measureSinceMs = 0;
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Most requests that this worker may have in flight to the service. */
  get limit(): number {
    return this.#limit;
  }

  get baselineMs(): number {
    return this.#baselineMs;
  }

  /** A response after `ms`, with so many in flight before it, itself included. `timedOut`: there was none in time. */
  record(ms: number, timedOut: boolean, inFlight: number, nowMs: number): void {
    if (this.#windowStartMs < 0) {
      this.#windowStartMs = nowMs;
      this.#lastMeasuredMs = nowMs - MEASURE_EVERY_MS + MEASURE_FIRST_MS;
    }
    if (inFlight > this.#peakInFlight) this.#peakInFlight = inFlight;
    if (this.#restoreLimit > 0 && nowMs - ms < this.#measureSinceMs) {
      // Sent before the limit was lowered: says nothing about the unloaded service.
      if (nowMs - this.#measureSinceMs > MEASURE_AT_MOST_MS) this.#endMeasuring(nowMs);
      return;
    }
    if (timedOut) this.#timeouts++;
    else this.#keep(ms);
    if (this.#count + this.#timeouts >= MIN_SAMPLES && nowMs - this.#windowStartMs >= WINDOW_MS) this.#close(nowMs);
  }

  /** Beyond the first 64 responses of a window each replaces an earlier one with falling probability (a reservoir). */
  #keep(ms: number): void {
    const at = this.#count < KEPT_SAMPLES ? this.#count : Math.floor(this.#random() * (this.#count + 1));
    if (at < KEPT_SAMPLES) this.#samples[at] = ms;
    this.#count++;
  }

  #close(nowMs: number): void {
    const seen = this.#count + this.#timeouts;
    const kept = this.#samples.subarray(0, Math.min(this.#count, KEPT_SAMPLES)).sort();
    const medianMs = kept[kept.length >> 1] ?? 0;
    if (this.#timeouts > seen * TOLERATED_TIMEOUTS) this.#set(this.#limit * 0.7);
    else if (this.#restoreLimit > 0) this.#measured(medianMs, nowMs);
    else this.#adjust(medianMs, nowMs);
    this.#startWindow(nowMs);
  }

  #adjust(medianMs: number, nowMs: number): void {
    const isIdle = this.#peakInFlight <= this.#limit / 4;
    if (this.#baselineMs === 0 || medianMs < this.#baselineMs) this.#baselineMs = medianMs;
    else if (isIdle) this.#baselineMs += (medianMs - this.#baselineMs) * 0.2;
    if (isIdle) this.#lastMeasuredMs = nowMs;
    const gradient = Math.min(1, (TOLERANCE * this.#baselineMs) / medianMs);
    const isUsed = this.#peakInFlight >= this.#limit * 0.8;
    if (gradient < 1 || isUsed) {
      const target = this.#limit * Math.max(0.5, gradient) + Math.sqrt(this.#limit);
      this.#set(this.#limit + (target - this.#limit) * SMOOTHING);
    }
    if (nowMs - this.#lastMeasuredMs >= MEASURE_EVERY_MS) this.#startMeasuring(nowMs);
  }

  #startMeasuring(nowMs: number): void {
    this.#restoreLimit = this.#limit;
    this.#measureSinceMs = nowMs;
    this.#set(this.#limit / 4);
  }

  #measured(medianMs: number, nowMs: number): void {
    this.#baselineMs = medianMs;
    this.#endMeasuring(nowMs);
  }

  #endMeasuring(nowMs: number): void {
    this.#set(this.#restoreLimit);
    this.#restoreLimit = 0;
    this.#lastMeasuredMs = nowMs;
    this.#startWindow(nowMs);
  }

  #startWindow(nowMs: number): void {
    this.#count = 0;
    this.#timeouts = 0;
    this.#peakInFlight = 0;
    this.#windowStartMs = nowMs;
  }

  #set(limit: number): void {
    this.#limit = Math.min(MAX_LIMIT, Math.max(MIN_LIMIT, limit));
  }
}
