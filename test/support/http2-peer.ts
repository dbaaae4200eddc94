/**
 * The other end of an HTTP/2 connection, frame by frame: sends what a test says, right or wrong, and keeps what comes
 * back. It has flow control of its own only where a test asks for it.
 */
import type { Socket } from 'node:net';
import { connect as connectTcp } from 'node:net';
import * as f from '../../src/data/http2/frames.ts';
import { HpackDecoder } from '../../src/data/http2/hpack/decoder.ts';
import type { Scope } from './scope.ts';
import type { Upstream } from './upstream.ts';
import { rawUpstream } from './upstream.ts';

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
  /** Of HEADERS. */
  readonly fields: readonly (readonly [string, string])[];
}

type Pairs = readonly (readonly [name: string, value: string])[];

export function frame(type: number, flags: number, stream: number, payload: Uint8Array | string = ''): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload;
  const header = Buffer.alloc(f.HEADER_BYTES);
  f.putHeader(header, 0, body.length, type, flags, stream);
  return Buffer.concat([header, body]);
}

/** Literals without indexing and without the Huffman code (RFC 7541 §6.2.2), whatever stands in them. */
export function block(fields: Pairs): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]));
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes]);
  const rest = bytes.length - 127;
  return Buffer.concat([Buffer.of(127, 0x80 | (rest & 127), 0x80 | ((rest >> 7) & 127), rest >> 14), bytes]);
}

/** A frame whose payload is one number. */
export function numbered(type: number, stream: number, value: number): Buffer {
  return frame(type, 0, stream, number(value));
}

export function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export const GET: Pairs = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':authority', 'a.test'],
  [':path', '/'],
];

export function get(path: string, more: Pairs = []): Pairs {
  return [...GET.slice(0, 3), [':path', path], ...more];
}

export function post(path: string, more: Pairs = []): Pairs {
  return [[':method', 'POST'], ...GET.slice(1, 3), [':path', path], ...more];
}

export class Http2Peer {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  isClosed = false;
  /** Gives windows back as DATA comes. */
  credits = true;
  readonly #decoder = new HpackDecoder();
  #bytes: Buffer = Buffer.alloc(0);
  readonly #waiting = new Set<() => void>();
  /** Bytes of a client's preface that are still to come. */
  #preface = 0;

  constructor(socket: Socket, isServer = false) {
    this.socket = socket;
    if (isServer) this.#preface = f.PREFACE.length;
    socket.on('data', (bytes: Buffer) => this.#read(bytes));
    socket.on('error', () => this.#close());
    socket.on('close', () => this.#close());
    socket.on('end', () => this.#close());
  }

  /** A client by prior knowledge, with preface and settings unless told otherwise. */
  static async connect(
    test: Scope,
    port: number,
    settings: readonly (readonly [number, number])[] | null = [],
  ): Promise<Http2Peer> {
    const socket = connectTcp({ port, host: '127.0.0.1', noDelay: true });
    const peer = new Http2Peer(socket);
    test.after(() => void socket.destroy());
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    if (settings !== null) peer.send(f.PREFACE, f.settingsFrame(settings));
    return peer;
  }

  /** An instance that does with each connection exactly what the test says; settings are sent, and nothing else. */
  static async serve(
    test: Scope,
    onConnection: (peer: Http2Peer, nth: number) => void,
    settings: readonly (readonly [number, number])[] = [],
  ): Promise<Upstream> {
    return rawUpstream(test, (socket, nth) => {
      const peer = new Http2Peer(socket, true);
      peer.send(f.settingsFrame(settings));
      onConnection(peer, nth);
    });
  }

  /** The nth request that comes. */
  async request(nth = 0): Promise<Frame> {
    const requests = () => this.frames.filter(({ type, fields }) => type === f.HEADERS && fields[0]?.[0] === ':method');
    await this.frame(() => requests().length > nth, `request ${nth}`);
    return requests()[nth]!;
  }

  /** Nothing once its side has ended. */
  send(...frames: readonly Uint8Array[]): void {
    if (this.socket.writableEnded) return;
    this.socket.write(Buffer.concat(frames));
  }

  headers(stream: number, fields: Pairs, flags: number = f.END_STREAM | f.END_HEADERS): void {
    this.send(frame(f.HEADERS, flags, stream, block(fields)));
  }

  data(stream: number, text: Uint8Array | string, flags = 0): void {
    this.send(frame(f.DATA, flags, stream, text));
  }

  /** The first frame that is so, now or later; fails when the connection ends before. */
  async frame(is: (frame: Frame) => boolean, what = 'such a frame'): Promise<Frame> {
    for (;;) {
      const found = this.frames.find(is);
      if (found !== undefined) return found;
      if (this.isClosed) throw new Error(`closed without ${what}; came: ${this.summary()}`);
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /** The final head of a response. */
  head(stream: number): Promise<Frame> {
    return this.frame(
      (frame) => frame.stream === stream && frame.type === f.HEADERS && !/^1/.test(fieldOf(frame, ':status') ?? '1'),
      `a head on stream ${stream}`,
    );
  }

  /** Status and body of a response that ends. */
  async response(stream: number): Promise<{ status: string; body: string; head: Frame; trailers: Frame | null }> {
    const head = await this.head(stream);
    await this.frame(
      (frame) => frame.stream === stream && (frame.flags & f.END_STREAM) !== 0 && frame.type <= f.HEADERS,
      `the end of stream ${stream}`,
    );
    const trailers = this.frames.findLast((frame) => frame.stream === stream && frame.type === f.HEADERS)!;
    return {
      status: fieldOf(head, ':status')!,
      body: this.body(stream).toString('latin1'),
      head,
      trailers: trailers === head ? null : trailers,
    };
  }

  body(stream: number): Buffer {
    return Buffer.concat(
      this.frames.filter((frame) => frame.type === f.DATA && frame.stream === stream).map(({ payload }) => payload),
    );
  }

  /** Error code of the RST_STREAM for a stream. */
  async reset(stream: number): Promise<number> {
    const found = await this.frame(
      (frame) => frame.type === f.RST_STREAM && frame.stream === stream,
      `a reset of ${stream}`,
    );
    return found.payload.readUInt32BE(0);
  }

  /** Error code and text of a GOAWAY that is an error. */
  async goaway(): Promise<{ code: number; text: string; last: number }> {
    const found = await this.frame(
      (frame) => frame.type === f.GOAWAY && frame.payload.readUInt32BE(4) !== f.NO_ERROR,
      'a GOAWAY with an error',
    );
    return {
      last: found.payload.readUInt32BE(0),
      code: found.payload.readUInt32BE(4),
      text: found.payload.toString('latin1', 8),
    };
  }

  async closed(): Promise<void> {
    while (!this.isClosed) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  /** Everything sent so far has been handled: a PING comes back. */
  async settled(): Promise<void> {
    const mark = Buffer.from(`p${`${++this.#pings}`.padStart(7, '0')}`);
    this.send(frame(f.PING, 0, 0, mark));
    await this.frame(
      ({ type, flags, payload }) => type === f.PING && flags === f.ACK && payload.equals(mark),
      'a PING',
    );
  }

  #pings = 0;

  summary(): string {
    const rest = this.#bytes.length === 0 ? [] : [`and then ${JSON.stringify(this.#bytes.toString('latin1'))}`];
    return this.frames
      .map(({ type, flags, stream, payload }) => `${type}/${flags}@${stream}:${payload.length}`)
      .concat(rest)
      .join(' ');
  }

  #read(read: Buffer): void {
    const skipped = Math.min(this.#preface, read.length);
    this.#preface -= skipped;
    this.#bytes = Buffer.concat([this.#bytes, read.subarray(skipped)]);
    while (this.#bytes.length >= f.HEADER_BYTES) {
      const length = this.#bytes.readUIntBE(0, 3);
      if (this.#bytes.length < f.HEADER_BYTES + length) break;
      const [type, flags, stream] = [this.#bytes[3]!, this.#bytes[4]!, this.#bytes.readUInt32BE(5)];
      const payload = Buffer.from(this.#bytes.subarray(f.HEADER_BYTES, f.HEADER_BYTES + length));
      this.#bytes = this.#bytes.subarray(f.HEADER_BYTES + length);
      const fields: [string, string][] = [];
      if (type === f.HEADERS) this.#decode(payload, fields);
      this.frames.push({ type, flags, stream, payload, fields });
      if (type === f.SETTINGS && flags === 0) this.send(f.SETTINGS_ACK);
      if (type === f.DATA && length > 0 && this.credits)
        this.send(numbered(f.WINDOW_UPDATE, 0, length), numbered(f.WINDOW_UPDATE, stream, length));
    }
    this.#wake();
  }

  #decode(payload: Buffer, fields: [string, string][]): void {
    const fine = this.#decoder.decode(payload, 0, payload.length, {
      onField: (bytes, start, nameLength, valueLength) => {
        const at = start + nameLength + 2;
        fields.push([bytes.latin1Slice(start, start + nameLength), bytes.latin1Slice(at, at + valueLength)]);
      },
    });
    if (!fine) throw new Error(this.#decoder.problem);
  }

  #close(): void {
    this.isClosed = true;
    this.#wake();
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }
}

export function fieldOf({ fields }: Frame, name: string): string | undefined {
  return fields.find(([other]) => other === name)?.[1];
}
