/**
 * Trains what is queued, one after the other, each in a thread of its own, and tells whose training it is how far it
 * is.
 */
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { ForgeStore, JobRecord } from './forge-store.ts';
import type { TrainingNews, TrainingOrder } from './training-thread.ts';

const TALES = new URL('../../../storyverse/text/tales.txt', import.meta.url);
const DIALOGUES = new URL('../../text/dialogues.txt', import.meta.url);
const THREAD = new URL('./training-thread.ts', import.meta.url);

export type News = Readonly<Record<string, unknown>> & { readonly type: string };

/** Notifies one user; a notice that cannot be sent is lost, and the list of models shows how it ended. */
export type Tell = (user: string, news: News) => Promise<void>;

export class Trainer {
  readonly #store: ForgeStore;
  readonly #tell: Tell;
  #thread: Worker | undefined;
  #isEnding = false;
  #working: Promise<void> | undefined;

  constructor(store: ForgeStore, tell: Tell) {
    this.#store = store;
    this.#tell = tell;
  }

  /** Goes on with the queue, if nothing trains at the moment. */
  wake(): void {
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
      if (!this.#isEnding && this.#store.nextJob() !== undefined) this.wake();
    });
  }

  /** Ends the training that runs; it is trained again at the next start. */
  async close(): Promise<void> {
    this.#isEnding = true;
    await this.#thread?.terminate();
    await this.#working;
  }

  async #work(): Promise<void> {
    for (let job = this.#store.nextJob(); job !== undefined && !this.#isEnding; job = this.#store.nextJob()) {
      this.#store.setJob(job.id, 'running');
      try {
        await this.#train(job);
      } catch (error) {
        if (this.#isEnding) return;
        console.error(error);
        this.#store.setJob(job.id, 'failed');
        await this.#tell(job.user, { type: 'training_failed', job_id: job.id, phase: job.phase });
      }
    }
  }

  async #train(job: JobRecord): Promise<void> {
    const { id, user, phase, base, max_steps: maxSteps } = job;
    const about = { job_id: id, phase };
    await this.#tell(user, { type: 'training_progress', ...about, progress: 0, step: 0, max_steps: maxSteps });
    const order: TrainingOrder = {
      phase,
      base: base === null ? null : (this.#store.weights(base) ?? null),
      tales: readFileSync(TALES, 'utf8'),
      dialogues: readFileSync(DIALOGUES, 'utf8'),
      maxSteps,
      batchSize: job.batch_size,
      seed: Number.parseInt(id.slice(4, 12), 16),
    };
    const thread = new Worker(THREAD, { workerData: order });
    this.#thread = thread;
    let telling = Promise.resolve();
    const done = await new Promise<Extract<TrainingNews, { kind: 'done' }>>((resolve, reject) => {
      thread.on('message', (news: TrainingNews) => {
        if (news.kind === 'done') return resolve(news);
        const { step, loss } = news;
        const progress = Number((step / maxSteps).toFixed(3));
        // One after the other, so that progress never goes back.
        telling = telling.then(() =>
          this.#tell(user, { type: 'training_progress', ...about, progress, step, max_steps: maxSteps, loss }),
        );
      });
      thread.on('error', reject);
      thread.on('exit', () => reject(new Error('the training thread ended before it was done')));
    });
    const model = this.#store.addModel(
      { phase, base_model: base, created_by: user, steps: maxSteps, loss: done.loss, size_bytes: done.size },
      done.weights,
    );
    this.#store.setJob(id, 'complete', model);
    await telling;
    await this.#tell(user, {
      type: 'training_complete',
      ...about,
      progress: 1,
      model_id: model,
      loss_before: done.lossBefore,
      loss: done.loss,
    });
  }
}
