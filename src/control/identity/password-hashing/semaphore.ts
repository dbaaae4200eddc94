/**
 * Lets a bounded number of tasks run and a bounded number wait (docs/identity-rules.md, 7): argon2 takes 19 MiB and a
 * core each, so a flood of logins must queue here and be refused with 503 beyond the queue, instead of starving
 * everything else. First come, first served; a waiter leaves when its time is over or its caller has gone.
 */
import { unavailable } from '../problem.ts';

interface Waiter {
  start(): void;
  refuse(): void;
}

export class Semaphore {
  readonly #parallel: number;
  readonly #maxQueued: number;
  readonly #timeoutMs: number;
  readonly #waiting = new Set<Waiter>();
  #running = 0;

  constructor(parallel: number, maxQueued: number, timeoutMs: number) {
    this.#parallel = parallel;
    this.#maxQueued = maxQueued;
    this.#timeoutMs = timeoutMs;
  }

  get running(): number {
    return this.#running;
  }

  get queued(): number {
    return this.#waiting.size;
  }

  /** Throws a 503 problem when the queue is full, the wait too long, or `signal` fires first. */
  async run<Result>(task: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    if (this.#running >= this.#parallel) await this.#wait(signal);
    else this.#running++;
    try {
      return await task();
    } finally {
      const next = this.#waiting.values().next().value;
      // The place passes to the next in line without becoming free in between.
      if (next === undefined) this.#running--;
      else next.start();
    }
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    if (this.#waiting.size >= this.#maxQueued || signal?.aborted === true) return Promise.reject(busy());
    return new Promise((start, refuse) => {
      const leave = (): void => {
        this.#waiting.delete(waiter);
        clearTimeout(timer);
        signal?.removeEventListener('abort', waiter.refuse);
      };
      const waiter: Waiter = {
        start: () => {
          leave();
          start();
        },
        refuse: () => {
          leave();
          refuse(busy());
        },
      };
      const timer = setTimeout(waiter.refuse, this.#timeoutMs);
      signal?.addEventListener('abort', waiter.refuse, { once: true });
      this.#waiting.add(waiter);
    });
  }
}

const busy = (): Error => unavailable('too many sign-ins at once', 2);
