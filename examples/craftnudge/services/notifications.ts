/**
 * Notifications: the gateway's queue hands them over, again until they are taken; this service obeys what their
 * recipient prefers and keeps a history of what became of each. A notification that comes twice is delivered once.
 */
import { DatabaseSync } from 'node:sqlite';
import type { Hono } from 'hono';
import * as z from 'zod';
import {
  callerOf,
  createApp,
  endOnSignal,
  type Registration,
  type Running,
  readBody,
  readQuery,
  registrationOf,
  run,
} from '../../shared/service.ts';

const notification = z.object({
  kind: z
    .string()
    .regex(/^[a-z][a-z_-]{0,39}$/)
    .default('message'),
  title: z.string().min(1).max(200),
  body: z.string().max(5_000).default(''),
});
const preferences = z.strictObject({
  muted: z.array(z.string().max(40)).max(50).default([]),
  max_per_day: z.int().min(0).max(1_000).default(50),
});
type Preferences = z.output<typeof preferences>;
/** A CloudEvent of the stream; the gateway made its subject: `notifications.` and whose it is. */
const queued = z.object({
  id: z.string().min(1),
  subject: z
    .string()
    .startsWith('notifications.')
    .transform((text) => text.slice('notifications.'.length)),
  data: notification,
});
const listQuery = z.object({ limit: z.coerce.number().int().min(1).max(200).default(50) });

/** What became of a notification. */
type Outcome = 'delivered' | 'muted' | 'over_limit';

const DAY_MS = 86_400_000;

export class NotificationStore {
  readonly #database: DatabaseSync;

  constructor(file: string) {
    this.#database = new DatabaseSync(file, { timeout: 5_000 });
    this.#database.exec(`
      PRAGMA journal_mode = WAL;
      CREATE TABLE IF NOT EXISTS notifications (
        id TEXT PRIMARY KEY,
        user TEXT NOT NULL,
        kind TEXT NOT NULL,
        title TEXT NOT NULL,
        body TEXT NOT NULL,
        outcome TEXT NOT NULL,
        at_ms INTEGER NOT NULL
      );
      CREATE INDEX IF NOT EXISTS notifications_by_user ON notifications (user, at_ms DESC);
      CREATE TABLE IF NOT EXISTS preferences (user TEXT PRIMARY KEY, body TEXT NOT NULL);
    `);
  }

  preferences(user: string): Preferences {
    const row = this.#database.prepare('SELECT body FROM preferences WHERE user = ?').get(user);
    return preferences.parse(row === undefined ? {} : JSON.parse(row['body'] as string));
  }

  prefer(user: string, wanted: Preferences): void {
    this.#database
      .prepare('INSERT INTO preferences VALUES (?, ?) ON CONFLICT (user) DO UPDATE SET body = excluded.body')
      .run(user, JSON.stringify(wanted));
  }

  /** Takes one from the queue; that it has come before makes no difference. */
  take(id: string, user: string, said: z.output<typeof notification>, nowMs: number): void {
    const { muted, max_per_day } = this.preferences(user);
    const today = this.#database
      .prepare("SELECT count(*) AS count FROM notifications WHERE user = ? AND outcome = 'delivered' AND at_ms > ?")
      .get(user, nowMs - DAY_MS);
    const isOver = (today?.['count'] as number) >= max_per_day;
    const outcome: Outcome = muted.includes(said.kind) ? 'muted' : isOver ? 'over_limit' : 'delivered';
    this.#database
      .prepare('INSERT INTO notifications VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING')
      .run(id, user, said.kind, said.title, said.body, outcome, nowMs);
  }

  /** Newest first; `isAll` also those that were not delivered. */
  list(user: string, limit: number, isAll: boolean): object[] {
    return this.#database
      .prepare(
        `SELECT id, kind, title, body, outcome, at_ms FROM notifications WHERE user = ? ${isAll ? '' : "AND outcome = 'delivered'"} ORDER BY at_ms DESC, id DESC LIMIT ?`,
      )
      .all(user, limit)
      .map(({ at_ms, outcome, ...rest }) => ({
        ...rest,
        ...(isAll ? { outcome } : {}),
        at: new Date(at_ms as number).toISOString(),
      }));
  }

  close(): void {
    this.#database.close();
  }
}

export function createNotifications(store: NotificationStore): Hono {
  const app = createApp('notifications', 'nested');
  app.get('/api/v1/notifications', (context) => {
    const { limit } = readQuery(context, listQuery);
    return context.json({ notifications: store.list(callerOf(context).id, limit, false) });
  });
  app.get('/api/v1/notifications/history', (context) => {
    const { limit } = readQuery(context, listQuery);
    return context.json({ history: store.list(callerOf(context).id, limit, true) });
  });
  // From the gateway's queue: no route leads here.
  app.post('/internal/notifications', async (context) => {
    const { id, subject, data } = await readBody(context, queued);
    store.take(id, subject, data, Date.now());
    return context.body(null, 204);
  });
  app.put('/api/v1/notifications/preferences', async (context) => {
    const { id } = callerOf(context);
    const wanted = await readBody(context, preferences);
    store.prefer(id, wanted);
    return context.json(wanted);
  });
  return app;
}

export interface NotificationsOptions {
  readonly file: string;
  readonly port: number;
  readonly registration: Registration;
}

export async function startNotifications({ file, port, registration }: NotificationsOptions): Promise<Running> {
  const store = new NotificationStore(file);
  const running = await run(createNotifications(store), port, registration);
  return {
    ...running,
    async close() {
      await running.close();
      store.close();
    },
  };
}

if (import.meta.main) {
  const { PORT = '0', CRAFTNUDGE_DATA = '.' } = process.env;
  const running = await startNotifications({
    file: `${CRAFTNUDGE_DATA}/notifications.db`,
    port: Number(PORT),
    registration: registrationOf('notifications'),
  });
  endOnSignal(() => running.close());
}
