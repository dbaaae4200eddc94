/**
 * Faults of the program itself that nobody waits for. They must not end the process, whose other threads serve on: a
 * promise that was rejected unheard is written to the log and counted, in the main thread as in the workers. After an
 * exception that nothing caught something may be half done, so who runs the process lets it finish what it has and end.
 */
import { messageOf, stackOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';

export class OwnFaults {
  readonly #log: Logger;
  /** Rejected promises that nothing handled, since the start. */
  readonly rejections = { main: 0, worker: 0 };

  constructor(log: Logger) {
    this.#log = log;
  }

  /** A promise of this thread was rejected, and nothing handles that. */
  rejected(reason: unknown): void {
    this.rejections.main++;
    this.#log.error('unhandled promise rejection', { error: messageOf(reason), stack: stackOf(reason) });
  }

  /** Something was thrown in this thread where nothing catches it. */
  thrown(error: unknown): void {
    this.#log.error('uncaught exception; the process finishes what it has and ends', {
      error: messageOf(error),
      stack: stackOf(error),
    });
  }
}
