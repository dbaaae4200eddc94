/** Notifications: kept per recipient until read. The same text to the same recipient is counted instead of repeated. */
import type { DatabaseSync } from 'node:sqlite';
import { Hono } from 'hono';
import * as z from 'zod';
import { idOf, input, query, refused, run, type ServiceDefinition } from './service.ts';

const REPEATS_WITHIN_MS = 600_000;
const recipient = z
  .string()
  .regex(/^[A-Za-z0-9._@-]{1,100}$/, 'must be 1 to 100 letters, digits, ".", "_", "@" or "-"');
const creation = z.strictObject({
  to: recipient,
  text: z.string().trim().min(1).max(1_000),
  level: z.enum(['info', 'warning', 'urgent']).default('info'),
});
const filter = z.strictObject({ to: recipient.optional(), unread: z.enum(['true', 'false']).default('false') });

const COLUMNS = 'id, recipient AS "to", text, level, times, read_at AS "readAt", created';

function routes(database: DatabaseSync): Hono {
  const app = new Hono();

  app.get('/api/notifications', (context) => {
    const { to = null, unread } = query(context, filter);
    const notifications = database
      .prepare(
        `SELECT ${COLUMNS} FROM notifications
         WHERE (?1 IS NULL OR recipient = ?1) AND (?2 = 'false' OR read_at IS NULL)
         ORDER BY level = 'urgent' DESC, id DESC LIMIT 100`,
      )
      .all(to, unread);
    return context.json({ notifications });
  });

  app.post('/api/notifications', async (context) => {
    const { to, text, level } = await input(context, creation);
    const now = Date.now();
    const since = new Date(now - REPEATS_WITHIN_MS).toISOString();
    const repeated = database
      .prepare(
        `UPDATE notifications SET times = times + 1 WHERE id = (SELECT id FROM notifications
           WHERE recipient = ? AND text = ? AND level = ? AND read_at IS NULL AND created > ? ORDER BY id DESC LIMIT 1)
         RETURNING ${COLUMNS}`,
      )
      .get(to, text, level, since);
    if (repeated !== undefined) return context.json(repeated, 200);
    const made = database
      .prepare(
        `INSERT INTO notifications (recipient, text, level, times, created) VALUES (?, ?, ?, 1, ?) RETURNING ${COLUMNS}`,
      )
      .get(to, text, level, new Date(now).toISOString());
    return context.json(made, 201, { Location: `/api/v1/notifications/${String(made?.['id'])}` });
  });

  app.put('/api/notifications/:id/read', (context) => {
    const id = idOf(context);
    const read =
      id === null
        ? undefined
        : database
            .prepare(`UPDATE notifications SET read_at = coalesce(read_at, ?) WHERE id = ? RETURNING ${COLUMNS}`)
            .get(new Date().toISOString(), id);
    if (read === undefined) throw refused(404, 'there is no such notification');
    return context.json(read);
  });
  return app;
}

export const smartNotifications: ServiceDefinition = {
  name: 'smart-notifications',
  tables: `CREATE TABLE IF NOT EXISTS notifications (
      id INTEGER PRIMARY KEY, recipient TEXT NOT NULL, text TEXT NOT NULL, level TEXT NOT NULL, times INTEGER NOT NULL,
      read_at TEXT, created TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS notifications_by_recipient ON notifications (recipient, id)`,
  routes,
};

if (import.meta.main) await run(smartNotifications);
