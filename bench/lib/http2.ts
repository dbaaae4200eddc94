/**
 * HTTP/2 for the two ends of a benchmark: one whole request for the checks (node:http2, which knows nothing of the code
 * it judges), and the few frames that an idle connection needs, by hand, since ten thousand of them must be cheap.
 */
import { connect } from 'node:http2';

export interface Http2Answer {
  readonly status: number;
  readonly body: Buffer;
  readonly trailers: Readonly<Record<string, unknown>>;
}

export interface Http2Request {
  readonly port: number;
  readonly tls: boolean;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

/** Rejects when no whole answer came within half a minute. */
export function http2Request({ port, tls, path, headers, body }: Http2Request): Promise<Http2Answer> {
  return new Promise((resolve, reject) => {
    // The certificate is made for the run and signed by itself.
    const session = connect(`${tls ? 'https' : 'http'}://127.0.0.1:${port}`, { rejectUnauthorized: false });
    const timer = setTimeout(() => fail(new Error('no answer within 30 s')), 30_000);
    const end = () => {
      clearTimeout(timer);
      session.destroy();
    };
    const fail = (error: Error) => {
      end();
      reject(error);
    };
    session.once('error', fail);
    const method = body === undefined ? 'GET' : 'POST';
    const stream = session.request({ ':method': method, ':path': path, ...headers }, { endStream: body === undefined });
    const parts: Buffer[] = [];
    let status = 0;
    let trailers: Record<string, unknown> = {};
    stream.on('response', (head) => {
      status = head[':status'] ?? 0;
    });
    stream.on('trailers', (fields) => {
      trailers = { ...fields };
    });
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.once('error', fail);
    stream.once('end', () => {
      end();
      resolve({ status, body: Buffer.concat(parts), trailers });
    });
    if (body !== undefined) stream.end(body);
  });
}

const HEADERS = 1;
const DATA = 0;
const SETTINGS = 4;
const PING = 6;
const HEADER_BYTES = 9;
const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  payload.copy(bytes, HEADER_BYTES);
  return bytes;
}

/** The connection preface with empty settings (RFC 9113 §3.4). */
export const opening = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1'),
  frame(SETTINGS, 0, 0, Buffer.alloc(0)),
]);

/** A GET in literals that enter no table (RFC 7541 §6.2.2): good on every connection. */
export function getRequest(stream: number, path: string, authority: string): Buffer {
  const literal = (name: number, value: string) =>
    Buffer.concat([Buffer.of(name, value.length), Buffer.from(value, 'latin1')]);
  // :method GET and :scheme http are in the static table; 4 is :path, 1 is :authority.
  const block = Buffer.concat([Buffer.of(0x82, 0x86), literal(4, path), literal(1, authority)]);
  return frame(HEADERS, END_HEADERS | END_STREAM, stream, block);
}

export interface Http2Events {
  /** A response has ended. `good`: its status was 200. */
  end(good: boolean, bytes: number): void;
  /** What a peer is owed: acknowledgements. */
  send(bytes: Buffer): void;
}

/** Reads the frames of a server, one response at a time. It trusts them: the proxy between is what is judged. */
export class Http2Reader {
  readonly #events: Http2Events;
  #rest: Buffer = Buffer.alloc(0);
  #good = false;
  #bytes = 0;

  constructor(events: Http2Events) {
    this.#events = events;
  }

  feed(read: Buffer): void {
    let bytes = this.#rest.length === 0 ? read : Buffer.concat([this.#rest, read]);
    while (bytes.length >= HEADER_BYTES) {
      const end = HEADER_BYTES + bytes.readUIntBE(0, 3);
      if (bytes.length < end) break;
      this.#frame(bytes[3]!, bytes[4]!, bytes.subarray(HEADER_BYTES, end));
      bytes = bytes.subarray(end);
    }
    // A copy: a view would keep the whole read alive, on ten thousand connections.
    this.#rest = Buffer.from(bytes);
  }

  #frame(type: number, flags: number, payload: Buffer): void {
    if (type === SETTINGS && (flags & ACK) === 0) this.#events.send(frame(SETTINGS, ACK, 0, Buffer.alloc(0)));
    if (type === PING && (flags & ACK) === 0) this.#events.send(frame(PING, ACK, 0, payload));
    if (type === HEADERS) {
      // Behind changes of the table's size (001xxxxx) stands :status, and 200 is entry 8 of the static table.
      const first = payload.find((byte) => (byte & 0xe0) !== 0x20);
      this.#good = first === 0x88;
      this.#bytes = 0;
    }
    if (type === DATA) this.#bytes += payload.length;
    if ((type === DATA || type === HEADERS) && (flags & END_STREAM) !== 0) this.#events.end(this.#good, this.#bytes);
  }
}
