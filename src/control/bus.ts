/**
 * The control end of the line to the workers (the data end is `ControlLink`): parts of the control plane publish
 * data by topic, hear what workers tell, and answer what workers ask. control/worker-bus.ts carries it over messages.
 */

export interface ControlBus {
  /** Sends data to every worker, now and to those that start later. Must survive a structured clone. */
  publish(topic: string, data: unknown): void;
  /** Hears `tell`s of a topic. Several may listen. */
  onTell(topic: string, listener: (data: unknown) => void): void;
  /** Answers `ask`s of a topic; one answerer per topic. A rejection reaches the worker as its message. */
  onAsk(topic: string, answer: (data: unknown) => unknown | Promise<unknown>): void;
}
