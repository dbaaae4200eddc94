/** What the main thread and its workers tell each other. Everything here survives a structured clone. */
import type { MessagePort } from 'node:worker_threads';
import type { SharedState } from './shared.ts';
import type { ServiceSettings } from './snapshot.ts';
import type { SnapshotHead } from './snapshot-parts.ts';

/** `workerData` of a new worker. */
export interface WorkerStart {
  /** Its bank in shared memory: no two threads have the same at a time. */
  readonly index: number;
  /** It takes everything but listens only after a message says so. */
  readonly isSpare: boolean;
  /** It gives back what its start took (base/release-memory.ts). False where a process has started a gateway before. */
  readonly releasesMemory: boolean;
  readonly shared: SharedState;
  readonly snapshot: SnapshotHead;
  /** The parts of the snapshot wait here. */
  readonly parts: MessagePort;
  /** What control had published before the worker started, by topic. */
  readonly published: Readonly<Record<string, unknown>>;
}

export type ToWorker =
  /** Its parts wait on the port. */
  | { readonly kind: 'snapshot'; readonly snapshot: SnapshotHead; readonly parts: MessagePort }
  /** The same configuration, with these services in place of those of their names. */
  | { readonly kind: 'instances'; readonly version: number; readonly services: readonly ServiceSettings[] }
  /** A spare takes the place of a worker. */
  | { readonly kind: 'listen' }
  /** The process is about to end: each response says that it is the last of its connection. */
  | { readonly kind: 'leave' }
  /**
   * Stop accepting, finish what is in flight, close the connections, exit. For `lingerMs` idle connections stay open,
   * for one more request each.
   */
  | { readonly kind: 'drain'; readonly timeoutMs: number; readonly lingerMs: number }
  | { readonly kind: 'publish'; readonly topic: string; readonly data: unknown }
  | { readonly kind: 'answer'; readonly id: number; readonly data: unknown; readonly problem: string | null }
  /** A block of the access log is written, but for so many lines. */
  | { readonly kind: 'logWritten'; readonly bytes: number; readonly lost: number }
  /** A port on which calls to services are asked for (contract/service-calls.ts). */
  | { readonly kind: 'calls'; readonly port: MessagePort };

export type FromWorker =
  | { readonly kind: 'listening'; readonly listeners: readonly { readonly id: string; readonly port: number }[] }
  | { readonly kind: 'applied'; readonly version: number; readonly isListening: boolean }
  | { readonly kind: 'refused'; readonly version: number; readonly problem: string }
  | { readonly kind: 'drained'; readonly cutOff: number }
  | { readonly kind: 'tell'; readonly topic: string; readonly data: unknown }
  | { readonly kind: 'ask'; readonly id: number; readonly topic: string; readonly data: unknown }
  /** Whole lines of the access log, for standard output. */
  | { readonly kind: 'log'; readonly lines: Uint8Array }
  /** One finished line of the process log. */
  | { readonly kind: 'logLine'; readonly line: string }
  /** A promise was rejected that nothing handles; it is in the log. */
  | { readonly kind: 'rejection' }
  /** Something was thrown where nothing may throw: replace this worker, its state is not to be trusted. */
  | { readonly kind: 'unwell'; readonly problem: string };
