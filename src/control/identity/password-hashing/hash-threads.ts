/**
 * Threads of this process that compute argon2id, apart from libuv's four: those also verify signatures, look up names
 * and read files, and everything behind them would wait for passwords. The threads are quiet: whatever else the gateway
 * has to do goes first. On a machine that never has time left they would never end, so an order that waits too long is
 * computed again by a usual thread. How many orders there are at once is the caller's affair (semaphore.ts).
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

/** `idle`: only when nobody else wants the processor; `lowest`: with the least weight. */
export type ThreadPriority = 'idle' | 'lowest' | 'usual';
export type HashAnswer =
  | { readonly hash: Uint8Array; readonly priority: ThreadPriority }
  | { readonly problem: string };

export interface ThreadHash {
  readonly hash: Buffer;
  readonly priority: ThreadPriority;
}

const ENTRY = new URL(`./hash-thread${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);
const IDLE_MS = 30_000;
/** An order takes about 1 us for each KiB and pass; twenty times that, and a second, is too long. */
const PATIENCE_MS = 1_000;
const PATIENCE_MS_PER_KIB = 0.02;
/** Overtaken threads that go on computing for nobody. With so many, orders go to usual threads at once. */
const MOST_OVERTAKEN = 2;

interface Thread {
  readonly worker: Worker;
  /** Ends the order that it works on; undefined while it is free. */
  settle: ((answer: HashAnswer) => void) | undefined;
  idleTimer: NodeJS.Timeout | undefined;
}

type Kind = 'quiet' | 'usual';
const free: Readonly<Record<Kind, Thread[]>> = { quiet: [], usual: [] };
let overtaken = 0;

/** Rejects when a thread cannot be started or ends while it computes. */
export async function hashInThread(order: HashOrder, patienceMs = patienceFor(order)): Promise<ThreadHash> {
  if (overtaken >= MOST_OVERTAKEN) return read(await run('usual', order));
  let isOver = false;
  const quiet = run('quiet', order).then((answer) => {
    if (isOver) overtaken--;
    return answer;
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((done) => {
    timer = setTimeout(done, patienceMs, 'late');
  });
  const first = await Promise.race([quiet, late]);
  clearTimeout(timer);
  if (first !== 'late') return read(first);
  isOver = true;
  overtaken++;
  return read(await Promise.race([quiet, run('usual', order)]));
}

function patienceFor({ memory, passes }: HashOrder): number {
  return PATIENCE_MS + PATIENCE_MS_PER_KIB * memory * passes;
}

function read(answer: HashAnswer): ThreadHash {
  if ('problem' in answer) throw new Error(`a password hash failed: ${answer.problem}`);
  return { hash: Buffer.from(answer.hash), priority: answer.priority };
}

function run(kind: Kind, order: HashOrder): Promise<HashAnswer> {
  // The one used last: the others come to their end when fewer are needed.
  const thread = free[kind].pop() ?? startThread(kind);
  clearTimeout(thread.idleTimer);
  thread.worker.ref();
  return new Promise((settle) => {
    thread.settle = settle;
    thread.worker.postMessage(order);
  });
}

function startThread(kind: Kind): Thread {
  const worker = new Worker(ENTRY, {
    name: 'passwords',
    workerData: kind,
    env: SHARE_ENV,
    // Its work lies outside of the heap.
    resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 2 },
  });
  const thread: Thread = { worker, settle: undefined, idleTimer: undefined };
  let problem = 'its thread ended';
  worker.on('message', (answer: HashAnswer) => {
    const { settle } = thread;
    thread.settle = undefined;
    rest(kind, thread);
    settle?.(answer);
  });
  worker.on('error', (error) => {
    problem = error instanceof Error ? error.message : String(error);
  });
  worker.on('exit', () => {
    clearTimeout(thread.idleTimer);
    const at = free[kind].indexOf(thread);
    if (at >= 0) free[kind].splice(at, 1);
    thread.settle?.({ problem });
  });
  return thread;
}

/** Free again, and no reason for the process to stay. */
function rest(kind: Kind, thread: Thread): void {
  thread.worker.unref();
  free[kind].push(thread);
  thread.idleTimer = setTimeout(() => void thread.worker.terminate(), IDLE_MS);
  thread.idleTimer.unref();
}
