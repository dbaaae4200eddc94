/**
 * Trials of configurations run one after another, since each takes a thread with the schema and everything behind it,
 * and viewers may ask for them. Those who ask for the same while it waits for its turn share it; a trial that has begun
 * is not joined, as its source may have changed since. Reloads do not wait here. Owner: live-configuration.ts.
 */
export class Trials<Result> {
  #last: Promise<unknown> = Promise.resolve();
  readonly #waiting = new Map<string, Promise<Result>>();

  /** `what` is tried; null: nothing that another trial could share. */
  run(what: string | null, work: () => Promise<Result>): Promise<Result> {
    const shared = what === null ? undefined : this.#waiting.get(what);
    if (shared !== undefined) return shared;
    const result = this.#last.then(() => {
      if (what !== null) this.#waiting.delete(what);
      return work();
    });
    if (what !== null) this.#waiting.set(what, result);
    this.#last = result.catch(() => {});
    return result;
  }
}
