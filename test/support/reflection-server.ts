/**
 * A gRPC service that reflects and sends every message back: what it reflects, and how, is the test's to change while
 * it runs. Node's own HTTP/2, and messages put together by hand.
 */
import type { Http2Server, ServerHttp2Stream } from 'node:http2';
import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { fileHead, readDescriptors } from '../../src/control/grpc/descriptor-set.ts';
import type { Scope } from './scope.ts';

export interface ReflectionServer {
  readonly url: string;
  /** `v1` and `v1alpha`: only that one is known; `off`: none; `silent`: no answer comes; `garbage`: no messages. */
  speaks: 'v1' | 'v1alpha' | 'off' | 'silent' | 'garbage';
  /** A serialized FileDescriptorSet. */
  set: Buffer;
  /** Files are given one at a time, so that imports have to be asked for. */
  oneByOne: boolean;
  /** Questions so far. */
  asked: number;
  stop(): Promise<void>;
}

/** On `port`, or a free one. */
export async function reflectionServer(test: Scope, set: Buffer, port = 0): Promise<ReflectionServer> {
  const server = createServer();
  const sessions = new Set<{ destroy(): void }>();
  const stop = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const session of sessions) session.destroy();
    await closed;
  };
  server.on('session', (session) => void sessions.add(session));
  await new Promise<void>((resolve) => (server as Http2Server).listen(port, '127.0.0.1', resolve));
  test.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  const made: ReflectionServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    speaks: 'v1',
    set,
    oneByOne: false,
    asked: 0,
    stop,
  };
  server.on('stream', (opened, headers) => {
    const stream = opened as ServerHttp2Stream;
    stream.on('error', () => {});
    const version = /^\/grpc\.reflection\.(v1|v1alpha)\./.exec(headers[':path'] ?? '')?.[1];
    if (version === undefined) echo(stream);
    else answer(made, stream, version);
  });
  return made;
}

function echo(stream: ServerHttp2Stream): void {
  const parts: Buffer[] = [];
  stream.on('data', (part: Buffer) => parts.push(part));
  stream.on('end', () => respond(stream, Buffer.concat(parts), '0'));
}

function respond(stream: ServerHttp2Stream, body: Buffer, status: string): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status }));
  stream.end(body);
}

function answer(server: ReflectionServer, stream: ServerHttp2Stream, version: string): void {
  if (server.speaks === 'silent') return;
  if (server.speaks === 'off' || (server.speaks !== 'garbage' && server.speaks !== version)) {
    stream.resume();
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '12' }, { endStream: true });
    return;
  }
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  let bytes = Buffer.alloc(0);
  stream.on('data', (part: Buffer) => {
    bytes = Buffer.concat([bytes, part]);
    while (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt32BE(1)) {
      const message = bytes.subarray(5, 5 + bytes.readUInt32BE(1));
      bytes = bytes.subarray(5 + message.length);
      server.asked++;
      const reply = server.speaks === 'garbage' ? Buffer.from([0xff, 0xff, 0xff]) : replyTo(server, message);
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(reply.length, 1);
      stream.write(Buffer.concat([prefix, reply]));
    }
  });
  stream.on('end', () => stream.end());
}

/** A question is one field with a text: 3 a file by name, 4 the file of a symbol, 7 the list of services. */
function replyTo({ set, oneByOne }: ReflectionServer, message: Buffer): Buffer {
  const [[number, value] = [0, Buffer.alloc(0)]] = fieldsOf(message);
  const name = value.toString();
  const files = fieldsOf(set).map(([, file]) => file);
  if (number === 7) {
    const names = readDescriptors(files).services.map((service) => service.name);
    const listed = ['grpc.reflection.v1.ServerReflection', ...names].map((each) =>
      field(1, field(1, Buffer.from(each))),
    );
    return field(6, Buffer.concat(listed));
  }
  const found = files.filter((file) =>
    number === 3 ? fileHead(file).name === name : readDescriptors([file]).services.some((one) => one.name === name),
  );
  if (found.length === 0) {
    const problem = Buffer.concat([Buffer.of(1 << 3, 5), field(2, Buffer.from('not found'))]);
    return field(7, problem);
  }
  const given = oneByOne ? found : files;
  return field(4, Buffer.concat(given.map((file) => field(1, file))));
}

function field(number: number, value: Buffer): Buffer {
  const length: number[] = [];
  let left = value.length;
  for (; left > 127; left >>= 7) length.push((left & 127) | 128);
  return Buffer.concat([Buffer.of((number << 3) | 2, ...length, left), value]);
}

/** Fields with a length, and no others. */
function fieldsOf(bytes: Buffer): [number, Buffer][] {
  const fields: [number, Buffer][] = [];
  for (let at = 0; at < bytes.length; ) {
    const number = bytes[at++]! >> 3;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      length |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    fields.push([number, bytes.subarray(at, at + length)]);
    at += length;
  }
  return fields;
}
