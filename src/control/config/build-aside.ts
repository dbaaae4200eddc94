/**
 * Has a configuration built in a thread of its own, which is gone afterwards: the main thread goes on meanwhile, and
 * never holds the schema, the parser and what they leave behind (some 25 MB). What comes back is read a part at a time.
 */
import type { MessagePort } from 'node:worker_threads';
import { Worker } from 'node:worker_threads';
import { messageOf } from '../../base/errors.ts';
import { inSlices } from '../../base/slices.ts';
import { receiveSteps } from '../../data/contract/receive-snapshot.ts';
import type { SnapshotHead } from '../../data/contract/snapshot-parts.ts';
import { type BuildOrder, type BuildResult, type BuiltConfig, firstOrder, orderOf } from './build-order.ts';
import type { Compiled } from './compile.ts';
import type { LoadOptions } from './load.ts';
import type { Problem } from './problems.ts';
import { type SlotTableState, slotTable } from './slots.ts';

/** What build-worker.ts sends. */
export type BuildAnswer =
  | {
      readonly ok: true;
      readonly config: BuiltConfig;
      readonly compiled: Omit<Compiled, 'snapshot' | 'secrets' | 'slots'>;
      readonly slots: SlotTableState;
      readonly head: SnapshotHead;
      readonly parts: MessagePort;
    }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Beside this file, with its extension: `.ts` in a checkout, `.js` when compiled. */
const WORKER_URL = new URL(`./build-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);
/** A document that takes longer has something in it that never ends. */
const SLOWEST_MS = 120_000;

let begun: { readonly options: LoadOptions; readonly result: Promise<BuildResult> } | null = null;

/** Begins what a start will ask for first, while the rest of the gateway is still being loaded. */
export function beginBuild(options: LoadOptions): void {
  begun = { options, result: build(firstOrder(orderOf(options, null))) };
}

export function buildAside(order: BuildOrder): Promise<BuildResult> {
  const { options } = order.load;
  if (begun === null || order.isBeside || !isSame(begun.options, options)) return build(order);
  const { result } = begun;
  begun = null;
  return result;
}

function isSame(a: LoadOptions, b: LoadOptions): boolean {
  return a.file === b.file && a.cwd === b.cwd && a.env === b.env;
}

async function build(order: BuildOrder): Promise<BuildResult> {
  let worker: Worker | undefined;
  try {
    worker = new Worker(WORKER_URL, { workerData: withPlainEnvironment(order), name: 'gatehouse-configuration' });
    const answer = await answerOf(worker);
    if (!answer.ok) return answer;
    const { config, compiled, slots, head, parts } = answer;
    const { snapshot, secrets } = await inSlices(receiveSteps(head, parts, null));
    return { ok: true, config, compiled: { ...compiled, snapshot, secrets, slots: slotTable(slots) } };
  } catch (error) {
    return { ok: false, problems: [failure(messageOf(error), order)] };
  } finally {
    await worker?.terminate();
  }
}

function answerOf(worker: Worker): Promise<BuildAnswer> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`it was not read within ${SLOWEST_MS / 1_000} s`)), SLOWEST_MS);
    const done = (end: () => void): void => {
      clearTimeout(late);
      worker.removeAllListeners();
      worker.on('error', () => {});
      end();
    };
    worker.once('message', (answer: BuildAnswer) => done(() => resolve(answer)));
    worker.once('error', (error: unknown) => done(() => reject(error)));
    worker.once('exit', (code) => done(() => reject(new Error(`the thread that read it ended with code ${code}`))));
  });
}

/** `process.env` is no plain object. */
function withPlainEnvironment(order: BuildOrder): BuildOrder {
  const { load } = order;
  return { ...order, load: { ...load, options: { ...load.options, env: { ...load.options.env } } } };
}

function failure(message: string, { load }: BuildOrder): Problem {
  const place = { file: load.options.file ?? null, line: null, column: null };
  return { severity: 'error', ...place, key: '', message: `the configuration cannot be read: ${message}` };
}
