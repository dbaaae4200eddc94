/**
 * What the steps of tried requests took: names each request to the workers before it is sent, and hands on what the one
 * says that had it. Without a request that is tried the workers time nothing.
 */
import {
  TRIED_TOPIC,
  TRIES_KNOWN_TOPIC,
  TRIES_TOPIC,
  type TriedStep,
  type TriedSteps,
  type TriesOrder,
} from '../../data/contract/tries.ts';
import type { ControlBus } from '../bus.ts';

export type Steps = readonly TriedStep[];

/** A worker that is too busy to say that it knows the request is not waited for any longer. */
const KNOWN_MS = 500;

interface Tried {
  readonly order: number;
  readonly take: (steps: Steps) => void;
  /** All workers know of it. */
  readonly known: () => void;
  /** Workers that do not yet. */
  left: number;
}

export class TriedStepsDesk {
  readonly #bus: ControlBus;
  readonly #workers: () => number;
  readonly #tried = new Map<string, Tried>();
  #order = 0;

  /** `workers`: how many threads take what is published. */
  constructor(bus: ControlBus, workers: () => number) {
    this.#bus = bus;
    this.#workers = workers;
    bus.onTell(TRIED_TOPIC, (data) => {
      const { requestId, steps } = data as TriedSteps;
      this.#tried.get(requestId)?.take(steps);
    });
    bus.onTell(TRIES_KNOWN_TOPIC, (order) => {
      for (const tried of this.#tried.values()) if (tried.order === order && --tried.left === 0) tried.known();
    });
  }

  /** `take` gets the steps once the request is over. Resolves when the request may be sent, with what ends the wait. */
  async watch(requestId: string, take: (steps: Steps) => void): Promise<() => void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const late = setTimeout(resolve, KNOWN_MS);
    this.#tried.set(requestId, { order: this.#order + 1, take, known: resolve, left: this.#workers() });
    this.#publish();
    await promise;
    clearTimeout(late);
    return () => {
      this.#tried.delete(requestId);
      this.#publish();
    };
  }

  #publish(): void {
    this.#order++;
    const order: TriesOrder = { order: this.#order, ids: [...this.#tried.keys()] };
    this.#bus.publish(TRIES_TOPIC, order.ids.length === 0 ? null : order);
  }
}
