/**
 * The thread in which a configuration is built, once; started by build-aside.ts. Sends what came of it, the routes and
 * services in parts, and is then ended.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { yieldToOthers } from '../../base/thread-priority.ts';
import { packAll } from '../packed-snapshot.ts';
import { build } from './build.ts';
import type { BuildAnswer } from './build-aside.ts';
import type { BuildOrder } from './build-order.ts';
import { slotTableState } from './slots.ts';

const order = workerData as BuildOrder;
if (order.isBeside) yieldToOthers();
void run();

/**
 * No `await` at the top of the module: a thread that is ended while such a module ends itself takes the process along
 * (https://github.com/nodejs/node/issues/62114), and the main thread ends this one with the message.
 */
async function run(): Promise<void> {
  const built = await build(order);
  if (!built.ok) {
    parentPort!.postMessage(built satisfies BuildAnswer);
    return;
  }
  const { snapshot, secrets, slots, ...compiled } = built.compiled;
  const { head, parts } = packAll({ snapshot, secrets });
  const answer: BuildAnswer = { ok: true, config: built.config, compiled, slots: slotTableState(slots), head, parts };
  parentPort!.postMessage(answer, [parts]);
}
