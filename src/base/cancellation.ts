/**
 * What several pieces of work end by, when nobody wants them any more. Does what an `AbortSignal` does inside the
 * gateway, where its events would cost as much as the work.
 */
export interface Cancellable {
  /** Once; it has been taken out by then. */
  onCancelled(): void;
}

export class Cancellation {
  isCancelled = false;
  readonly #under = new Set<Cancellable>();

  add(work: Cancellable): void {
    this.#under.add(work);
  }

  remove(work: Cancellable): void {
    this.#under.delete(work);
  }

  cancel(): void {
    if (this.isCancelled) return;
    this.isCancelled = true;
    for (const work of this.#under) {
      this.#under.delete(work);
      work.onCancelled();
    }
  }
}
