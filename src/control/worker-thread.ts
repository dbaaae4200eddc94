/**
 * Makes the threads of workers. The first one of a process may begin before there is a configuration: it loads its code
 * while another thread reads the file, and waits for the rest (`beginWorkerThread`). Control's workers.ts takes it.
 */
import type { MessagePort } from 'node:worker_threads';
import { Worker } from 'node:worker_threads';
import type { WorkerStart } from '../data/contract/messages.ts';

interface ThreadOptions {
  readonly entry: URL;
  readonly name: string;
  /** Most bytes of its heap; null: as Node.js has it. */
  readonly heapBytes: number | null;
}

const FIRST = 'gatehouse-worker-0';

let begun: { readonly entry: URL; readonly worker: Worker } | null = null;

export function beginWorkerThread(entry: URL): Worker {
  const worker = create({ entry, name: FIRST, heapBytes: null }, null);
  begun = { entry, worker };
  // One that cannot even begin says why when it is made again.
  worker
    .on('error', () => {})
    .once('exit', () => {
      if (begun?.worker === worker) begun = null;
    });
  worker.unref();
  return worker;
}

/** Ends what nothing has taken: there will be no gateway. */
export function dismissWorkerThread(): void {
  begun?.worker.postMessage(null);
  begun = null;
}

export function workerThread(options: ThreadOptions, start: WorkerStart): Worker {
  const worker = options.name === FIRST ? takeBegun(options) : null;
  if (worker === null) return create(options, start);
  worker.removeAllListeners();
  worker.ref();
  worker.postMessage(start, [start.parts]);
  return worker;
}

function takeBegun({ entry, heapBytes }: ThreadOptions): Worker | null {
  if (begun === null || begun.entry.href !== entry.href) return null;
  // The size of a heap is given when its thread begins.
  if (heapBytes !== null) dismissWorkerThread();
  const worker = begun?.worker ?? null;
  begun = null;
  return worker;
}

function create({ entry, name, heapBytes }: ThreadOptions, start: WorkerStart | null): Worker {
  const transferList: MessagePort[] = start === null ? [] : [start.parts];
  return new Worker(entry, {
    ...(heapBytes === null ? {} : { resourceLimits: { maxOldGenerationSizeMb: heapBytes / 1024 ** 2 } }),
    workerData: start,
    transferList,
    name,
    stdin: false,
    stdout: true,
    stderr: true,
  });
}
