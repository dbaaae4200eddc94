/**
 * A thread that computes password hashes, one at a time; started by hash-threads.ts. A quiet one gives up its place
 * in the queue for the processor: on Linux it runs only while nothing else of the gateway wants to (SCHED_IDLE, set
 * by `chrt` of util-linux), or where there is no `chrt` with the lowest weight. Elsewhere it runs like any other.
 */
import { spawnSync } from 'node:child_process';
import { argon2Sync } from 'node:crypto';
import { existsSync, readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import type { HashAnswer, HashOrder, ThreadPriority } from './hash-threads.ts';

/** By full path: a service that handles passwords does not look for programs. */
const CHRT = ['/usr/bin/chrt', '/bin/chrt'];
/** Nice value of sched(7) with the lowest weight, a sixtieth of the usual one. */
const LOWEST = 19;

/** The kernel's id of this thread, where the system tells it: `<process>/task/<thread>`. */
function threadId(): number | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    const id = Number(/^\d+\/task\/(\d+)$/.exec(readlinkSync('/proc/thread-self'))?.[1]);
    // Never the main thread's.
    return Number.isInteger(id) && id !== process.pid ? id : undefined;
  } catch {
    return undefined;
  }
}

/** Both are open to every user, since they only take from this thread. What is refused leaves it as it was. */
function stepBack(): ThreadPriority {
  const id = threadId();
  if (id === undefined) return 'usual';
  const program = CHRT.find((path) => existsSync(path));
  if (program !== undefined) {
    const { status } = spawnSync(program, ['-i', '-p', '0', String(id)], { stdio: 'ignore', timeout: 2_000 });
    if (status === 0) return 'idle';
  }
  try {
    setPriority(id, LOWEST);
    return 'lowest';
  } catch {
    return 'usual';
  }
}

const priority = workerData === 'quiet' ? stepBack() : 'usual';

parentPort?.on('message', (order: HashOrder) => {
  let answer: HashAnswer;
  try {
    answer = { hash: argon2Sync('argon2id', order), priority };
  } catch (error) {
    answer = { problem: error instanceof Error ? error.message : 'the hash failed' };
  }
  parentPort?.postMessage(answer);
});
