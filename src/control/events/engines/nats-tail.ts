/**
 * Follows a JetStream stream by a consumer of the server that hands over each message as it is stored: one request for
 * hundreds of them, and no question where the stream stands. What lies between a position and the consumer's beginning,
 * and what is missing after a break, is read by pages, which also tell of gaps. A consumer that misses a message, or
 * says nothing for too long, is given up for a new one.
 */
import type { JetStreamManager } from '@nats-io/jetstream';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import type { StoredEvent, Tail, TailHandler } from './engine.ts';
import { placeOf } from './nats-pages.ts';
import { beginAnewIfOther, catchUp, moveTo, type PagedStream, type Place } from './paging-tail.ts';

const PAGE = 500;
const AGAIN_AFTER_MS = 250;
const ASKED_FOR_MS = 5_000;
/** The server says that it is there while there is nothing else to say. */
const HEARTBEAT_MS = 2_000;
const SILENT_MS = 3 * HEARTBEAT_MS;
/** A consumer that nobody asks ends after this time. */
const KEPT_FOR_MS = 10_000;
const NS_PER_MS = 1_000_000;
/** Statuses of the server (ADR-13): it is there; what was asked for was not there in its time. */
const HEARTBEAT = 100;
const EXPIRED = 408;

export interface Followed extends PagedStream {
  /** Its name at the server. */
  readonly name: string;
  /** Null while the server cannot be used. */
  line(): { readonly connection: NatsConnection; readonly jsm: JetStreamManager; readonly inbox: string } | null;
  eventOf(position: string, message: Msg): StoredEvent;
}

export class NatsTail implements Tail {
  readonly #stream: Followed;
  readonly #handler: TailHandler;
  readonly #gone: () => void;
  readonly #place: Place;
  #stopped = false;
  /** Ends what it waits for: a pause, or the consumer. */
  #interrupt: () => void = () => {};

  constructor(stream: Followed, after: string | null, handler: TailHandler, gone: () => void) {
    this.#stream = stream;
    this.#place = { after, print: null };
    this.#handler = handler;
    this.#gone = gone;
    void this.#run();
  }

  /** The connection was lost, or is back. */
  wake(): void {
    this.#interrupt();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        if (this.#stream.line() !== null) {
          const isStopped = (): boolean => this.#stopped;
          await beginAnewIfOther(this.#stream, this.#place, this.#handler, isStopped);
          if (!this.#stopped) await catchUp(this.#stream, this.#place, this.#handler, isStopped);
          if (!this.#stopped) await this.#follow();
        }
      } catch {
        // The server is away: publishers report it.
      }
      if (!this.#stopped) await this.#pause();
    }
  }

  /** Resolves when the consumer is of no use any more. */
  async #follow(): Promise<void> {
    const line = this.#stream.line();
    if (line === null) return;
    const { connection, jsm, inbox } = line;
    const first = Number(this.#place.after ?? 0) + 1;
    const { name } = await jsm.consumers.add(this.#stream.name, {
      deliver_policy: 'by_start_sequence',
      opt_start_seq: first,
      ack_policy: 'none',
      inactive_threshold: KEPT_FOR_MS * NS_PER_MS,
      mem_storage: true,
      num_replicas: 1,
    });
    if (this.#stopped) return;
    const asked = JSON.stringify({
      batch: PAGE,
      expires: ASKED_FOR_MS * NS_PER_MS,
      idle_heartbeat: HEARTBEAT_MS * NS_PER_MS,
    });
    await new Promise<void>((resolve) => {
      let next = first;
      let left = 0;
      let heardMs = performance.now();
      let found: StoredEvent[] = [];
      const end = (): void => {
        clearInterval(watching);
        subscription.unsubscribe();
        hand();
        resolve();
      };
      const ask = (): void => {
        left = PAGE;
        try {
          connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${this.#stream.name}.${name}`, asked, { reply: inbox });
        } catch {
          end();
        }
      };
      // What comes in one turn is handed over as one.
      const hand = (): void => {
        const events = found;
        found = [];
        const last = events.at(-1);
        if (this.#stopped || last === undefined) return;
        moveTo(this.#place, last);
        this.#handler.onEvents(events);
      };
      const subscription = connection.subscribe(inbox, {
        callback: (error, message) => {
          heardMs = performance.now();
          const code = message?.headers?.code ?? 0;
          if (error !== null) end();
          else if (code === HEARTBEAT) return;
          else if (code === EXPIRED) ask();
          else if (code !== 0) end();
          else {
            const { seq } = placeOf(message.reply ?? '');
            // One is missing: pages tell whether it is a gap.
            if (seq !== next) return end();
            next++;
            if (found.length === 0) setImmediate(hand);
            found.push(this.#stream.eventOf(String(seq), message));
            if (--left === 0) ask();
          }
        },
      });
      const watching = setInterval(() => {
        if (performance.now() - heardMs > SILENT_MS) end();
      }, HEARTBEAT_MS).unref();
      this.#interrupt = end;
      ask();
    });
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, AGAIN_AFTER_MS).unref();
      this.#interrupt = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#interrupt();
    this.#gone();
  }
}
