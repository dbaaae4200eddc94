/**
 * A gRPC service on node:http2 and protobufjs, as plain as the protocol is: a POST for each call, messages with five
 * bytes in front, the status as a trailer. It knows nothing of JSON or of the gateway.
 */
import { createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';

interface Book {
  readonly name: string;
  readonly title: string;
}

const [NOT_FOUND, ALREADY_EXISTS, UNIMPLEMENTED, INVALID_ARGUMENT] = [5, 6, 12, 3];

class Refusal extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

const root = new protobuf.Root();
const google = root.resolvePath.bind(root);
// The options of google.api are for the gateway; only messages matter here.
root.resolvePath = (origin, target) => (target.startsWith('google/api/') ? null : google(origin, target));
await root.load(fileURLToPath(new URL('../books.proto', import.meta.url)));
const service = root.lookupService('books.v1.Library');
service.resolveAll();

const books = new Map<string, Book>();
const watchers = new Set<(book: Book) => void>();

const calls: Record<string, (request: never) => object> = {
  GetBook: ({ name }: { name: string }) => find(name),
  ListBooks: ({ parent, page_size: size }: { parent: string; page_size: number }) => ({
    books: [...books.values()].filter(({ name }) => name.startsWith(`${parent}/`)).slice(0, size || 100),
  }),
  CreateBook: ({ parent, book }: { parent: string; book: Book | null }) => {
    if (book === null || book.title === '') throw new Refusal(INVALID_ARGUMENT, 'a book has a title');
    const name = `${parent}/books/${book.title.toLowerCase().replace(/\W+/g, '-')}`;
    if (books.has(name)) throw new Refusal(ALREADY_EXISTS, `${name} is there already`);
    const made = { ...book, name };
    books.set(name, made);
    for (const tell of watchers) tell(made);
    return made;
  },
  DeleteBook: ({ name }: { name: string }) => {
    find(name);
    books.delete(name);
    return {};
  },
};

function find(name: string): Book {
  const book = books.get(name);
  if (book === undefined) throw new Refusal(NOT_FOUND, `there is no ${name}`);
  return book;
}

function framed(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

function end(stream: ServerHttp2Stream, code: number, message: string): void {
  const status = { 'grpc-status': `${code}`, 'grpc-message': encodeURIComponent(message) };
  if (!stream.headersSent) {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...status }, { endStream: true });
    return;
  }
  stream.once('wantTrailers', () => stream.sendTrailers(status));
  stream.end();
}

function begin(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
}

function answer(stream: ServerHttp2Stream, path: string, body: Buffer): void {
  const method = service.methods[path.split('/')[2] ?? ''];
  if (method === undefined) throw new Refusal(UNIMPLEMENTED, `there is no ${path}`);
  const type = method.resolvedResponseType!;
  if (method.name === 'WatchBooks') {
    begin(stream);
    const tell = (book: Book): void => void stream.write(framed(type.encode(type.fromObject(book)).finish()));
    for (const book of books.values()) tell(book);
    watchers.add(tell);
    stream.once('close', () => watchers.delete(tell));
    return;
  }
  const request = method.resolvedRequestType!.decode(body.subarray(5));
  const plain = method.resolvedRequestType!.toObject(request, { defaults: true });
  const response = calls[method.name]!(plain as never);
  begin(stream);
  stream.write(framed(type.encode(type.fromObject(response)).finish()));
  end(stream, 0, '');
}

const server = createServer();
server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
  const chunks: Buffer[] = [];
  stream.on('error', () => {});
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => {
    try {
      answer(stream, headers[':path'] ?? '', Buffer.concat(chunks));
    } catch (error) {
      end(stream, error instanceof Refusal ? error.code : 13, error instanceof Error ? error.message : 'unknown');
    }
  });
});
server.listen(Number(process.env['PORT'] ?? 50051), '127.0.0.1', () => {
  console.log(`books: gRPC on ${JSON.stringify(server.address())}`);
});
