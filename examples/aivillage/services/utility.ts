/**
 * Uploads and queries: takes files as they come (multipart, streamed to a file, sizes and types checked), reads their
 * text, and finds words in it. A type is what the bytes say, not what the name says.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { open, readFile, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Busboy } from '@fastify/busboy';
import type { Context, Hono } from 'hono';
import { extractText, getDocumentProxy } from 'unpdf';
import * as z from 'zod';
import { callerOf, createApp, endOnSignal, Refusal, type Running, readBody, run } from '../../shared/service.ts';

const MAX_FILE_BYTES = 8 * 1024 ** 2;
const MAX_TEXT = 2_000_000;
const TEXT_TYPES: Readonly<Record<string, string>> = {
  txt: 'text/plain',
  md: 'text/markdown',
  csv: 'text/csv',
  json: 'application/json',
};
const EXPECTED = `a file of type pdf, ${Object.keys(TEXT_TYPES).join(', ')}`;

const queryBody = z.strictObject({
  query: z.string().trim().min(1).max(500),
  limit: z.int().min(1).max(50).default(10),
});

export class Library {
  readonly #database: DatabaseSync;

  constructor(file: string) {
    this.#database = new DatabaseSync(file, { timeout: 5_000 });
    this.#database.exec(`
      PRAGMA journal_mode = WAL;
      CREATE TABLE IF NOT EXISTS documents (
        number INTEGER PRIMARY KEY, id TEXT UNIQUE, user TEXT, name TEXT, type TEXT, bytes INTEGER, sha256 TEXT,
        uploaded_at TEXT, UNIQUE (user, sha256)
      );
      CREATE VIRTUAL TABLE IF NOT EXISTS texts USING fts5 (text, tokenize = 'unicode61 remove_diacritics 2');
    `);
  }

  /** The same file of the same user is there once. */
  add(user: string, name: string, type: string, bytes: number, sha256: string, text: string): string {
    const known = this.#database.prepare('SELECT id FROM documents WHERE user = ? AND sha256 = ?').get(user, sha256);
    if (known !== undefined) return known['id'] as string;
    const id = `doc-${randomUUID()}`;
    const { lastInsertRowid } = this.#database
      .prepare('INSERT INTO documents (id, user, name, type, bytes, sha256, uploaded_at) VALUES (?, ?, ?, ?, ?, ?, ?)')
      .run(id, user, name, type, bytes, sha256, new Date().toISOString());
    this.#database.prepare('INSERT INTO texts (rowid, text) VALUES (?, ?)').run(lastInsertRowid, text);
    return id;
  }

  /** Documents of the user with all of the words, the best first. */
  find(user: string, query: string, limit: number): object[] {
    // Each word in quotes: nothing a caller writes is an operator.
    const words = query.match(/[\p{L}\p{N}]+/gu) ?? [];
    if (words.length === 0) return [];
    return this.#database
      .prepare(
        `SELECT id AS document_id, name, type, snippet(texts, 0, '**', '**', ' ... ', 24) AS snippet,
           round(-bm25(texts), 4) AS score
         FROM texts JOIN documents ON documents.number = texts.rowid
         WHERE texts MATCH ? AND user = ? ORDER BY bm25(texts) LIMIT ?`,
      )
      .all(words.map((word) => `"${word}"`).join(' '), user, limit);
  }

  close(): void {
    this.#database.close();
  }
}

interface Received {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** Streams the one file of a multipart body to `folder`. What is too large ends as soon as that is known. */
async function receive(context: Context, folder: string): Promise<Received> {
  const type = context.req.header('content-type') ?? '';
  if (!/^multipart\/form-data\b/i.test(type))
    throw new Refusal(415, 'VALIDATION_ERROR', 'the body must be multipart/form-data');
  const incoming = (context.env as { readonly incoming: IncomingMessage }).incoming;
  const path = join(folder, `upload-${randomUUID()}`);
  let received: Promise<Received> | undefined;
  try {
    const parser = new Busboy({
      headers: { 'content-type': type },
      limits: { files: 1, fields: 10, fieldSize: 10_000, fileSize: MAX_FILE_BYTES },
    });
    parser.on('file', (field, file, name) => {
      const hash = createHash('sha256');
      let bytes = 0;
      const counted = new Transform({
        transform(chunk: Buffer, _encoding, done) {
          bytes += chunk.length;
          hash.update(chunk);
          done(null, chunk);
        },
      });
      received = pipeline(file, counted, createWriteStream(path, { flags: 'wx', mode: 0o600 })).then(() => {
        if (field !== 'file') throw invalid('file', field, 'a part of this name');
        if (file.truncated) throw new Refusal(413, 'PAYLOAD_TOO_LARGE', `a file may have ${MAX_FILE_BYTES} bytes`);
        return { name: nameOf(name), path, bytes, sha256: hash.digest('hex') };
      });
      // Looked at below, once the body is over.
      received.catch(() => {});
    });
    await pipeline(incoming, parser).catch((error: unknown) => {
      throw invalid('body', undefined, `a multipart body that is whole (${(error as Error).message})`);
    });
    if (received === undefined) throw invalid('file', undefined, 'a file');
    return await received;
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

const invalid = (field: string, value: unknown, expected: string): Refusal =>
  new Refusal(400, 'VALIDATION_ERROR', 'Invalid upload', {
    field,
    ...(value === undefined ? {} : { value }),
    expected,
  });

function nameOf(name: string | undefined): string {
  return (name ?? '').replaceAll(/[\p{Cc}/\\]/gu, '_').slice(-200) || 'file';
}

async function readText({ path, name }: Received): Promise<{ type: string; text: string }> {
  const handle = await open(path);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(1_024), 0, 1_024, 0).finally(() => handle.close());
  const head = buffer.subarray(0, bytesRead);
  if (head.subarray(0, 5).toString('latin1') === '%PDF-') {
    try {
      const document = await getDocumentProxy(new Uint8Array(await readFile(path)), { verbosity: 0 });
      const { text } = await extractText(document, { mergePages: true });
      return { type: 'application/pdf', text: text.slice(0, MAX_TEXT) };
    } catch {
      throw invalid('file', name, 'a PDF that can be read');
    }
  }
  const type = TEXT_TYPES[/\.(\w+)$/.exec(name)?.[1]?.toLowerCase() ?? ''];
  if (type === undefined)
    throw new Refusal(415, 'VALIDATION_ERROR', 'Unsupported file type', {
      field: 'file',
      value: name,
      expected: EXPECTED,
    });
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path));
  } catch {
    throw invalid('file', name, 'a text in UTF-8');
  }
  if (text.includes('\0')) throw invalid('file', name, 'a text');
  return { type, text: text.slice(0, MAX_TEXT) };
}

export function createUtility(library: Library, folder: string): Hono {
  const app = createApp('utility', 'flat');
  app.post('/v1/upload', async (context) => {
    const { id: user } = callerOf(context);
    const received = await receive(context, folder);
    try {
      const { type, text } = await readText(received);
      const { name, bytes, sha256 } = received;
      const id = library.add(user, name, type, bytes, sha256, text);
      return context.json({ success: true, document_id: id, name, type, bytes, sha256, characters: text.length }, 201);
    } finally {
      await rm(received.path, { force: true });
    }
  });
  app.post('/v1/query', async (context) => {
    const { id: user } = callerOf(context);
    const { query, limit } = await readBody(context, queryBody);
    const results = library.find(user, query, limit);
    return context.json({ success: true, query, results, count: results.length });
  });
  return app;
}

export async function startUtility({ folder, port }: { folder: string; port: number }): Promise<Running> {
  const library = new Library(join(folder, 'library.db'));
  const running = await run(createUtility(library, folder), port);
  return {
    ...running,
    async close() {
      await running.close();
      library.close();
    },
  };
}

if (import.meta.main) {
  const { PORT = '0', AIVILLAGE_DATA = '.' } = process.env;
  const running = await startUtility({ folder: AIVILLAGE_DATA, port: Number(PORT) });
  endOnSignal(() => running.close());
}
