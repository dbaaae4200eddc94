/**
 * Questions under way, one per credential: requests that bring the same credential at the same time share one answer,
 * and there is a bound on how many different ones may be waiting. Owner: one worker, one method.
 */

export class SingleFlight<Answer> {
  readonly #most: number;
  readonly #underWay = new Map<string, Promise<Answer>>();

  constructor(most: number) {
    this.#most = most;
  }

  /** The answer to `key`, asked now or already being asked; null when too many others are. */
  join(key: string, ask: () => Promise<Answer>): Promise<Answer> | null {
    const flight = this.#underWay.get(key);
    if (flight !== undefined) return flight;
    if (this.#underWay.size >= this.#most) return null;
    const answer = ask().finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, answer);
    return answer;
  }

  get size(): number {
    return this.#underWay.size;
  }
}
