/** Waits for what a worker says of a snapshot: it has taken it, or refused it, or died meanwhile (workers.ts). */
import type { Worker } from 'node:worker_threads';
import { messageOf } from '../base/errors.ts';
import type { FromWorker } from '../data/contract/messages.ts';

const APPLY_TIMEOUT_MS = 30_000;

/** `send` sends it. Resolves with what is wrong, or with undefined; never rejects. */
export function confirms(
  worker: Worker,
  index: number,
  version: number,
  send: () => void | Promise<void>,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const done = (problem: string | undefined): void => {
      clearTimeout(late);
      worker.off('message', onMessage);
      worker.off('exit', onExit);
      resolve(problem);
    };
    const onMessage = (said: FromWorker): void => {
      if (said.kind === 'applied' && said.version >= version) done(undefined);
      if (said.kind === 'refused' && said.version === version) done(said.problem);
    };
    // A worker that dies meanwhile is replaced by one that starts with the new snapshot.
    const onExit = (): void => done(undefined);
    const late = setTimeout(() => done(`worker ${index} did not take the configuration in time`), APPLY_TIMEOUT_MS);
    worker.on('message', onMessage);
    worker.on('exit', onExit);
    Promise.try(send).catch((error: unknown) => done(messageOf(error)));
  });
}
