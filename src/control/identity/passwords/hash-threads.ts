/**
 * Threads of this process that compute argon2id, apart from libuv's four: those also verify signatures, look up names
 * and read files, and everything behind them would wait for passwords. How many run at once is the caller's affair
 * (semaphore.ts); here a thread is started when none is free and ends after half a minute without work.
 */
import { SHARE_ENV, Worker } from 'node:worker_threads';

/** What `argon2Sync` of node:crypto takes. */
export interface HashOrder {
  readonly message: Uint8Array;
  readonly nonce: Uint8Array;
  /** KiB. */
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
  readonly tagLength: number;
}

/** `lowered`: the thread runs with the lowest priority of the system. */
export type HashAnswer = { readonly hash: Uint8Array; readonly lowered: boolean } | { readonly problem: string };

const ENTRY = new URL(`./hash-thread${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);
const IDLE_MS = 30_000;

interface Thread {
  readonly worker: Worker;
  /** Ends the order that it works on; undefined while it is free. */
  settle: ((answer: HashAnswer) => void) | undefined;
  idleTimer: NodeJS.Timeout | undefined;
}

const free: Thread[] = [];

/** Rejects when the thread cannot be started or ends while it computes. */
export async function hashInThread(order: HashOrder): Promise<{ hash: Buffer; lowered: boolean }> {
  // The one used last: the others come to their end when fewer are needed.
  const thread = free.pop() ?? startThread();
  clearTimeout(thread.idleTimer);
  thread.worker.ref();
  const answer = await new Promise<HashAnswer>((settle) => {
    thread.settle = settle;
    thread.worker.postMessage(order);
  });
  if ('problem' in answer) throw new Error(`a password hash failed: ${answer.problem}`);
  return { hash: Buffer.from(answer.hash), lowered: answer.lowered };
}

function startThread(): Thread {
  const worker = new Worker(ENTRY, {
    name: 'passwords',
    env: SHARE_ENV,
    // Its work lies outside of the heap.
    resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 2 },
  });
  const thread: Thread = { worker, settle: undefined, idleTimer: undefined };
  let problem = 'its thread ended';
  worker.on('message', (answer: HashAnswer) => {
    const { settle } = thread;
    thread.settle = undefined;
    rest(thread);
    settle?.(answer);
  });
  worker.on('error', (error) => {
    problem = error instanceof Error ? error.message : String(error);
  });
  worker.on('exit', () => {
    clearTimeout(thread.idleTimer);
    const at = free.indexOf(thread);
    if (at >= 0) free.splice(at, 1);
    thread.settle?.({ problem });
  });
  return thread;
}

/** Free again, and no reason for the process to stay. */
function rest(thread: Thread): void {
  thread.worker.unref();
  free.push(thread);
  thread.idleTimer = setTimeout(() => void thread.worker.terminate(), IDLE_MS);
  thread.idleTimer.unref();
}
