/**
 * A library that is slow on purpose: its catalogue in SQLite, searches that take their time, private loans, and opening
 * hours from a source that fails now and then. What may be cached, and for how long, it says itself, in header fields.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';

const BOOKS = [
  [1, 'The Walrus Paints', 'moss', 12],
  [2, 'Nine Fences', 'moss', 9],
  [3, 'A Field Guide to Caches', 'hill', 20],
  [4, 'Vary and Other Tales', 'hill', 15],
] as const;
/** Seconds. */
const SEARCH_TAKES = 0.3;

interface Book {
  readonly id: number;
  readonly title: string;
  readonly author: string;
  readonly price: number;
}

export interface Library extends Server {
  /** Requests that came so far. */
  asked: number;
  /** Its source of opening hours is away. */
  isBroken: boolean;
}

/** Not listening yet. `searchTakes`: seconds. */
export function library(searchTakes: number = SEARCH_TAKES): Library {
  const db = new DatabaseSync(':memory:');
  db.exec('CREATE TABLE books (id INTEGER PRIMARY KEY, title TEXT, author TEXT, price REAL)');
  const insert = db.prepare('INSERT INTO books VALUES (?, ?, ?, ?)');
  for (const book of BOOKS) insert.run(...book);

  const server = createServer((request, response) => {
    server.asked++;
    response.setHeader('X-Asked', String(server.asked));
    answer(request, response).catch((error: unknown) => send(response, 500, { error: String(error) }));
  }) as Library;
  server.asked = 0;
  server.isBroken = false;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url!, 'http://library');
    const id = /^\/books\/(\d+)$/.exec(pathname)?.[1];
    if (pathname === '/books') await search(searchParams.get('q') ?? '', response);
    else if (id !== undefined && request.method === 'PUT') await change(Number(id), request, response);
    else if (id !== undefined) show(Number(id), request, response);
    else if (pathname === '/loans') loans(request, response);
    else if (pathname === '/hours') hours(response);
    else if (pathname === '/drill') {
      // On the service's own port only: the gateway has no route that leads here.
      server.isBroken = searchParams.has('broken');
      send(response, 200, { broken: server.isBroken });
    } else send(response, 404, { error: 'there is no such thing' });
  }

  async function search(words: string, response: ServerResponse): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, searchTakes * 1_000));
    const found = db.prepare('SELECT * FROM books WHERE title LIKE ? ORDER BY id').all(`%${words}%`);
    const books = found as unknown as Book[];
    response.setHeader('Cache-Control', 'max-age=60, stale-while-revalidate=600');
    // Whatever changes one of these books makes this list out of date.
    response.setHeader('Cache-Tag', ['books', ...books.map((book) => `book-${book.id}`)].join(' '));
    send(response, 200, { books });
  }

  function show(id: number, request: IncomingMessage, response: ServerResponse): void {
    const book = db.prepare('SELECT * FROM books WHERE id = ?').get(id) as unknown as Book | undefined;
    if (book === undefined) {
      // So that asking for what is not there costs the database once in ten seconds.
      response.setHeader('Cache-Control', 'max-age=10');
      send(response, 404, { error: 'there is no such book' });
      return;
    }
    const text = JSON.stringify(book);
    const tag = `"${createHash('sha256').update(text).digest('hex').slice(0, 16)}"`;
    response.setHeader('ETag', tag);
    // A minute without asking; then only whether it has changed.
    response.setHeader('Cache-Control', 'max-age=60');
    response.setHeader('Cache-Tag', `books book-${id} author-${book.author}`);
    if (request.headers['if-none-match'] === tag) response.writeHead(304).end();
    else send(response, 200, book);
  }

  async function change(id: number, request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const part of request.setEncoding('utf8')) text += part;
    const { price } = JSON.parse(text) as { price: number };
    const { changes } = db.prepare('UPDATE books SET price = ? WHERE id = ?').run(price, id);
    send(response, changes === 0 ? 404 : 200, { changed: Number(changes) });
  }

  function loans(request: IncomingMessage, response: ServerResponse): void {
    const reader = request.headers['x-auth-subject'];
    response.setHeader('Cache-Control', 'private, max-age=60');
    send(response, 200, { reader, loans: BOOKS.filter(([id]) => (id + String(reader).length) % 2 === 0).length });
  }

  function hours(response: ServerResponse): void {
    if (server.isBroken) {
      send(response, 503, { error: 'the calendar cannot be reached' });
      return;
    }
    send(response, 200, { monday: '9 to 18', asked: server.asked });
  }

  return server;
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) library().listen(Number(process.env['PORT']), '127.0.0.1');
