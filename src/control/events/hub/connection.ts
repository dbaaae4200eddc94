/**
 * One client of the hub and what it says, whatever carries it. Messages are JSON objects with a `type`. With the
 * subprotocol `gatehouse.v1` what is published comes in an envelope, `{"type":"message","topic","id","data"}`; without
 * it comes what was published, to the letter, so that a page needs no library.
 *
 *   ping -> pong    auth -> authenticated    subscribe -> subscribed    unsubscribe -> unsubscribed
 *   publish -> published    presence -> presence    anything that cannot be done -> error
 */
import { subjectProblem } from '../../../data/contract/subjects.ts';
import { comparePositions } from '../engines/engine.ts';
import { dataText, isJsonType, isNestedDeeper } from '../event-json.ts';
import { type Cursor, cursorOf, readCursor, writeCursor } from '../subscribe/cursor.ts';
import type { Feed, Reader } from '../subscribe/feed.ts';
import type { FeedEntry } from '../subscribe/feed-entry.ts';
import type { Hub, HubClient, HubEnd } from './hub.ts';
import type { KnownCaller } from './known-caller.ts';
import type { HubLimits } from './options.ts';
import { isAllowed, readable, rightsOf, ruleFor, type TopicRule, topicFor } from './rights.ts';

/** What carries messages to the client. */
export interface Wire {
  /** False: it takes no more for now; `drained` of the connection follows. */
  send(message: Buffer | string): boolean;
  /** The same for an event, which is made once for all clients. */
  sendEvent(entry: FeedEntry, isEnveloped: boolean, tag: string): boolean;
  /** RFC 6455 §7.4.1. */
  close(code: number, reason: string): void;
}

const END_CODES: Readonly<Record<HubEnd, number>> = {
  token_expired: 1008,
  route_changed: 1012,
  shutting_down: 1001,
  gone: 1000,
};

interface Subscription {
  readonly reader: Reader;
  readonly hasPresence: boolean;
  /** What decided about it. */
  readonly rights: string;
}

type Message = Readonly<Record<string, unknown>>;

const BURST_SECONDS = 10;
/** Mistakes after which a client is taken for broken. */
const MAX_MISTAKES = 20;
/** Objects and arrays in each other. */
const MOST_NESTED = 200;

export class HubConnection implements HubClient {
  readonly route: string;
  readonly isEnveloped: boolean;
  caller: KnownCaller;
  /** Known, or welcome as nobody. */
  isIn = false;
  readonly openedMs: number;
  readonly #hub: Hub;
  readonly #wire: Wire;
  readonly #subscriptions = new Map<string, Subscription>();
  #allowance: number;
  #allowedMs: number;
  #mistakes = 0;
  /** Messages are dealt with one after the other. */
  #turn: Promise<void> = Promise.resolve();
  isClosed = false;

  constructor(hub: Hub, wire: Wire, route: string, caller: KnownCaller, isEnveloped: boolean) {
    this.#hub = hub;
    this.#wire = wire;
    this.route = route;
    this.caller = caller;
    this.isEnveloped = isEnveloped;
    this.openedMs = hub.nowMs();
    this.#allowance = this.#limits.messagesPerSecond * BURST_SECONDS;
    this.#allowedMs = this.openedMs;
  }

  get #limits(): HubLimits {
    return this.#hub.limitsOf(this.caller);
  }

  get topics(): number {
    return this.#subscriptions.size;
  }

  /** Where it is in all of its topics: what it resumes from. */
  get #position(): string | undefined {
    let least: Cursor | null = null;
    for (const { reader } of this.#subscriptions.values()) {
      const { cursor } = reader;
      if (cursor !== null && (least === null || comparePositions(cursor.position, least.position) < 0)) least = cursor;
    }
    return least === null ? undefined : writeCursor(this.#hub.tag, least.position, least.print);
  }

  /** The caller is known from now on: topics that clients join by themselves are joined. */
  async comeIn(after: string | undefined): Promise<void> {
    this.isIn = true;
    for (const rule of this.#hub.settings.topics) {
      const topic = rule.join && isAllowed(rule.subscribe, this.caller) ? topicFor(rule, this.caller) : null;
      if (topic !== null && !this.#subscriptions.has(topic)) await this.#subscribe(topic, after, rule);
    }
  }

  /** Text of a message. Resolves when all that it asks for was done or refused. */
  take(text: string): Promise<void> {
    if (this.isClosed || !this.#isWithinRate()) return this.#turn;
    // What one client sends must not end the thread that all of them share.
    this.#turn = this.#turn.then(() => this.#take(text)).catch(() => this.close(1011, 'internal error'));
    return this.#turn;
  }

  async #take(text: string): Promise<void> {
    if (this.isClosed) return;
    const message = parse(text);
    if (message === null) {
      const words = `a message is a JSON object with a "type", nested at most ${MOST_NESTED} deep`;
      this.#refuse(undefined, 'malformed', words);
      return;
    }
    const { type, ref } = message;
    if (type === 'ping') this.#reply({ type: 'pong', id: this.#position, ref });
    else if (type === 'auth') await this.#authenticate(message);
    else if (!this.isIn) this.#refuse(ref, 'authentication_required', 'say who you are first: {"type":"auth",...}');
    else if (type === 'subscribe') await this.#onSubscribe(message);
    else if (type === 'unsubscribe') this.#onUnsubscribe(message);
    else if (type === 'publish') await this.#onPublish(message);
    else if (type === 'presence') await this.#onPresence(message);
    else this.#refuse(ref, 'unknown_type', 'there are ping, auth, subscribe, unsubscribe, publish and presence');
  }

  #isWithinRate(): boolean {
    const { messagesPerSecond } = this.#limits;
    const nowMs = this.#hub.nowMs();
    const most = messagesPerSecond * BURST_SECONDS;
    const grown = this.#allowance + ((nowMs - this.#allowedMs) / 1_000) * messagesPerSecond;
    this.#allowance = Math.min(most, grown) - 1;
    this.#allowedMs = nowMs;
    if (this.#allowance >= 0) return true;
    this.close(1008, 'too many messages');
    return false;
  }

  // --- what a client asks for ----------------------------------------------------------------------------------------

  async #authenticate(message: Message): Promise<void> {
    const { ref } = message;
    const found = await this.#hub.identify(this.route, message);
    if (this.isClosed) return;
    if (found === null || (this.caller.account !== null && found.account !== this.caller.account)) {
      this.#hub.counts.refused++;
      this.#reply({ type: 'error', code: 'authentication_failed', message: 'the credential was refused', ref });
      this.close(1008, 'authentication failed');
      return;
    }
    if (!this.#hub.recount(this, found)) {
      this.close(1013, 'too many connections');
      return;
    }
    this.caller = found;
    const expires = found.expiresMs === null ? undefined : new Date(found.expiresMs).toISOString();
    this.#reply({ type: 'authenticated', user: found.user, expires, ref });
    await this.comeIn(textOr(message['after']));
  }

  async #onSubscribe(message: Message): Promise<void> {
    const { topic, ref, after } = message;
    if (typeof topic !== 'string' || subjectProblem(topic, true) !== undefined) {
      return this.#refuse(ref, 'no_topic', '"topic" is dotted parts, such as rooms.7');
    }
    const rule = ruleFor(this.#hub.settings.topics, topic, this.caller);
    if (rule === undefined || !isAllowed(rule.subscribe, this.caller)) {
      return this.#refuse(ref, 'forbidden', 'you may not subscribe to this topic', topic);
    }
    if (this.#subscriptions.has(topic)) this.#unsubscribe(topic);
    if (this.#subscriptions.size >= this.#limits.topics) {
      return this.#refuse(ref, 'too_many_topics', `at most ${this.#limits.topics} topics`, topic);
    }
    try {
      await this.#subscribe(topic, textOr(after), rule, (id) => {
        this.#reply({ type: 'subscribed', topic, id, ref });
      });
    } catch {
      this.#refuse(ref, 'unavailable', 'messages cannot be read now', topic);
    }
  }

  async #subscribe(
    topic: string,
    after: string | undefined,
    rule: TopicRule,
    begun: (id: string | undefined) => void = () => {},
  ): Promise<void> {
    const { feed, tag, settings } = this.#hub;
    await feed.start();
    const position = after === undefined ? undefined : await placeIn(feed, tag, after);
    if (this.isClosed) return;
    // Another configuration is live: it may say something else of the topic.
    if (this.#hub.settings !== settings) throw new Error('the rules have changed');
    begun(this.#hub.cursor() ?? undefined);
    const gap = (): void => {
      this.#hub.counts.gaps++;
      this.#wire.send(JSON.stringify({ type: 'gap', topic }));
    };
    // A place of another stream, or none: where it was cannot be known.
    if (position === null) gap();
    const sink = {
      event: (entry: FeedEntry): boolean => {
        this.#hub.counts.sent++;
        return this.#wire.sendEvent(entry, this.isEnveloped, tag);
      },
      gap,
    };
    const test = readable(settings.topics, rule, topic, this.caller);
    const reader = feed.read(position === null ? undefined : position, test, sink);
    const hasPresence = rule.presence && this.caller.user !== null && !/[*>]/.test(topic);
    const rights = rightsOf(settings.topics, topic, this.caller);
    this.#subscriptions.set(topic, { reader, hasPresence, rights });
    if (hasPresence) this.#hub.presence.join(topic, this.caller.user!);
  }

  #onUnsubscribe({ topic, ref }: Message): void {
    if (typeof topic !== 'string' || !this.#unsubscribe(topic)) {
      this.#refuse(ref, 'no_topic', 'you are not subscribed to it');
    } else this.#reply({ type: 'unsubscribed', topic, ref });
  }

  #unsubscribe(topic: string): boolean {
    const subscription = this.#subscriptions.get(topic);
    if (subscription === undefined) return false;
    this.#subscriptions.delete(topic);
    subscription.reader.close();
    if (subscription.hasPresence && this.caller.user !== null) this.#hub.presence.leave(topic, this.caller.user);
    return true;
  }

  async #onPublish({ topic, ref, data }: Message): Promise<void> {
    if (typeof topic !== 'string' || subjectProblem(topic, false) !== undefined) {
      return this.#refuse(ref, 'no_topic', '"topic" is dotted parts without wildcards, such as rooms.7');
    }
    if (data === undefined) return this.#refuse(ref, 'no_data', '"data" is what is published', topic);
    const rule = ruleFor(this.#hub.settings.topics, topic, this.caller);
    if (rule === undefined || !isAllowed(rule.publish, this.caller)) {
      return this.#refuse(ref, 'forbidden', 'you may not publish to this topic', topic);
    }
    try {
      const id = await this.#hub.publish(topic, Buffer.from(JSON.stringify(data)), this.caller.user);
      this.#reply({ type: 'published', topic, id, ref });
    } catch {
      this.#refuse(ref, 'unavailable', 'it could not be published now', topic);
    }
  }

  async #onPresence({ topic, ref }: Message): Promise<void> {
    const subscription = typeof topic === 'string' ? this.#subscriptions.get(topic) : undefined;
    if (typeof topic !== 'string' || subscription?.hasPresence !== true) {
      return this.#refuse(ref, 'forbidden', 'there is presence for topics that say so and that you are subscribed to');
    }
    try {
      this.#reply({ type: 'presence', topic, users: await this.#hub.presence.users(topic), ref });
    } catch {
      this.#refuse(ref, 'unavailable', 'it is not known now', topic);
    }
  }

  // --- what a client is sent -----------------------------------------------------------------------------------------

  #reply(message: Message): void {
    if (!this.isClosed) this.#wire.send(JSON.stringify(message));
  }

  #refuse(ref: unknown, code: string, message: string, topic?: string): void {
    this.#reply({ type: 'error', code, message, topic, ref });
    if (++this.#mistakes > MAX_MISTAKES) this.close(1008, 'too many mistakes');
  }

  drained(): void {
    for (const { reader } of this.#subscriptions.values()) reader.resume();
  }

  /** Do the rules say about its subscriptions what they said when it began them? */
  get hasItsRights(): boolean {
    const { topics } = this.#hub.settings;
    return this.#subscriptions
      .entries()
      .every(([topic, { rights }]) => rightsOf(topics, topic, this.caller) === rights);
  }

  /** Tells why, if there is something to tell, and closes. */
  end(reason: HubEnd): void {
    if (this.isClosed) return;
    if (reason !== 'gone') this.#reply({ type: 'end', reason });
    this.close(END_CODES[reason], reason);
  }

  close(code: number, reason: string): void {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const topic of this.#subscriptions.keys()) this.#unsubscribe(topic);
    this.#hub.closed(this);
    this.#wire.close(code, reason);
  }
}

/** Null: a place that the stream does not have, or has no more. */
export async function placeIn(feed: Feed, tag: string, after: string): Promise<string | null> {
  const cursor = readCursor(tag, after);
  return cursor === null || (await feed.isLost(cursor)) ? null : cursor.position;
}

function parse(text: string): Message | null {
  // V8 reads JSON of any depth, but writes some of it by recursion: `ref` and `data` are written again.
  if (isNestedDeeper(text, MOST_NESTED)) return null;
  try {
    const message = JSON.parse(text) as unknown;
    return typeof message === 'object' && message !== null && !Array.isArray(message) ? (message as Message) : null;
  } catch {
    return null;
  }
}

function textOr(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Made once for all clients of a kind. */
export function frameOf(entry: FeedEntry, isEnveloped: boolean, tag: string): Buffer {
  if (!isEnveloped) return entry.once('hub plain', (event) => Buffer.from(dataText(event)));
  return entry.once('hub v1', (event) => {
    const text = dataText(event);
    const data = isJsonType(event.contentType) ? text : JSON.stringify(text);
    const head = { type: 'message', topic: event.subject, id: cursorOf(tag, event) };
    return Buffer.from(`${JSON.stringify(head).slice(0, -1)},"data":${data}}`);
  });
}
