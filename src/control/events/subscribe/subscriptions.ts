/**
 * Open subscriptions of the process, whatever they are carried by (sse.ts, websocket.ts): how many there may be, where
 * a client begins, heartbeats, and the end when the caller's token ends. One timer serves all connections.
 */
import type { ChannelCall, SubscribeSettings } from '../../../data/contract/events.ts';
import { invalid, type Refusal } from '../http.ts';
import type { ChannelRequest } from '../link/request.ts';
import { readCursor, streamTag } from './cursor.ts';
import type { Feed, Reader } from './feed.ts';

export interface SubscriptionLimits {
  /** Of the whole process. */
  readonly maxSubscribers: number;
}

export type EndReason = 'token_expired' | 'route_changed' | 'too_slow' | 'shutting_down' | 'gone';

/** What carries a subscription. */
export interface Transport {
  /** When something was last sent. */
  readonly lastWriteMs: number;
  heartbeat(): void;
  /** Tells the client why and closes. Not called with `gone`. */
  end(reason: EndReason): void;
}

export interface Admitted {
  readonly tag: string;
  /** Where to begin, as `Feed.read` takes it. */
  readonly start: string | null | undefined;
  /** The position that the client came with is none of the stream's any more. */
  readonly isLost: boolean;
  readonly feed: Feed;
  /** Those that it was admitted by, as JSON. */
  readonly settings: string;
  /** Gives the place back; once. */
  release(): void;
}

interface Open {
  readonly route: string;
  readonly heartbeatMs: number;
  readonly expiresMs: number;
  readonly transport: Transport;
  readonly admitted: Admitted;
  reader: Reader | undefined;
}

const TICK_MS = 1_000;
const AGAIN = { 'retry-after': '5' };
const TOO_MANY: Refusal = {
  status: 429,
  code: 'RATE_LIMIT_EXCEEDED',
  message: 'too many open subscriptions',
  headers: AGAIN,
};
const FULL: Refusal = {
  status: 503,
  code: 'SERVICE_UNAVAILABLE',
  message: 'there are too many subscribers',
  headers: AGAIN,
};

export class Subscriptions {
  readonly #limits: () => SubscriptionLimits;
  readonly #wallMs: () => number;
  readonly #open = new Map<Transport, Open>();
  readonly #perCaller = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  opened = 0;
  gaps = 0;
  sent = 0;

  constructor(limits: () => SubscriptionLimits, wallMs: () => number = Date.now) {
    this.#limits = limits;
    this.#wallMs = wallMs;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  now(): number {
    return this.#wallMs();
  }

  /** A place and a beginning for a client, or why it gets none. */
  async admit(
    request: ChannelRequest,
    settings: SubscribeSettings,
    engine: string,
    feed: Feed,
  ): Promise<Admitted | Refusal> {
    const { call } = request;
    const caller = `${call.route}\n${call.account ?? call.address}`;
    const open = this.#perCaller.get(caller) ?? 0;
    if (open >= settings.maxPerCaller) return TOO_MANY;
    if (this.#open.size >= this.#limits().maxSubscribers) return FULL;
    const tag = streamTag(engine, settings.stream);
    const asked = askedPosition(request);
    const cursor = asked === undefined ? undefined : readCursor(tag, asked);
    // Last-Event-ID is sent by browsers whatever they were sent before; only what a person wrote is a mistake.
    if (cursor === null && request.headers['last-event-id'] === undefined) {
      return invalid(400, 'after', asked ?? '', 'the id of an event of this stream');
    }
    this.#perCaller.set(caller, open + 1);
    let isReleased = false;
    const release = (): void => {
      if (isReleased) return;
      isReleased = true;
      const left = (this.#perCaller.get(caller) ?? 1) - 1;
      if (left > 0) this.#perCaller.set(caller, left);
      else this.#perCaller.delete(caller);
    };
    const isLost = cursor === null || (cursor !== undefined && (await feed.isLost(cursor)));
    const start = isLost ? null : (cursor?.position ?? (settings.from === 'earliest' ? null : undefined));
    return { tag, start, isLost, release, feed, settings: JSON.stringify(settings) };
  }

  add(transport: Transport, call: ChannelCall, settings: SubscribeSettings, admitted: Admitted): void {
    this.opened++;
    this.#open.set(transport, {
      route: call.route,
      heartbeatMs: settings.heartbeatMs,
      expiresMs: call.expires === null ? Number.POSITIVE_INFINITY : call.expires * 1_000,
      transport,
      admitted,
      reader: undefined,
    });
  }

  /** Its reader ends with it. */
  reads(transport: Transport, reader: Reader): void {
    const open = this.#open.get(transport);
    if (open === undefined) reader.close();
    else open.reader = reader;
  }

  /** Ends one, once; `gone`: the client went away by itself. */
  end(transport: Transport, reason: EndReason): void {
    const open = this.#open.get(transport);
    if (open === undefined) return;
    this.#open.delete(transport);
    open.admitted.release();
    open.reader?.close();
    if (reason !== 'gone') transport.end(reason);
  }

  #tick(): void {
    const nowMs = this.#wallMs();
    for (const { transport, expiresMs, heartbeatMs } of this.#open.values()) {
      if (expiresMs <= nowMs) this.end(transport, 'token_expired');
      else if (nowMs - transport.lastWriteMs >= heartbeatMs) transport.heartbeat();
    }
  }

  /** Ends those that `isKept` does not know any more: by their route, its settings, and what they read. */
  endExcept(isKept: (route: string, admitted: Admitted) => boolean): void {
    for (const { transport, route, admitted } of this.#open.values())
      if (!isKept(route, admitted)) this.end(transport, 'route_changed');
  }

  stop(): void {
    clearInterval(this.#timer);
    this.endAll();
  }

  endAll(): void {
    for (const { transport } of this.#open.values()) this.end(transport, 'shutting_down');
  }
}

/** The header wins: a browser that reconnects sends it to the same URL, with the older `after` still in it. */
function askedPosition(request: ChannelRequest): string | undefined {
  const header = request.headers['last-event-id'];
  if (header !== undefined && header !== '') return header;
  return request.query.get('after') ?? undefined;
}
