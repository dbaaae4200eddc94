/**
 * The bundled upstream, a process of its own: `node bench/upstream.ts PORT`. A raw node:net server that serves the
 * benchmark bodies, swallows uploads, hashes them (`/digest`), shows what it received (`/reflect`) and echoes
 * WebSocket frames. nginx takes its place for downloads where it is installed, being cheaper on the shared core.
 */
import { createHash, type Hash } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import { downloads } from './lib/bodies.ts';
import { acceptKey, FrameReader, frame } from './lib/websocket.ts';
import { field, MessageReader } from './lib/wire.ts';

function reply(status: string, type: string, body: Buffer): Buffer {
  const head = `HTTP/1.1 ${status}\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\nServer: bench\r\n\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), body]);
}

const ready = new Map<string, Buffer>(downloads.map(({ path, type, bytes }) => [path, reply('200 OK', type, bytes)]));
ready.set('/upload', reply('200 OK', 'text/plain', Buffer.from('taken\n')));
const notFound = reply('404 Not Found', 'text/plain', Buffer.from('no such body\n'));

/** The state of one connection: which request is being read, and what of its body counts. */
class Session {
  #socket: Socket;
  #path = '';
  #head = '';
  #bytes = 0;
  #hash: Hash | undefined;
  #frames: FrameReader | undefined;
  #reader: MessageReader;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#reader = new MessageReader({
      head: (head) => this.#begin(head),
      body: (chunk) => {
        this.#bytes += chunk.length;
        this.#hash?.update(chunk);
      },
      end: () => this.#answer(),
    });
  }

  feed(bytes: Buffer): void {
    if (this.#frames === undefined) this.#reader.feed(bytes);
    else this.#frames.feed(bytes);
  }

  #begin(head: string): void {
    const from = head.indexOf(' ') + 1;
    // Some proxies add an empty query, so what follows a question mark is not looked at.
    this.#path = head.slice(from, head.indexOf(' ', from)).split('?', 1)[0] as string;
    this.#head = head;
    this.#bytes = 0;
    this.#hash = this.#path === '/digest' ? createHash('sha256') : undefined;
    if (/^100-continue$/i.test(field(head, 'expect') ?? '')) this.#socket.write('HTTP/1.1 100 Continue\r\n\r\n');
  }

  #answer(): void {
    const key = this.#path === '/echo' ? field(this.#head, 'sec-websocket-key') : undefined;
    if (key !== undefined) this.#upgrade(key);
    else if (this.#path === '/digest') this.#json({ bytes: this.#bytes, sha256: this.#hash?.digest('hex') });
    else if (this.#path === '/reflect') this.#socket.write(reply('200 OK', 'text/plain', Buffer.from(this.#head)));
    else this.#socket.write(ready.get(this.#path) ?? notFound);
  }

  #json(value: object): void {
    this.#socket.write(reply('200 OK', 'application/json', Buffer.from(JSON.stringify(value))));
  }

  #upgrade(key: string): void {
    const accept = `Sec-WebSocket-Accept: ${acceptKey(key)}`;
    this.#socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${accept}\r\n\r\n`,
    );
    this.#frames = new FrameReader((payload) => this.#socket.write(frame(payload)));
  }
}

const upstream = createServer({ noDelay: true }, (socket) => {
  const session = new Session(socket);
  socket.on('data', (bytes: Buffer) => session.feed(bytes));
  socket.on('error', () => socket.destroy());
});
upstream.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });
