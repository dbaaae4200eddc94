/**
 * Runs one target in a worker thread and watches it: an input that takes longer than any may is a hang, and is told as
 * a failure with its bytes. The worker writes each input into shared memory before it shows it to the target.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { TARGETS } from '../targets.ts';
import { type FuzzPlan, type FuzzReport, fuzz } from './fuzz.ts';

const ROOM = 64 * 1024;
/** The longest input takes well under a millisecond; a busy machine may stop a thread for a while. */
const HANG_MS = 5_000;

interface Start {
  readonly target: string;
  readonly plan: FuzzPlan;
  readonly shared: SharedArrayBuffer;
}

/** Never rejects for what a target does; a failure is in the report. */
export function runWatched(target: string, plan: FuzzPlan): Promise<FuzzReport> {
  const shared = new SharedArrayBuffer(8 + ROOM);
  const counters = new Int32Array(shared, 0, 2);
  const worker = new Worker(new URL(import.meta.url), { workerData: { target, plan, shared } satisfies Start });
  return new Promise((resolve, reject) => {
    let seen = -1;
    const watch = setInterval(() => {
      const now = Atomics.load(counters, 0);
      if (now !== seen || now === 0) {
        seen = now;
        return;
      }
      clearInterval(watch);
      const input = Buffer.from(shared, 8, Atomics.load(counters, 1)).toString('latin1');
      void worker.terminate();
      resolve({
        target,
        inputs: now,
        outcomes: 0,
        found: [],
        failure: { input, problem: `no answer within ${HANG_MS} ms` },
      });
    }, HANG_MS);
    worker.once('message', (report: FuzzReport) => {
      clearInterval(watch);
      resolve(report);
    });
    worker.once('error', (error) => {
      clearInterval(watch);
      reject(error);
    });
  });
}

if (!isMainThread && parentPort !== null) {
  const { target, plan, shared } = workerData as Start;
  const counters = new Int32Array(shared, 0, 2);
  const room = Buffer.from(shared, 8);
  const before = (input: string): void => {
    Atomics.store(counters, 1, room.latin1Write(input, 0));
    Atomics.add(counters, 0, 1);
  };
  const wanted = TARGETS.find(({ name }) => name === target);
  if (wanted === undefined) throw new TypeError(`no such target: ${target}`);
  parentPort.postMessage(fuzz(wanted, plan, before));
}
