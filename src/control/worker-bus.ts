/** The control end of the line to the workers, over messages to their threads (workers.ts). */
import { messageOf } from '../base/errors.ts';
import type { FromWorker, ToWorker } from '../data/contract/messages.ts';
import type { ControlBus } from './bus.ts';

type SendTo = (message: ToWorker) => void;

export class WorkerBus implements ControlBus {
  readonly #sendToAll: SendTo;
  readonly #published = new Map<string, unknown>();
  readonly #listeners = new Map<string, ((data: unknown) => void)[]>();
  readonly #answers = new Map<string, (data: unknown) => unknown>();

  constructor(sendToAll: SendTo) {
    this.#sendToAll = sendToAll;
  }

  publish(topic: string, data: unknown): void {
    this.#published.set(topic, data);
    this.#sendToAll({ kind: 'publish', topic, data });
  }

  onTell(topic: string, listener: (data: unknown) => void): void {
    const listeners = this.#listeners.get(topic) ?? [];
    listeners.push(listener);
    this.#listeners.set(topic, listeners);
  }

  onAsk(topic: string, answer: (data: unknown) => unknown): void {
    if (this.#answers.has(topic)) throw new TypeError(`"${topic}" is answered already`);
    this.#answers.set(topic, answer);
  }

  /** What was published last. */
  latest(topic: string): unknown {
    return this.#published.get(topic);
  }

  /** What was published last of every topic: a thread that starts later begins with it. */
  everything(): Readonly<Record<string, unknown>> {
    return Object.fromEntries(this.#published);
  }

  /** What a worker tells or asks; `sendBack` reaches that worker. Other messages are none of this. */
  take(message: FromWorker, sendBack: SendTo): void {
    if (message.kind === 'tell')
      for (const listener of this.#listeners.get(message.topic) ?? []) listener(message.data);
    else if (message.kind === 'ask') void this.#answer(message.id, message.topic, message.data, sendBack);
  }

  async #answer(id: number, topic: string, data: unknown, sendBack: SendTo): Promise<void> {
    try {
      const answer = this.#answers.get(topic);
      if (answer === undefined) throw new Error(`the topic "${topic}" has no responder`);
      sendBack({ kind: 'answer', id, data: await answer(data), problem: null });
    } catch (error) {
      sendBack({ kind: 'answer', id, data: null, problem: messageOf(error) });
    }
  }
}
