/**
 * Lets a bounded number of tasks run and a bounded number wait (docs/identity-rules.md, 7): argon2 takes 19 MiB and a
 * core each, so a flood of sign-ins must queue here and be refused with 503 beyond the queue, instead of starving
 * everything else. Who waits belongs to an address: places go round the addresses, and no address holds more than its
 * share of the queue, so a flood from one delays the others by one task each. A waiter leaves when its time is over or
 * its client has gone.
 */
import { unavailable } from '../problem.ts';

interface Waiter {
  start(): void;
  refuse(): void;
}

/** Whose task it is, and until when somebody wants its result. */
export interface TaskOwner {
  /** As limits by address have it. Absent: the service itself. */
  readonly key?: string;
  readonly signal?: AbortSignal | undefined;
}

export class Semaphore {
  readonly #parallel: number;
  readonly #maxQueued: number;
  readonly #mostPerKey: number;
  readonly #timeoutMs: number;
  /** Those who wait, by address. The first address is the next that gets a place; it then goes to the end. */
  readonly #waiting = new Map<string, Set<Waiter>>();
  #running = 0;
  #queued = 0;

  constructor(parallel: number, maxQueued: number, timeoutMs: number, mostPerKey = maxQueued) {
    this.#parallel = parallel;
    this.#maxQueued = maxQueued;
    this.#mostPerKey = mostPerKey;
    this.#timeoutMs = timeoutMs;
  }

  get running(): number {
    return this.#running;
  }

  get queued(): number {
    return this.#queued;
  }

  /** Throws a 503 problem when the queue or the address's share is full, the wait too long, or `signal` fires first. */
  async run<Result>(task: () => Promise<Result>, owner: TaskOwner = {}): Promise<Result> {
    if (this.#running >= this.#parallel) await this.#wait(owner);
    else this.#running++;
    try {
      return await task();
    } finally {
      // The place passes to the next in line without becoming free in between.
      const next = this.#next();
      if (next === undefined) this.#running--;
      else next.start();
    }
  }

  #wait({ key = '', signal }: TaskOwner): Promise<void> {
    const own = this.#waiting.get(key) ?? new Set<Waiter>();
    const isFull = this.#queued >= this.#maxQueued || own.size >= this.#mostPerKey;
    if (isFull || signal?.aborted === true) return Promise.reject(busy());
    return new Promise((start, refuse) => {
      const leave = (): void => {
        if (own.delete(waiter)) this.#queued--;
        if (own.size === 0) this.#waiting.delete(key);
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
      own.add(waiter);
      this.#waiting.set(key, own);
      this.#queued++;
    });
  }

  #next(): Waiter | undefined {
    const first = this.#waiting.entries().next().value;
    if (first === undefined) return undefined;
    const [key, own] = first;
    // Behind the others, for its next turn.
    this.#waiting.delete(key);
    this.#waiting.set(key, own);
    return own.values().next().value;
  }
}

const busy = (): Error => unavailable('too many sign-ins at once', 2);
