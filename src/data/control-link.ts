/** The worker's end of the line to the control plane, over its message port (see ControlLink in contract/policy.ts). */

import { type Cancel, systemTimers } from '../base/system-timers.ts';
import type { FromWorker } from './contract/messages.ts';
import type { ControlLink } from './contract/policy.ts';

interface Asked {
  readonly resolve: (data: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly cancel: Cancel;
}

/** More questions than this under way at once are refused: control is not keeping up. */
const MAX_ASKED = 10_000;

export class MessageControlLink implements ControlLink {
  readonly #send: (message: FromWorker) => void;
  readonly #latest: Map<string, unknown>;
  readonly #listeners = new Map<string, Set<(data: unknown) => void>>();
  readonly #asked = new Map<number, Asked>();
  #nextId = 1;

  constructor(send: (message: FromWorker) => void, published: Readonly<Record<string, unknown>>) {
    this.#send = send;
    this.#latest = new Map(Object.entries(published));
  }

  subscribe(topic: string, listener: (data: unknown) => void): () => void {
    const listeners = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, listeners);
    listeners.add(listener);
    if (this.#latest.has(topic)) listener(this.#latest.get(topic));
    return () => {
      listeners.delete(listener);
    };
  }

  tell(topic: string, data: unknown): void {
    this.#send({ kind: 'tell', topic, data });
  }

  ask(topic: string, data: unknown, timeoutMs: number): Promise<unknown> {
    if (this.#asked.size >= MAX_ASKED) return Promise.reject(new Error('the control plane is not keeping up'));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const cancel = systemTimers.after(timeoutMs, () => {
        this.#asked.delete(id);
        reject(new Error(`no answer to "${topic}" within ${timeoutMs} ms`));
      });
      this.#asked.set(id, { resolve, reject, cancel });
      this.#send({ kind: 'ask', id, topic, data });
    });
  }

  onPublished(topic: string, data: unknown): void {
    this.#latest.set(topic, data);
    for (const listener of this.#listeners.get(topic) ?? []) listener(data);
  }

  onAnswer(id: number, data: unknown, problem: string | null): void {
    const asked = this.#asked.get(id);
    if (asked === undefined) return; // came too late
    this.#asked.delete(id);
    asked.cancel();
    if (problem === null) asked.resolve(data);
    else asked.reject(new Error(problem));
  }
}
