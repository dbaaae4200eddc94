/**
 * Trials of configurations run one after another, since each takes a thread with the schema and everything behind it,
 * and viewers may ask for them. Those who ask for the same while it waits for its turn share it; a trial that has begun
 * is not joined, as its source may have changed since. Reloads do not wait here. Owner: live-configuration.ts.
 */

/** Those that run and wait. */
export const MOST_TRIALS = 20;

export class TooManyTrials extends Error {
  constructor() {
    super(`${MOST_TRIALS} configurations wait to be checked already`);
  }
}

export class Trials<Result> {
  #count = 0;
  #last: Promise<unknown> = Promise.resolve();
  readonly #waiting = new Map<string, Promise<Result>>();

  /**
   * `what` is tried; null: nothing that another trial could share. Rejects with `TooManyTrials` when `MOST_TRIALS` have
   * not ended yet.
   */
  run(what: string | null, work: () => Promise<Result>): Promise<Result> {
    const shared = what === null ? undefined : this.#waiting.get(what);
    if (shared !== undefined) return shared;
    if (this.#count >= MOST_TRIALS) return Promise.reject(new TooManyTrials());
    this.#count++;
    const result = this.#last.then(() => {
      if (what !== null) this.#waiting.delete(what);
      return work();
    });
    if (what !== null) this.#waiting.set(what, result);
    const ended = (): void => {
      this.#count--;
    };
    this.#last = result.then(ended, ended);
    return result;
  }
}
