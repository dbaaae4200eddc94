/**
 * Keeps questions (decisions of limits, reads of the cache) away from a Redis that does not answer, and brings them
 * back gently. After three failures in a row it is open for half a second, doubling up to ten, each time by chance
 * between half and all of it; then one probe by one worker, and when that answers, a growing share of the questions
 * over a second: a Redis that has just come up is not run over.
 *
 *   closed --3 failures--> open --time--> probing --answer--> ramping --1 s--> closed
 *                            ^------------failure---|            |
 *                            ^-----------------------------------| failure
 */
export type BreakerState = 'closed' | 'open' | 'probing' | 'ramping';

const FAILURES = 3;
const FIRST_OPEN_MS = 500;
const LONGEST_OPEN_MS = 10_000;
const RAMP_MS = 1_000;
const LEAST_SHARE = 0.1;

export class RedisBreaker {
  state: BreakerState = 'closed';
  #failures = 0;
  #openMs = FIRST_OPEN_MS;
  #untilMs = 0;
  #rampFromMs = 0;
  readonly #random: () => number;
  readonly #ramps: boolean;

  /** `ramps` false sends all questions at once after a good probe. */
  constructor(random: () => number, ramps: boolean) {
    this.#random = random;
    this.#ramps = ramps;
  }

  /** May this question go to Redis? `probe` asks the caller to send one harmless command and report how it went. */
  ask(nowMs: number): 'yes' | 'no' | 'probe' {
    switch (this.state) {
      case 'closed':
        return 'yes';
      case 'probing':
        return 'no';
      case 'open':
        if (nowMs < this.#untilMs) return 'no';
        this.state = 'probing';
        return 'probe';
      case 'ramping': {
        const share = (nowMs - this.#rampFromMs) / RAMP_MS;
        if (share >= 1) {
          this.state = 'closed';
          this.#openMs = FIRST_OPEN_MS;
          return 'yes';
        }
        return this.#random() < Math.max(LEAST_SHARE, share) ? 'yes' : 'no';
      }
    }
  }

  succeeded(nowMs: number): void {
    this.#failures = 0;
    if (this.state !== 'probing') return;
    this.state = this.#ramps ? 'ramping' : 'closed';
    this.#rampFromMs = nowMs;
    if (!this.#ramps) this.#openMs = FIRST_OPEN_MS;
  }

  failed(nowMs: number): void {
    this.#failures++;
    if (this.state === 'open' || (this.state === 'closed' && this.#failures < FAILURES)) return;
    this.state = 'open';
    this.#untilMs = nowMs + this.#openMs * (0.5 + this.#random() / 2);
    this.#openMs = Math.min(LONGEST_OPEN_MS, this.#openMs * 2);
  }
}
