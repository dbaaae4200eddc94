/**
 * The clock of a server that says only whole seconds, from its responses: each one bounds by how much its clock differs
 * from our monotonic one, and what all of them allow is soon some milliseconds wide. A bound that contradicts the
 * others (its clock was set, or another server answers) begins anew. No clock of a node matters.
 */
export class ServerClock {
  /** Server time minus our monotonic time lies between the two. */
  #low = Number.NEGATIVE_INFINITY;
  #high = Number.POSITIVE_INFINITY;

  /** A response to a request sent and received at these monotonic times, stamped in between with this whole second. */
  add(dateMs: number, sentMs: number, receivedMs: number): void {
    const low = dateMs - receivedMs;
    const high = dateMs + 1_000 - sentMs;
    const isAnew = low > this.#high || high < this.#low;
    this.#low = isAnew ? low : Math.max(this.#low, low);
    this.#high = isAnew ? high : Math.min(this.#high, high);
  }

  /** The earliest that it can be there now; minus infinity before the first response. */
  earliest(nowMs: number): number {
    return this.#low + nowMs;
  }

  /** The latest that it can be there now; infinity before the first response. */
  latest(nowMs: number): number {
    return this.#high + nowMs;
  }
}
