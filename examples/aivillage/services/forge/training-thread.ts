/** The thread that trains: one phase, then it ends. Tells its parent of progress now and then, and of the outcome. */
import { parentPort, workerData } from 'node:worker_threads';
import { Model } from './model.ts';
import { type Phase, train } from './phases.ts';

export interface TrainingOrder {
  readonly phase: Phase;
  readonly base: Float32Array | null;
  readonly tales: string;
  readonly dialogues: string;
  readonly maxSteps: number;
  readonly batchSize: number;
  readonly seed: number;
}

export type TrainingNews =
  | { readonly kind: 'progress'; readonly step: number; readonly loss: number }
  | {
      readonly kind: 'done';
      readonly weights: Float32Array;
      readonly lossBefore: number;
      readonly loss: number;
      readonly size: number;
    };

const EVERY_MS = 200;

const order = workerData as TrainingOrder;
let toldMs = 0;
const tell = (news: TrainingNews): void => parentPort?.postMessage(news);
const { model, lossBefore, loss, size } = train({
  ...order,
  base: order.base === null ? null : new Model(order.base),
  report(step, lossNow) {
    if (performance.now() - toldMs < EVERY_MS) return;
    toldMs = performance.now();
    tell({ kind: 'progress', step, loss: lossNow });
  },
});
tell({ kind: 'done', weights: model.weights, lossBefore, loss, size });
