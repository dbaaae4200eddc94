/**
 * Requests to NATS whose responses come to one subscription, with nothing made for each but an entry in a map: the
 * client's own `request` makes two errors with their stacks, a promise and a timer for every one that succeeds.
 */
import type { Msg, MsgHdrs, NatsConnection } from '@nats-io/transport-node';
import { EngineFault } from './engine.ts';

interface Waiting {
  readonly resolve: (message: Msg) => void;
  readonly reject: (reason: EngineFault) => void;
  readonly timer: NodeJS.Timeout;
}

export class NatsRequests {
  readonly #connection: NatsConnection;
  readonly #prefix: string;
  readonly #waiting = new Map<string, Waiting>();
  #last = 0;

  /** `inbox`: a subject of its own, without wildcards. */
  constructor(connection: NatsConnection, inbox: string) {
    this.#connection = connection;
    this.#prefix = `${inbox}.`;
    connection.subscribe(`${inbox}.*`, {
      callback: (error, message) => {
        if (error === null) this.#settle(message);
      },
    });
  }

  /** Rejects when no response has come in this time; whether the request has had its effect is not known then. */
  ask(subject: string, data: Uint8Array | string, headers: MsgHdrs | undefined, withinMs: number): Promise<Msg> {
    const token = (++this.#last).toString(36);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(token);
        reject(new EngineFault('unavailable', 'it was not acknowledged in time'));
      }, withinMs);
      this.#waiting.set(token, { resolve, reject, timer });
      try {
        const reply = `${this.#prefix}${token}`;
        this.#connection.publish(subject, data, headers === undefined ? { reply } : { reply, headers });
      } catch (error) {
        clearTimeout(timer);
        this.#waiting.delete(token);
        reject(new EngineFault('unavailable', String(error)));
      }
    });
  }

  #settle(message: Msg): void {
    const token = message.subject.slice(this.#prefix.length);
    const waiting = this.#waiting.get(token);
    if (waiting === undefined) return;
    this.#waiting.delete(token);
    clearTimeout(waiting.timer);
    waiting.resolve(message);
  }

  /** What was asked on a connection that is lost is not answered any more. */
  failAll(problem: string): void {
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new EngineFault('unavailable', problem));
    }
    this.#waiting.clear();
  }
}
