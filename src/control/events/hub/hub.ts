/**
 * The hub: clients that are connected to this process, their limits, and what services ask of it over HTTP. Messages
 * are events of one stream whose engine carries them between gateways and keeps them for a while, so that a client that
 * comes back misses nothing. Part of the event bridge, for routes with `builtin: realtime`.
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from '../../../base/log.ts';
import { REALTIME_STREAM } from '../../../data/contract/events.ts';
import { subjectProblem } from '../../../data/contract/subjects.ts';
import type { Store } from '../../store/store.ts';
import type { ServiceCallers } from '../deliver/service-callers.ts';
import { EngineFault, type EventEngine } from '../engines/engine.ts';
import { isJsonType } from '../event-json.ts';
import { invalid, methodNotAllowed, REFUSALS, type Refusal, unavailable } from '../http.ts';
import type { ChannelRequest } from '../link/request.ts';
import { writeCursor } from '../subscribe/cursor.ts';
import type { Feed } from '../subscribe/feed.ts';
import type { EventTables } from '../tables.ts';
import { callerOf, type KnownCaller } from './known-caller.ts';
import type { HubLimits, HubSettings } from './options.ts';
import { Presence, type PresenceChange } from './presence.ts';
import { isAllowed, ruleFor } from './rights.ts';
import { Tickets } from './tickets.ts';

export type HubEnd = 'token_expired' | 'shutting_down' | 'route_changed' | 'gone';

/** A client, over a WebSocket or server-sent events. */
export interface HubClient {
  readonly route: string;
  readonly caller: KnownCaller;
  /** Known, or welcome as nobody. */
  readonly isIn: boolean;
  readonly openedMs: number;
  /** Subscriptions that it has. */
  readonly topics: number;
  /** Whether the rules of topics say of its subscriptions what they said when they began. */
  readonly hasItsRights: boolean;
  end(reason: HubEnd): void;
  /** By a code of RFC 6455 §7.4.1, without further words. */
  close(code: number, reason: string): void;
}

interface Counted {
  key: string;
  readonly address: string;
  readonly beat: () => void;
}

export interface HubParts {
  readonly settings: HubSettings;
  readonly store: Store<EventTables>;
  readonly log: Logger;
  readonly engine: EventEngine;
  readonly feed: Feed;
  readonly tag: string;
  readonly callers: Pick<ServiceCallers, 'identify'>;
}

export interface HubRoute {
  /** Segments of the path in front of the hub's own: 1 for `/ws/*`. */
  readonly segments: number;
  readonly origins: readonly string[];
  readonly anonymous: boolean;
}

const TICK_MS = 1_000;
const ACK_TIMEOUT_MS = 2_000;
const FORBIDDEN: Refusal = {
  status: 403,
  code: 'INSUFFICIENT_PERMISSIONS',
  message: 'the caller may not do this with the topic',
};
const TOO_MANY: Refusal = {
  status: 429,
  code: 'RATE_LIMIT_EXCEEDED',
  message: 'too many open connections',
  headers: { 'retry-after': '5' },
};

const ENDS = unavailable('the hub takes no more connections', 1);

export class Hub {
  settings: HubSettings;
  readonly feed: Feed;
  readonly tag: string;
  readonly tickets: Tickets;
  readonly presence: Presence;
  readonly counts = { opened: 0, refused: 0, published: 0, sent: 0, gaps: 0 };
  readonly #engine: EventEngine;
  readonly #callers: Pick<ServiceCallers, 'identify'>;
  readonly #open = new Map<HubClient, Counted>();
  readonly #perCaller = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  #isEnding = false;

  constructor({ settings, store, log, engine, feed, tag, callers }: HubParts) {
    this.settings = settings;
    this.feed = feed;
    this.tag = tag;
    this.#engine = engine;
    this.#callers = callers;
    this.tickets = new Tickets(store);
    this.presence = new Presence(store, log, (topic, user, change) => this.#tellPresence(topic, user, change));
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  get connections(): number {
    return this.#open.size;
  }

  get subscriptions(): number {
    let sum = 0;
    for (const { topics } of this.#open.keys()) sum += topics;
    return sum;
  }

  nowMs(): number {
    return Date.now();
  }

  limitsOf({ plan }: KnownCaller): HubLimits {
    return (plan === null ? undefined : this.settings.plans[plan]) ?? this.settings.limits;
  }

  // --- connections -------------------------------------------------------------------------------------------------

  /**
   * Undefined: there is room for one more of this caller. Asked just before it opens, since what opens after `endAll`
   * nothing would end.
   */
  refusalFor(caller: KnownCaller, address: string): Refusal | undefined {
    if (this.#isEnding) return ENDS;
    const open = this.#perCaller.get(countKey(caller, address)) ?? 0;
    return open >= this.limitsOf(caller).connections ? TOO_MANY : undefined;
  }

  /** `heartbeat` is called at the pace of the settings. */
  opened(client: HubClient, address: string, heartbeat: () => void): void {
    this.counts.opened++;
    const key = countKey(client.caller, address);
    this.#count(key, 1);
    let lastMs = this.nowMs();
    const beat = (): void => {
      if (this.nowMs() - lastMs < this.settings.heartbeatMs) return;
      lastMs = this.nowMs();
      heartbeat();
    };
    this.#open.set(client, { key, address, beat });
  }

  /** The connection is this caller's from now on. False: who has too many. */
  recount(client: HubClient, caller: KnownCaller): boolean {
    const counted = this.#open.get(client);
    if (counted === undefined) return false;
    const next = countKey(caller, counted.address);
    if (next === counted.key) return true;
    if ((this.#perCaller.get(next) ?? 0) >= this.limitsOf(caller).connections) return false;
    this.#count(counted.key, -1);
    this.#count(next, 1);
    counted.key = next;
    return true;
  }

  #count(key: string, change: 1 | -1): void {
    const count = (this.#perCaller.get(key) ?? 0) + change;
    if (count > 0) this.#perCaller.set(key, count);
    else this.#perCaller.delete(key);
  }

  closed(client: HubClient): void {
    const counted = this.#open.get(client);
    if (counted === undefined) return;
    this.#open.delete(client);
    this.#count(counted.key, -1);
  }

  #tick(): void {
    const nowMs = this.nowMs();
    for (const [client, { beat }] of this.#open) {
      const { expiresMs } = client.caller;
      if (expiresMs !== null && expiresMs <= nowMs) client.end('token_expired');
      else if (!client.isIn && nowMs - client.openedMs >= this.settings.authTimeoutMs) {
        this.counts.refused++;
        client.close(1008, 'authentication required');
      } else beat();
    }
  }

  /** A configuration is live: whose topics it gives to others, or to nobody, comes back by what it says. */
  use(settings: HubSettings): void {
    const isSame = JSON.stringify(settings.topics) === JSON.stringify(this.settings.topics);
    this.settings = settings;
    if (isSame) return;
    for (const client of this.#open.keys()) if (!client.hasItsRights) client.end('route_changed');
  }

  endExcept(isKept: (route: string) => boolean): void {
    for (const client of this.#open.keys()) if (!isKept(client.route)) client.end('route_changed');
  }

  /** By a credential in a message: a ticket here, anything else as the route would take it in a field. */
  async identify(route: string, message: Readonly<Record<string, unknown>>): Promise<KnownCaller | null> {
    const { ticket, token, apiKey } = message;
    try {
      if (typeof ticket === 'string') return await this.tickets.take(ticket);
      const fields: [string, string][] = [];
      if (typeof token === 'string') fields.push(['authorization', `Bearer ${token}`]);
      if (typeof apiKey === 'string') fields.push(['x-api-key', apiKey]);
      if (fields.length === 0) return null;
      return await this.#callers.identify(route, fields);
    } catch {
      return null;
    }
  }

  // --- messages ----------------------------------------------------------------------------------------------------

  /** The id of the message, once it is durable. Rejects with an `EngineFault`. */
  async publish(topic: string, data: Uint8Array, user: string | null, type = 'message'): Promise<string> {
    const id = randomUUID();
    const attributes: Record<string, string> = { type, source: '/realtime', time: new Date().toISOString() };
    if (user !== null) attributes['user'] = user;
    const event = { id, subject: topic, key: topic, contentType: 'application/json', attributes, data, dedupeId: null };
    await this.#engine.publish(REALTIME_STREAM, event, ACK_TIMEOUT_MS);
    this.counts.published++;
    return id;
  }

  async #tellPresence(topic: string, user: string, change: PresenceChange): Promise<void> {
    const data = Buffer.from(JSON.stringify({ type: 'presence', topic, user, change }));
    await this.publish(topic, data, user, 'presence');
  }

  // --- over HTTP -----------------------------------------------------------------------------------------------------

  /** What lies below the hub's path: `ticket`, `topics/TOPIC`, `topics/TOPIC/presence`. Undefined: responded. */
  async serve(request: ChannelRequest, path: readonly string[]): Promise<Refusal | undefined> {
    const [what, topic = '', detail] = path;
    const caller = callerOf(request.call);
    if (what === 'ticket' && path.length === 1) {
      if (request.method !== 'POST') return methodNotAllowed('POST');
      if (caller.user === null) return REFUSALS.unauthenticated;
      const ttlMs = Math.min(this.settings.ticketTtlMs, (caller.expiresMs ?? Number.POSITIVE_INFINITY) - this.nowMs());
      const ticket = await this.tickets.issue(caller, ttlMs);
      request.sendJson(201, { ticket, expiresIn: Math.max(0, Math.floor(ttlMs / 1_000)) });
      return undefined;
    }
    if (what !== 'topics' || path.length > 3 || topic === '') return REFUSALS.notFound;
    if (subjectProblem(topic, false) !== undefined)
      return invalid(400, 'topic', topic, 'dotted parts, such as rooms.7');
    const rule = ruleFor(this.settings.topics, topic, caller);
    if (detail === 'presence') {
      if (request.method !== 'GET') return methodNotAllowed('GET');
      if (rule?.presence !== true || !isAllowed(rule.subscribe, caller)) return FORBIDDEN;
      request.sendJson(200, { topic, users: await this.presence.users(topic) });
      return undefined;
    }
    if (detail !== undefined) return REFUSALS.notFound;
    if (request.method !== 'POST') return methodNotAllowed('POST');
    if (rule === undefined || !isAllowed(rule.publish, caller)) {
      return caller.user === null ? REFUSALS.unauthenticated : FORBIDDEN;
    }
    return await this.#publishRequest(request, topic, caller);
  }

  async #publishRequest(request: ChannelRequest, topic: string, caller: KnownCaller): Promise<Refusal | undefined> {
    const contentType = request.headers['content-type'] ?? '';
    if (!isJsonType(contentType)) return invalid(422, 'content-type', contentType, 'application/json');
    const { body } = request;
    if (body.byteLength > this.settings.maxMessageBytes) return REFUSALS.tooLarge;
    try {
      JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
    } catch {
      return invalid(422, 'body', '', 'valid JSON in UTF-8');
    }
    try {
      const id = await this.publish(topic, body, caller.user);
      request.sendJson(202, { id, topic });
      return undefined;
    } catch (error) {
      if (error instanceof EngineFault) return unavailable('the message could not be made durable', 5);
      throw error;
    }
  }

  cursor(): string | null {
    return this.feed.head === null ? null : writeCursor(this.tag, this.feed.head);
  }

  async clean(): Promise<void> {
    await this.tickets.clean();
  }

  /** Those that are open, and none opens any more. */
  endAll(): void {
    this.#isEnding = true;
    for (const client of this.#open.keys()) client.end('shutting_down');
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.endAll();
    await this.presence.stop();
  }
}

function countKey({ account }: KnownCaller, address: string): string {
  return account === null ? `\n${address}` : account;
}
