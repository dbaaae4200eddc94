/**
 * Pages of a JetStream stream, read by consumers of the server that end by themselves: a request brings hundreds of
 * messages, where direct access (ADR-31) brings one. A consumer stays for whoever goes on where its page ended, which
 * is how a stream is read from its beginning.
 */
import type { JetStreamManager } from '@nats-io/jetstream';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import { messageOf } from '../../../base/errors.ts';
import { EngineFault } from './engine.ts';

/** A consumer that nobody asks ends after this time. */
const KEPT_FOR_MS = 10_000;
const NS_PER_MS = 1_000_000;
/** Consumers that wait for who goes on, and how long they are good for it. */
const MOST_KEPT = 32;
const GOOD_FOR_MS = 5_000;
/** The server says nothing for a consumer that it does not know any more. */
const FIRST_WITHIN_MS = 500;

interface Kept {
  readonly name: string;
  readonly sinceMs: number;
}

export interface PlacedMessage {
  readonly seq: number;
  readonly message: Msg;
}

interface Asked {
  readonly count: number;
  readonly withinMs: number;
  readonly isSure: boolean;
}

export class NatsPages {
  readonly #connection: NatsConnection;
  readonly #jsm: () => JetStreamManager;
  readonly #newInbox: () => string;
  /** Consumers by stream and the position that each stands at. */
  readonly #kept = new Map<string, Kept>();

  constructor(connection: NatsConnection, jsm: () => JetStreamManager, newInbox: () => string) {
    this.#connection = connection;
    this.#jsm = jsm;
    this.#newInbox = newInbox;
  }

  /** From a position on, at most `count`, of which the stream has that many. Rejects with an `EngineFault`. */
  async read(stream: string, from: number, count: number, withinMs: number): Promise<readonly PlacedMessage[]> {
    const kept = this.#take(`${stream}\n${from}`);
    let name = kept;
    let found = kept === undefined ? [] : await this.#next(stream, kept, { count, withinMs, isSure: false });
    if (found.length === 0) {
      name = await this.#create(stream, from);
      found = await this.#next(stream, name, { count, withinMs, isSure: true });
    }
    const last = found.at(-1);
    if (last !== undefined && name !== undefined) this.#keep(`${stream}\n${last.seq + 1}`, name);
    return found;
  }

  #take(place: string): string | undefined {
    const kept = this.#kept.get(place);
    this.#kept.delete(place);
    return kept !== undefined && performance.now() - kept.sinceMs < GOOD_FOR_MS ? kept.name : undefined;
  }

  #keep(place: string, name: string): void {
    this.#kept.delete(place);
    this.#kept.set(place, { name, sinceMs: performance.now() });
    if (this.#kept.size > MOST_KEPT) this.#kept.delete(this.#kept.keys().next().value!);
  }

  async #create(stream: string, from: number): Promise<string> {
    try {
      const made = await this.#jsm().consumers.add(stream, {
        deliver_policy: 'by_start_sequence',
        opt_start_seq: from,
        ack_policy: 'none',
        inactive_threshold: KEPT_FOR_MS * NS_PER_MS,
        mem_storage: true,
        num_replicas: 1,
      });
      return made.name;
    } catch (error) {
      throw new EngineFault('unavailable', messageOf(error));
    }
  }

  /** None: the consumer has none, or, if its being there is not sure, the server does not know it. */
  #next(stream: string, name: string, { count, withinMs, isSure }: Asked): Promise<PlacedMessage[]> {
    return new Promise((resolve, reject) => {
      const messages: PlacedMessage[] = [];
      const inbox = this.#newInbox();
      const end = (problem: string | null): void => {
        clearTimeout(timer);
        subscription.unsubscribe();
        if (problem === null) resolve(messages);
        else reject(new EngineFault('unavailable', problem));
      };
      const late = (): void => {
        if (!isSure && messages.length === 0) end(null);
        else end('the messages did not come in time');
      };
      let timer = setTimeout(late, isSure ? withinMs : FIRST_WITHIN_MS);
      const subscription = this.#connection.subscribe(inbox, {
        callback: (error, message) => {
          if (error !== null) end(messageOf(error));
          else if ((message.headers?.code ?? 0) !== 0) end(null);
          else {
            const { seq, pending } = placeOf(message.reply ?? '');
            messages.push({ seq, message });
            if (messages.length === 1) {
              // It is there: what follows has its time.
              clearTimeout(timer);
              timer = setTimeout(late, withinMs);
            }
            if (messages.length === count || pending === 0) end(null);
          }
        },
      });
      const asked = JSON.stringify({ batch: count, no_wait: true });
      try {
        this.#connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`, asked, { reply: inbox });
      } catch (error) {
        end(messageOf(error));
      }
    });
  }
}

/**
 * What the subject for an acknowledgement says: `$JS.ACK[.DOMAIN.ACCOUNT].STREAM.CONSUMER.TRIES.SEQ.….TIME.PENDING`.
 */
export function placeOf(reply: string): { readonly seq: number; readonly pending: number } {
  const parts = reply.split('.');
  const more = parts.length >= 11 ? 2 : 0;
  return { seq: Number(parts[5 + more]), pending: Number(parts[8 + more]) };
}
