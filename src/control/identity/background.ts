/**
 * Work that goes on after its response was sent, so that the response tells nothing by its time: whether an account
 * exists, for instance. Few tasks run at once, a bounded number waits; beyond it the caller gets 503.
 */
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { unavailable } from './problem.ts';

const PARALLEL = 4;
const MOST_WAITING = 1_000;

export class Background {
  readonly #log: Logger;
  readonly #waiting: (() => Promise<void>)[] = [];
  readonly #running = new Set<Promise<void>>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Throws 503 when too much waits already. A task that fails is logged. */
  run(task: () => Promise<void>): void {
    if (this.#waiting.length >= MOST_WAITING) throw unavailable('too much is being done', 2);
    this.#waiting.push(task);
    this.#start();
  }

  /** Resolves when nothing runs and nothing waits. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #start(): void {
    while (this.#running.size < PARALLEL) {
      const task = this.#waiting.shift();
      if (task === undefined) return;
      const running = task()
        .catch((error: unknown) => this.#log.warn('work after a response failed', { problem: messageOf(error) }))
        .finally(() => {
          this.#running.delete(running);
          this.#start();
        });
      this.#running.add(running);
    }
  }
}
