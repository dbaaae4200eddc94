import assert from 'node:assert/strict';
import { once } from 'node:events';
import { afterEach, describe, test } from 'node:test';
import { MessageChannel, type Worker } from 'node:worker_threads';
import type { WorkerStart } from '../data/contract/messages.ts';
import { beginWorkerThread, dismissWorkerThread, workerThread } from './worker-thread.ts';

/** Says whether it was begun without a start, and what it then got. */
const ENTRY = new URL(
  `data:text/javascript,${encodeURIComponent(`import { parentPort, resourceLimits, workerData } from 'node:worker_threads';
const say = (start, early) =>
  parentPort.postMessage({ early, index: start.index, port: start.parts.constructor.name, heap: resourceLimits.maxOldGenerationSizeMb });
if (workerData !== null) say(workerData, false);
else parentPort.once('message', (start) => (start === null ? parentPort.close() : say(start, true)));`)}`,
);
const OTHER = new URL(`data:text/javascript,${encodeURIComponent('process.exit(3)')}`);

interface Said {
  readonly early: boolean;
  readonly index: number;
  readonly port: string;
  readonly heap: number;
}

const start = (index: number): WorkerStart => ({ index, parts: new MessageChannel().port1 }) as unknown as WorkerStart;

async function said(worker: Worker): Promise<Said> {
  const [message] = (await once(worker, 'message')) as [Said];
  await worker.terminate();
  return message;
}

const first = { entry: ENTRY, name: 'gatehouse-worker-0', heapBytes: null };

describe('the thread that begins before there is a configuration', { timeout: 60_000 }, () => {
  afterEach(() => dismissWorkerThread());

  test('becomes the first worker, once', async () => {
    beginWorkerThread(ENTRY);
    assert.deepEqual(await said(workerThread(first, start(7))), { ...(await plain(7)), early: true });
    assert.equal((await said(workerThread(first, start(8)))).early, false);
  });

  test('is not taken by another worker, nor for another module', async () => {
    beginWorkerThread(ENTRY);
    assert.equal((await said(workerThread({ ...first, name: 'gatehouse-worker-1' }, start(1)))).early, false);
    const other = workerThread({ ...first, entry: OTHER }, start(0));
    assert.deepEqual(await once(other, 'exit'), [3]);
    assert.equal((await said(workerThread(first, start(0)))).early, true);
  });

  test('is made anew where the heap has a limit', async () => {
    beginWorkerThread(ENTRY);
    const { early, heap } = await said(workerThread({ ...first, heapBytes: 64 * 1024 ** 2 }, start(2)));
    assert.deepEqual([early, heap], [false, 64]);
  });

  test('is made anew where it could not begin', async () => {
    await once(beginWorkerThread(OTHER), 'exit');
    assert.equal((await said(workerThread(first, start(4)))).early, false);
  });
});

async function plain(index: number): Promise<Said> {
  return said(workerThread({ ...first, name: 'gatehouse-spare' }, start(index)));
}
