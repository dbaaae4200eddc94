/** Waits for what a worker says of a snapshot: it has taken it, or refused it, or ended meanwhile (workers.ts). */
import type { Worker } from 'node:worker_threads';
import { messageOf } from '../base/errors.ts';
import type { FromWorker } from '../data/contract/messages.ts';

export const APPLY_TIMEOUT_MS = 30_000;

export interface Awaited {
  readonly worker: Worker;
  /** For messages, such as `worker 0`. */
  readonly name: string;
  readonly version: number;
  /** Sends it. */
  send(): void | Promise<void>;
  /** Decides what it means that the worker has ended: what is wrong, or undefined for nothing. */
  ended(how: string): string | undefined | Promise<string | undefined>;
}

/** Resolves with what is wrong, or with undefined; never rejects. */
export function confirms({ worker, name, version, send, ended }: Awaited): Promise<string | undefined> {
  return new Promise((resolve) => {
    const done = (problem: string | undefined | Promise<string | undefined>): void => {
      clearTimeout(late);
      worker.off('message', onMessage);
      worker.off('exit', onExit);
      resolve(problem);
    };
    const onMessage = (said: FromWorker): void => {
      if (said.kind === 'applied' && said.version >= version) done(undefined);
      if (said.kind === 'refused' && said.version === version) done(said.problem);
    };
    const onExit = (code: number): void =>
      done(Promise.resolve(ended(`${name} ended with code ${code} while it took the configuration`)));
    const late = setTimeout(() => done(`${name} did not take the configuration in time`), APPLY_TIMEOUT_MS);
    worker.on('message', onMessage);
    worker.on('exit', onExit);
    Promise.try(send).catch((error: unknown) => done(messageOf(error)));
  });
}
