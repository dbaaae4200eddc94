/** Notes in SQLite. Both instances use one database file, so it does not matter which of them answers. */
import { mkdirSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';

const folder = process.env['NOTES_DATA'] ?? fileURLToPath(new URL('../data', import.meta.url));
mkdirSync(folder, { recursive: true });
const database = new DatabaseSync(`${folder}/notes.db`, { timeout: 5_000 });
database.exec('PRAGMA journal_mode = WAL');
database.exec('CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL, created TEXT NOT NULL)');

const MAX_TEXT = 10_000;
const app = new Hono();

app.use(async (context, next) => {
  await next();
  context.header('Served-By', process.env['INSTANCE'] ?? 'notes');
});

app.get('/health', (context) =>
  context.json({ status: 'ok', notes: database.prepare('SELECT count(*) AS n FROM notes').get()?.['n'] }),
);

app.get('/notes', (context) =>
  context.json(database.prepare('SELECT id, text, created FROM notes ORDER BY id DESC LIMIT 100').all()),
);

app.post('/notes', async (context) => {
  const body: unknown = await context.req.json().catch(() => undefined);
  const text = typeof body === 'object' && body !== null && 'text' in body ? body.text : undefined;
  if (typeof text !== 'string' || text.length === 0 || text.length > MAX_TEXT) {
    return context.json({ error: `"text" must be a string of 1 to ${MAX_TEXT} characters` }, 400);
  }
  const note = database
    .prepare('INSERT INTO notes (text, created) VALUES (?, ?) RETURNING id, text, created')
    .get(text, new Date().toISOString());
  return context.json(note, 201, { Location: `/api/notes/${String(note?.['id'])}` });
});

app.get('/notes/:id', (context) => {
  const note = database
    .prepare('SELECT id, text, created FROM notes WHERE id = ?')
    .get(Number(context.req.param('id')));
  return note === undefined ? context.json({ error: 'there is no such note' }, 404) : context.json(note);
});

app.delete('/notes/:id', (context) => {
  const { changes } = database.prepare('DELETE FROM notes WHERE id = ?').run(Number(context.req.param('id')));
  return changes === 0 ? context.json({ error: 'there is no such note' }, 404) : context.body(null, 204);
});

const server = serve({ fetch: app.fetch, port: Number(process.env['PORT']), hostname: '127.0.0.1' });
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    server.close(() => database.close());
    if ('closeIdleConnections' in server) server.closeIdleConnections();
  });
}
