/**
 * Whether limits are counted by Redis, over all workers: logged once when this machine begins to count alone, and once
 * when Redis decides again; shown as a dependency. Reported by workers (data/limiter/worker-limits.ts).
 */
import type { Logger } from '../../base/log.ts';
import type { SharedState } from '../../data/contract/limits.ts';

export class SharedCounting {
  readonly #log: Logger;
  readonly #threads: () => readonly number[] | null;
  readonly #alone = new Set<number>();
  #isTold = false;

  /** `threads`: of the live workers; null if unknown. */
  constructor(log: Logger, threads: () => readonly number[] | null) {
    this.#log = log;
    this.#threads = threads;
  }

  /** A worker counts alone. One that has died counts nothing. */
  get isAlone(): boolean {
    const living = this.#threads();
    for (const thread of this.#alone) if (living?.includes(thread) === false) this.#alone.delete(thread);
    return this.#alone.size > 0;
  }

  take({ thread, isShared, reason }: SharedState, fallback: string): void {
    if (isShared) this.#alone.delete(thread);
    else this.#alone.add(thread);
    const isAlone = this.isAlone;
    if (isAlone === this.#isTold) return;
    this.#isTold = isAlone;
    if (isAlone) {
      const why = reason ?? 'no answer in time, or an error';
      this.#log.warn('limits cannot be shared through Redis', { reason: why, fallback });
    } else this.#log.info('limits are shared through Redis again');
  }
}
