/**
 * A subscription over a WebSocket (RFC 6455), framed by the `ws` package. Events are text messages. A client may send
 * `{"type":"ping"}`, which is answered with a pong that holds its position; anything else is refused as unknown, and a
 * client that goes on sending it is closed. Heartbeats are ping frames: whoever does not answer is taken for gone.
 */
import type { IncomingMessage } from 'node:http';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import type { SubscribeSettings } from '../../../data/contract/events.ts';
import { compilePattern } from '../../../data/contract/subjects.ts';
import { dataText, eventJson } from '../event-json.ts';
import type { Refusal } from '../http.ts';
import { ChannelSocket } from '../link/channel-socket.ts';
import type { ChannelRequest } from '../link/request.ts';
import { cursorOf, writeCursor } from './cursor.ts';
import type { Feed, Reader } from './feed.ts';
import type { FeedEntry } from './feed-entry.ts';
import type { Admitted, EndReason, Subscriptions, Transport } from './subscriptions.ts';
import { textFrame } from './text-frame.ts';

/** Clients only ever send pings. */
const MAX_MESSAGE_BYTES = 4_096;
/** Messages that are none, or more than ten a second over a minute, end the connection. */
const MAX_MISTAKES = 10;
const MAX_MESSAGES_PER_SECOND = 10;
const BURST = 60;

/** RFC 6455 §7.4.1. */
const CLOSE_CODES: Readonly<Record<EndReason, number>> = {
  token_expired: 1008,
  route_changed: 1012,
  too_slow: 1013,
  shutting_down: 1001,
  gone: 1000,
};

const FORBIDDEN_ORIGIN: Refusal = {
  status: 403,
  code: 'INSUFFICIENT_PERMISSIONS',
  message: 'pages of this origin may not open a WebSocket here',
};

const server = new WebSocketServer({
  noServer: true,
  clientTracking: false,
  perMessageDeflate: false,
  maxPayload: MAX_MESSAGE_BYTES,
});

const NO_BYTES = Buffer.alloc(0);

/** What `ws` reads of a request. */
export function handshakeOf({ method, url, headers }: ChannelRequest): IncomingMessage {
  return { method, url, headers } as unknown as IncomingMessage;
}

/** Why a page may not open one here, or nothing. Clients that are no browsers send no Origin. */
export function originRefusal(
  request: ChannelRequest,
  settings: Pick<SubscribeSettings, 'origins'>,
): Refusal | undefined {
  const { origin, host } = request.headers;
  if (origin === undefined || settings.origins.includes('*') || settings.origins.includes(origin)) return undefined;
  return /^https?:\/\/(.+)$/.exec(origin)?.[1] === host ? undefined : FORBIDDEN_ORIGIN;
}

export function openWebSocket(
  subscriptions: Subscriptions,
  request: ChannelRequest,
  settings: SubscribeSettings,
  admitted: Admitted,
  feed: Feed,
): void {
  const { call } = request;
  const socket = new ChannelSocket(request.channel);
  // A handshake that `ws` refuses (400, 426) never reaches the callback.
  socket.once('close', () => admitted.release());
  server.handleUpgrade(handshakeOf(request), socket, NO_BYTES, (ws) => {
    const transport = new WebSocketTransport(ws, socket, subscriptions);
    subscriptions.add(transport, call, settings, admitted);
    const { tag, start, isLost } = admitted;
    const gap = (): void => {
      subscriptions.gaps++;
      transport.send(JSON.stringify({ type: 'gap', stream: settings.stream }));
    };
    ws.on('close', () => subscriptions.end(transport, 'gone'));
    ws.on('error', () => {});
    if (isLost) gap();
    const sink = {
      event: (entry: FeedEntry): boolean => {
        subscriptions.sent++;
        return transport.sendFrame(messageOf(entry, settings.format, tag));
      },
      gap,
      tooSlow: () => subscriptions.end(transport, 'too_slow'),
    };
    const reader = feed.read(start, compilePattern(call.subject), sink, settings.slow);
    subscriptions.reads(transport, reader);
    socket.on('drain', () => reader.resume());
    ws.on('message', messages(ws, transport, reader, tag));
  });
}

/** Takes what a client sends: pings, at a human pace. */
function messages(ws: WebSocket, transport: WebSocketTransport, reader: Reader, tag: string) {
  let mistakes = 0;
  let allowance = BURST;
  let lastMs = performance.now();
  return (data: RawData, isBinary: boolean): void => {
    const nowMs = performance.now();
    allowance = Math.min(BURST, allowance + ((nowMs - lastMs) / 1_000) * MAX_MESSAGES_PER_SECOND) - 1;
    lastMs = nowMs;
    if (allowance < 0) {
      ws.close(1008, 'too many messages');
      return;
    }
    if (!isBinary && typeOf(data.toString()) === 'ping') {
      const { cursor } = reader;
      transport.send(
        JSON.stringify({
          type: 'pong',
          ...(cursor === null ? {} : { id: writeCursor(tag, cursor.position, cursor.print) }),
        }),
      );
      return;
    }
    if (++mistakes > MAX_MISTAKES) ws.close(1008, 'unknown messages');
    else transport.send(JSON.stringify({ type: 'error', message: 'there is only {"type":"ping"}' }));
  };
}

function typeOf(text: string): unknown {
  try {
    return (JSON.parse(text) as { readonly type?: unknown } | null)?.type;
  } catch {
    return undefined;
  }
}

class WebSocketTransport implements Transport {
  readonly #ws: WebSocket;
  readonly #socket: ChannelSocket;
  readonly #subscriptions: Subscriptions;
  #isAlive = true;
  lastWriteMs = 0;

  constructor(ws: WebSocket, socket: ChannelSocket, subscriptions: Subscriptions) {
    this.#ws = ws;
    this.#socket = socket;
    this.#subscriptions = subscriptions;
    this.lastWriteMs = subscriptions.now();
    ws.on('pong', () => {
      this.#isAlive = true;
    });
  }

  /** False: the client reads too slowly. */
  send(message: Buffer | string): boolean {
    this.lastWriteMs = this.#subscriptions.now();
    this.#ws.send(message, { binary: false });
    return !this.#socket.isFull;
  }

  /** Of an event, made once for all. Behind a close frame nothing may follow (RFC 6455 §5.5.1). */
  sendFrame(frame: Buffer): boolean {
    if (this.#ws.readyState !== this.#ws.OPEN) return false;
    this.lastWriteMs = this.#subscriptions.now();
    return this.#socket.writeFrame(frame);
  }

  heartbeat(): void {
    if (!this.#isAlive) {
      this.#ws.terminate();
      return;
    }
    this.#isAlive = false;
    this.lastWriteMs = this.#subscriptions.now();
    this.#ws.ping();
  }

  end(reason: EndReason): void {
    this.send(JSON.stringify({ type: 'end', reason }));
    this.#ws.close(CLOSE_CODES[reason], reason);
  }
}

/** A whole frame. `data`: what was published, to the letter. Otherwise the CloudEvent and its position. */
function messageOf(entry: FeedEntry, format: SubscribeSettings['format'], tag: string): Buffer {
  return entry.once(`ws ${format}`, (event) => {
    if (format === 'data') return textFrame(Buffer.from(dataText(event)));
    const id = JSON.stringify(cursorOf(tag, event));
    return textFrame(Buffer.from(`{"type":"event","id":${id},"event":${eventJson(event)}}`));
  });
}
