/** One worker thread as the main thread knows it, the spare too (workers.ts). */
import type { Worker } from 'node:worker_threads';
import type { Received } from '../data/contract/snapshot-parts.ts';

export interface Member {
  /** Which of the workers it is; that of a spare says nothing yet. */
  index: number;
  isSpare: boolean;
  /** Its own place in shared memory. */
  readonly bank: number;
  readonly worker: Worker;
  /** What it was sent last: the next snapshot brings what is not in it. */
  sent: Received;
  startedMs: number;
  failures: number;
  version: number;
  listening: boolean;
  hasEnded: boolean;
  replaced: boolean;
}
