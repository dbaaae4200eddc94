/**
 * Subscriptions as server-sent events (WHATWG HTML, section "Server-sent events"). A connection begins with the position
 * it stands at, so that a client that reconnects before its first event misses nothing; it ends when the caller's token
 * does. One timer serves all connections: heartbeats and ends.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ChannelCall, SubscribeSettings } from '../../../data/contract/events.ts';
import { compilePattern } from '../../../data/contract/subjects.ts';
import { comparePositions } from '../engines/engine.ts';
import { dataText, eventJson } from '../event-json.ts';
import { invalid, methodNotAllowed, type Refusal, textOf } from '../http.ts';
import { readCursor, streamTag, writeCursor } from './cursor.ts';
import type { Feed, FeedEntry, Reader, Sink } from './feed.ts';

export interface SubscriptionLimits {
  /** Of the whole process. */
  readonly maxSubscribers: number;
}

interface Connection {
  readonly route: string;
  readonly heartbeatMs: number;
  readonly expiresMs: number;
  lastWriteMs: number;
  write(bytes: Buffer | string): boolean;
  end(reason: string): void;
}

const TICK_MS = 1_000;
const HEARTBEAT = Buffer.from(':\n\n');
const TOO_MANY: Refusal = {
  status: 429,
  code: 'RATE_LIMIT_EXCEEDED',
  message: 'too many open subscriptions',
  headers: { 'retry-after': '5' },
};
const FULL: Refusal = {
  status: 503,
  code: 'SERVICE_UNAVAILABLE',
  message: 'there are too many subscribers',
  headers: { 'retry-after': '5' },
};

export class Subscriptions {
  readonly #limits: () => SubscriptionLimits;
  readonly #wallMs: () => number;
  readonly #connections = new Set<Connection>();
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

  get open(): number {
    return this.#connections.size;
  }

  /** Undefined: the connection is held. Otherwise why it is not. */
  async serve(
    request: IncomingMessage,
    response: ServerResponse,
    call: ChannelCall,
    settings: SubscribeSettings,
    engineName: string,
    feed: Feed,
  ): Promise<Refusal | undefined> {
    if (request.method !== 'GET') return methodNotAllowed('GET');
    const caller = `${call.route}\n${call.caller ?? call.address}`;
    const open = this.#perCaller.get(caller) ?? 0;
    if (open >= settings.maxPerCaller) return TOO_MANY;
    if (this.#connections.size >= this.#limits().maxSubscribers) return FULL;
    const tag = streamTag(engineName, settings.stream);
    const asked = askedPosition(request);
    const position = asked === undefined ? undefined : readCursor(tag, asked);
    // Last-Event-ID is sent by browsers whatever they were sent before; only what a person wrote is a mistake.
    if (position === null && textOf(request.headers['last-event-id']) === undefined) {
      return invalid(400, 'after', asked ?? '', 'the id of an event of this stream');
    }
    this.#perCaller.set(caller, open + 1);
    const release = (): void => {
      const left = (this.#perCaller.get(caller) ?? 1) - 1;
      if (left > 0) this.#perCaller.set(caller, left);
      else this.#perCaller.delete(caller);
    };
    const isAhead = typeof position === 'string' && (await isAheadOf(feed, position).catch(() => false));
    if (response.destroyed || request.destroyed) {
      release();
      return undefined;
    }
    this.#open(response, call, settings, tag, feed, { position, isLost: position === null || isAhead }, release);
    return undefined;
  }

  #open(
    response: ServerResponse,
    call: ChannelCall,
    settings: SubscribeSettings,
    tag: string,
    feed: Feed,
    begin: { readonly position: string | null | undefined; readonly isLost: boolean },
    release: () => void,
  ): void {
    // Without chunks each event is one write; the connection to the gateway ends with the subscription.
    response.useChunkedEncodingByDefault = false;
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
      connection: 'close',
    });
    let reader: Reader | undefined;
    const connection: Connection = {
      route: call.route,
      heartbeatMs: settings.heartbeatMs,
      expiresMs: call.expires === null ? Number.POSITIVE_INFINITY : call.expires * 1_000,
      lastWriteMs: this.#wallMs(),
      write: (bytes) => {
        connection.lastWriteMs = this.#wallMs();
        return response.write(bytes);
      },
      end: (reason) => {
        if (!this.#connections.delete(connection)) return;
        release();
        reader?.close();
        response.end(`event: end\ndata: ${JSON.stringify({ reason })}\n\n`);
      },
    };
    this.#connections.add(connection);
    this.opened++;
    response.on('close', () => {
      if (this.#connections.delete(connection)) release();
      reader?.close();
    });
    response.on('error', () => {});
    const sink: Sink = {
      event: (entry) => {
        this.sent++;
        return connection.write(frameOf(entry, settings.format, tag));
      },
      gap: () => {
        this.gaps++;
        connection.write(`event: gap\ndata: ${JSON.stringify({ stream: settings.stream })}\n\n`);
      },
      tooSlow: () => connection.end('too_slow'),
    };
    const start = startOf(begin, settings);
    const at = start === undefined ? feed.head : start;
    // An id without data moves the client's position and is no event (WHATWG HTML, "dispatch the event").
    connection.write(`retry: ${settings.retryMs}\n${at === null ? '' : `id: ${writeCursor(tag, at)}\n`}\n`);
    if (begin.isLost) sink.gap();
    reader = feed.read(start, compilePattern(call.subject), sink, settings.slow);
    response.on('drain', () => reader?.resume());
  }

  #tick(): void {
    const nowMs = this.#wallMs();
    for (const connection of this.#connections) {
      if (connection.expiresMs <= nowMs) connection.end('token_expired');
      else if (nowMs - connection.lastWriteMs >= connection.heartbeatMs) connection.write(HEARTBEAT);
    }
  }

  /** Ends those of routes that `isKept` does not know any more. */
  endExcept(isKept: (route: string) => boolean): void {
    for (const connection of this.#connections) if (!isKept(connection.route)) connection.end('route_changed');
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const connection of this.#connections) connection.end('shutting_down');
  }
}

/** The header wins: a browser that reconnects sends it to the same URL, with the older `after` still in it. */
function askedPosition(request: IncomingMessage): string | undefined {
  const header = textOf(request.headers['last-event-id']);
  if (header !== undefined && header !== '') return header;
  const query = request.url?.split('?')[1];
  return query === undefined ? undefined : (new URLSearchParams(query).get('after') ?? undefined);
}

/** A position that the stream does not have yet: from a stream that was lost, or from a process that sees further. */
async function isAheadOf(feed: Feed, position: string): Promise<boolean> {
  if (feed.head !== null && comparePositions(position, feed.head) <= 0) return false;
  const latest = await feed.engine.latest(feed.stream);
  return latest === null || comparePositions(position, latest) > 0;
}

function startOf(
  { position, isLost }: { readonly position: string | null | undefined; readonly isLost: boolean },
  settings: SubscribeSettings,
): string | null | undefined {
  if (isLost) return null;
  if (position !== undefined) return position;
  return settings.from === 'earliest' ? null : undefined;
}

function frameOf(entry: FeedEntry, format: SubscribeSettings['format'], tag: string): Buffer {
  return entry.once(`sse ${format}`, (event) => {
    const text = format === 'cloudevent' ? eventJson(event) : dataText(event);
    const lines = text.replace(/\r\n|\r|\n/g, '\ndata: ');
    return Buffer.from(`id: ${writeCursor(tag, event.position)}\ndata: ${lines}\n\n`);
  });
}
