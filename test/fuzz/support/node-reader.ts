/**
 * What Node's own HTTP parser makes of bytes, in its strict mode: requests through `http.createServer`, answers through
 * `http.request`, each over a stream in memory. The other opinion of the differential tests.
 */
import { type ClientRequest, createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { turn } from './driven-connection.ts';

export interface NodeMessage {
  readonly method: string;
  readonly target: string;
  readonly status: number;
  readonly minor: number;
  readonly fields: readonly (readonly [string, string])[];
  body: string;
  trailers: readonly (readonly [string, string])[];
  complete: boolean;
}

export interface NodeReading {
  readonly messages: readonly NodeMessage[];
  /** Code of the parser's error, or null. */
  readonly error: string | null;
}

class Wire extends Duplex {
  override _read(): void {}
  override _write(_bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    done();
  }
  override _final(done: () => void): void {
    done();
  }
  setTimeout(): this {
    return this;
  }
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
}

/** Requests that Node finds in these bytes, whole or begun. Each is answered at once, so that pipelines go on. */
export async function nodeRequests(text: string): Promise<NodeReading> {
  const messages: NodeMessage[] = [];
  let error: string | null = null;
  const server = createServer({ insecureHTTPParser: false, keepAliveTimeout: 0, requireHostHeader: true });
  const take = (message: IncomingMessage): void => {
    const seen = noted(message);
    messages.push(seen);
    collect(message, seen);
  };
  server.on('request', (message, response) => {
    take(message);
    message.on('end', () => response.end('ok'));
  });
  server.on('checkContinue', (message, response) => {
    take(message);
    message.on('end', () => response.end('ok'));
  });
  server.on('checkExpectation', (message, response) => {
    error ??= 'expectation';
    message.resume();
    response.writeHead(417).end();
  });
  server.on('connect', (message, socket) => {
    error ??= 'connect';
    take(message);
    socket.destroy();
  });
  // Left open, so that the requests before the broken one come to their end.
  server.on('clientError', (problem: NodeJS.ErrnoException) => {
    error ??= problem.code ?? problem.message;
  });
  const wire = new Wire({ allowHalfOpen: true });
  wire.on('error', () => {});
  server.emit('connection', wire as unknown as Socket);
  wire.push(Buffer.from(text, 'latin1'));
  for (let i = 0; i < 4 + messages.length; i++) await turn();
  wire.destroy();
  server.closeAllConnections();
  return { messages, error };
}

/** The answer that Node finds in these bytes for a request with this method; interim ones are counted by themselves. */
export async function nodeAnswer(
  text: string,
  method: string,
  ended: boolean,
): Promise<{ readonly answer: NodeMessage | null; readonly interim: number; readonly error: string | null }> {
  const wire = new Wire({ allowHalfOpen: true });
  wire.on('error', () => {});
  let answer: NodeMessage | null = null;
  let interim = 0;
  let error: string | null = null;
  const asked: ClientRequest = httpRequest({
    method,
    host: 'a.example',
    insecureHTTPParser: false,
    createConnection: () => wire as unknown as Socket,
  });
  asked.on('information', () => interim++);
  asked.on('continue', () => {});
  asked.on('upgrade', (_message, socket) => {
    error ??= 'upgrade';
    socket.destroy();
  });
  asked.on('error', (problem: NodeJS.ErrnoException) => {
    error ??= problem.code ?? problem.message;
  });
  asked.on('response', (message) => {
    answer = noted(message);
    message.on('error', (problem: NodeJS.ErrnoException) => {
      error ??= problem.code ?? problem.message;
    });
    collect(message, answer);
  });
  asked.end();
  await turn();
  wire.push(Buffer.from(text, 'latin1'));
  await turn();
  if (ended && !wire.destroyed) wire.push(null);
  for (let i = 0; i < 4; i++) await turn();
  asked.destroy();
  wire.destroy();
  await turn();
  return { answer, interim, error };
}

function noted(message: IncomingMessage): NodeMessage {
  return {
    method: message.method ?? '',
    target: message.url ?? '',
    status: message.statusCode ?? 0,
    minor: message.httpVersionMinor,
    fields: pairs(message.rawHeaders),
    body: '',
    trailers: [],
    complete: false,
  };
}

function collect(message: IncomingMessage, seen: NodeMessage): void {
  message.on('data', (bytes: Buffer) => {
    seen.body += bytes.toString('latin1');
  });
  message.on('end', () => {
    seen.complete = message.complete;
    seen.trailers = pairs(message.rawTrailers);
  });
}

function pairs(raw: readonly string[]): (readonly [string, string])[] {
  return raw.flatMap((text, i) => (i % 2 === 0 ? [[text, raw[i + 1] ?? ''] as const] : []));
}
