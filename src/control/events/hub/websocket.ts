/** A client of the hub over a WebSocket, framed by the `ws` package. Loaded with the first one. */
import { type WebSocket, WebSocketServer } from 'ws';
import { ChannelSocket } from '../link/channel-socket.ts';
import type { ChannelRequest } from '../link/request.ts';
import type { FeedEntry } from '../subscribe/feed-entry.ts';
import { textFrame } from '../subscribe/text-frame.ts';
import { handshakeOf } from '../subscribe/websocket.ts';
import { frameOf, HubConnection, type Wire } from './connection.ts';
import type { Hub, HubRoute } from './hub.ts';
import { callerOf, type KnownCaller } from './known-caller.ts';

const SUBPROTOCOL = 'gatehouse.v1';

/** Around the data of a message. */
const ENVELOPE_BYTES = 1_024;
/** Bytes that wait for a client which asks and does not read. */
const MOST_WAITING_BYTES = 4 * 1024 ** 2;

const NO_BYTES = Buffer.alloc(0);

const servers = new Map<number, WebSocketServer>();

function serverFor(maxPayload: number): WebSocketServer {
  let server = servers.get(maxPayload);
  if (server === undefined) {
    server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload,
      handleProtocols: (protocols) => (protocols.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
    });
    servers.set(maxPayload, server);
  }
  return server;
}

/** `byTicket`: who the ticket in the query was made for. */
export function openHubSocket(hub: Hub, request: ChannelRequest, route: HubRoute, byTicket: KnownCaller | null): void {
  const { call } = request;
  const socket = new ChannelSocket(request.channel);
  const server = serverFor(hub.settings.maxMessageBytes + ENVELOPE_BYTES);
  server.handleUpgrade(handshakeOf(request), socket, NO_BYTES, (ws) => {
    const wire = new SocketWire(ws, socket);
    const caller = byTicket ?? callerOf(call);
    const connection = new HubConnection(hub, wire, call.route, caller, ws.protocol === SUBPROTOCOL);
    hub.opened(connection, call.address, () => wire.heartbeat());
    ws.on('close', () => connection.end('gone'));
    ws.on('error', () => {});
    socket.on('drain', () => connection.drained());
    ws.on('message', (data, isBinary) => {
      if (isBinary) connection.close(1003, 'messages are text');
      else void connection.take(data.toString());
    });
    if (caller.user === null && !route.anonymous) return;
    const after = request.query.get('after') ?? undefined;
    connection.comeIn(after).catch(() => connection.close(1013, 'messages cannot be read now'));
  });
}

class SocketWire implements Wire {
  readonly #ws: WebSocket;
  readonly #socket: ChannelSocket;
  #isAlive = true;

  constructor(ws: WebSocket, socket: ChannelSocket) {
    this.#ws = ws;
    this.#socket = socket;
    ws.on('pong', () => {
      this.#isAlive = true;
    });
  }

  send(message: Buffer | string): boolean {
    this.#ws.send(message, { binary: false });
    if (this.#socket.writableLength > MOST_WAITING_BYTES) this.#ws.terminate();
    return !this.#socket.isFull;
  }

  sendEvent(entry: FeedEntry, isEnveloped: boolean, tag: string): boolean {
    // Behind a close frame nothing may follow (§5.5.1). What `ws` sent before has left it: it holds nothing back.
    if (this.#ws.readyState !== this.#ws.OPEN) return false;
    return this.#socket.writeFrame(
      entry.once(isEnveloped ? 'hub frame v1' : 'hub frame plain', () => textFrame(frameOf(entry, isEnveloped, tag))),
    );
  }

  heartbeat(): void {
    if (!this.#isAlive) {
      this.#ws.terminate();
      return;
    }
    this.#isAlive = false;
    this.#ws.ping();
  }

  close(code: number, reason: string): void {
    this.#ws.close(code, reason);
  }
}
