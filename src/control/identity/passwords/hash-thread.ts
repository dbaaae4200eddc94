/**
 * A thread that computes password hashes, one at a time; started by hash-threads.ts. On Linux it gives itself the lowest
 * priority, which a process may do for a single thread: whatever else the gateway has to do goes first, and a flood of
 * sign-ins gets the time that is left over. Elsewhere it runs like any other.
 */
import { argon2Sync } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import type { HashAnswer, HashOrder } from './hash-threads.ts';

/** Nice value of sched(7): the lowest weight, a sixtieth of the usual one. */
const LOWEST = 19;

/** The kernel's id of this thread, where the system tells it: `<process>/task/<thread>`. */
function threadId(): number | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    const id = Number(/^\d+\/task\/(\d+)$/.exec(readlinkSync('/proc/thread-self'))?.[1]);
    // Never the main thread's: its id stands for the whole process in other tools.
    return Number.isInteger(id) && id !== process.pid ? id : undefined;
  } catch {
    return undefined;
  }
}

const id = threadId();
let lowered = false;
if (id !== undefined) {
  try {
    setPriority(id, LOWEST);
    lowered = true;
  } catch {
    // Not allowed here: the hashes are as good, only their neighbours notice them more.
  }
}

parentPort?.on('message', (order: HashOrder) => {
  let answer: HashAnswer;
  try {
    const hash = argon2Sync('argon2id', order);
    answer = { hash, lowered };
  } catch (error) {
    answer = { problem: error instanceof Error ? error.message : 'the hash failed' };
  }
  parentPort?.postMessage(answer);
});
