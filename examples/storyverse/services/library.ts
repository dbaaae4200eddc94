/**
 * Universes and characters, kept in SQLite with a full-text index, and the public documentation. What an account may
 * not see is left out of lists; asked for by its name it is refused, since what is in a library is no secret.
 */
import { DatabaseSync } from 'node:sqlite';
import type { Context, Hono } from 'hono';
import * as z from 'zod';
import { documentationPage } from './docs-page.ts';
import { callerOf, createApp, maySee, notFound, Refusal, readQuery, start } from './http.ts';
import { CHARACTERS, UNIVERSES } from './library-data.ts';
import { openApi } from './openapi.ts';

interface Entry {
  readonly id: string;
  readonly rating: number;
  readonly topics: readonly string[];
  readonly [field: string]: unknown;
}

const search = z.strictObject({
  q: z.string('a text').trim().min(1, 'a word').max(100, 'at most 100 characters').optional(),
  universe: z.string('the id of a universe').max(40, 'at most 40 characters').optional(),
});

/** Filled anew at each start: the catalogue is part of the program, the index is for searching it. */
function openCatalogue(): DatabaseSync {
  const db = new DatabaseSync(':memory:');
  db.exec(`CREATE TABLE entries (kind TEXT, id TEXT, universe TEXT, body TEXT, PRIMARY KEY (kind, id)) STRICT;
    CREATE VIRTUAL TABLE words USING fts5 (kind UNINDEXED, id UNINDEXED, name, description, tokenize = 'porter')`);
  const entry = db.prepare('INSERT INTO entries VALUES (?, ?, ?, ?)');
  const words = db.prepare('INSERT INTO words VALUES (?, ?, ?, ?)');
  const add = (kind: string, id: string, universe: string, name: string, description: string, body: unknown): void => {
    entry.run(kind, id, universe, JSON.stringify(body));
    words.run(kind, id, name, description);
  };
  for (const item of UNIVERSES) add('universe', item.id, item.id, item.name, item.description, item);
  for (const item of CHARACTERS) add('character', item.id, item.universe, item.name, item.description, item);
  return db;
}

export function createLibrary(): Hono {
  const app = createApp('library');
  const db = openCatalogue();

  const list = (kind: string, context: Context): Entry[] => {
    const { q, universe } = readQuery(context, search);
    const rows = db
      .prepare(
        `SELECT body FROM entries AS e WHERE kind = $kind AND ($universe IS NULL OR universe = $universe)
         AND ($q IS NULL OR EXISTS (SELECT 1 FROM words WHERE words MATCH $q AND words.kind = e.kind AND words.id = e.id))
         ORDER BY id`,
      )
      .all({ kind, universe: universe ?? null, q: q === undefined ? null : quoted(q) });
    const caller = callerOf(context);
    return rows.map((row) => JSON.parse(String(row['body'])) as Entry).filter((entry) => maySee(caller, entry));
  };

  const find = (kind: string, context: Context): Entry => {
    const caller = callerOf(context);
    const id = context.req.param('id') ?? '';
    const row = db.prepare('SELECT body FROM entries WHERE kind = ? AND id = ?').get(kind, id);
    if (row === undefined) throw notFound(kind);
    const entry = JSON.parse(String(row['body'])) as Entry;
    if (maySee(caller, entry)) return entry;
    const why = `this ${kind} is for ages from ${entry.rating}${entry.topics.length === 0 ? '' : ` (${entry.topics.join(', ')})`}`;
    throw new Refusal(403, 'CONTENT_RESTRICTED', why);
  };

  app.get('/health', (context) =>
    context.json({ status: 'ok', universes: UNIVERSES.length, characters: CHARACTERS.length }),
  );
  app.get('/universes', (context) => context.json({ universes: list('universe', context) }));
  app.get('/universes/:id', (context) => {
    const entry = find('universe', context);
    const people = CHARACTERS.filter(({ universe }) => universe === entry.id);
    const caller = callerOf(context);
    return context.json({ ...entry, characters: people.filter((each) => maySee(caller, each)).map(({ id }) => id) });
  });
  app.get('/characters', (context) => context.json({ characters: list('character', context) }));
  app.get('/characters/:id', (context) => context.json(find('character', context)));

  app.get('/openapi.json', (context) => context.json(openApi, 200, { 'Cache-Control': 'public, max-age=300' }));
  app.get('/docs', (context) =>
    context.html(documentationPage(openApi), 200, { 'Cache-Control': 'public, max-age=300' }),
  );
  return app;
}

/** Each word as a text of its own, so that nothing in it is query language of the index. */
function quoted(q: string): string {
  return q
    .split(/\s+/)
    .map((word) => `"${word.replaceAll('"', '""')}"`)
    .join(' ');
}

if (import.meta.main) start(createLibrary());
