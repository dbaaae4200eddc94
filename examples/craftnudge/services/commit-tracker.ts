/**
 * The commit tracker: takes commits, keeps them, and publishes each to the gateway's stream `commits`. A commit is kept
 * before it is published and marked afterwards, so one whose gateway was away is published later, and twice at worst.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Hono } from 'hono';
import * as z from 'zod';
import {
  callerOf,
  createApp,
  endOnSignal,
  notFound,
  type Registration,
  type Running,
  readBody,
  readQuery,
  registrationOf,
  run,
} from '../../shared/service.ts';
import { CommitStore, commitSchema } from './commit-store.ts';

const MAX_BATCH = 500;
const MAX_PER_EVENT = 50;
const RETRY_MS = 500;

const moment = z.iso
  .datetime({ offset: true, message: 'a moment such as 2024-01-01T12:00:00Z' })
  .transform((text) => Date.parse(text));
const listQuery = z.object({
  repository: z.string().max(200).optional(),
  since: moment.optional(),
  until: moment.optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z
    .string()
    .regex(/^\d{1,16}-[0-9a-f]{40}$/, 'the next_cursor of the page before')
    .optional(),
});
const batch = z.strictObject({ commits: z.array(commitSchema).min(1).max(MAX_BATCH) });

export function createTracker(store: CommitStore, wake: () => void): Hono {
  const app = createApp('commit-tracker', 'nested');
  app.post('/api/v1/commits/track', async (context) => {
    const { id } = callerOf(context);
    const commit = await readBody(context, commitSchema);
    const { tracked } = store.track(id, [commit]);
    wake();
    context.header('Location', `/api/v1/commits/${commit.commit_hash}`);
    return context.json(store.find(id, commit.commit_hash), tracked === 1 ? 201 : 200);
  });
  app.post('/api/v1/commits/batch', async (context) => {
    const { id } = callerOf(context);
    const { tracked, known } = store.track(id, (await readBody(context, batch)).commits);
    wake();
    return context.json({ tracked, already_known: known }, 201);
  });
  app.get('/api/v1/commits', (context) => {
    const { id } = callerOf(context);
    const { commits, next } = store.list(id, readQuery(context, listQuery));
    return context.json({ commits, ...(next === undefined ? {} : { next_cursor: next }) });
  });
  app.get('/api/v1/commits/:id', (context) => {
    const { id } = callerOf(context);
    const commit = store.find(id, context.req.param('id'));
    if (commit === undefined) throw notFound('no such commit was tracked');
    return context.json(commit);
  });
  return app;
}

export interface TrackerOptions {
  readonly file: string;
  readonly port: number;
  readonly registration: Registration;
  /** API key with the role `service`. */
  readonly key: string;
}

export async function startTracker({ file, port, registration, key }: TrackerOptions): Promise<Running> {
  const store = new CommitStore(file);
  const ended = new AbortController();
  let waiting = new AbortController();
  const running = await run(
    createTracker(store, () => waiting.abort()),
    port,
    registration,
  );
  const pause = async (): Promise<void> => {
    waiting = new AbortController();
    await delay(RETRY_MS, undefined, { signal: AbortSignal.any([waiting.signal, ended.signal]) }).catch(() => {});
  };
  const publishing = (async () => {
    while (!ended.signal.aborted) {
      const isMore = await publishNext(store, registration.gateway, key, ended.signal).catch(() => false);
      if (!isMore) await pause();
    }
  })();
  return {
    ...running,
    async close() {
      await running.close();
      ended.abort();
      await publishing;
      store.close();
    },
  };
}

/** Resolves with whether something was published. */
async function publishNext(store: CommitStore, gateway: string, key: string, signal: AbortSignal): Promise<boolean> {
  const next = store.unpublished(MAX_PER_EVENT);
  if (next === undefined) return false;
  const { user, first, last, commits } = next;
  const response = await fetch(`${gateway}/internal/commits/${encodeURIComponent(user)}`, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      'X-API-Key': key,
      // The same commits sent again are the same event.
      'Idempotency-Key': `${user}:${first}-${last}`,
    },
    body: JSON.stringify({ user, commits }),
    signal,
  });
  await response.arrayBuffer();
  if (response.status !== 202) return false;
  store.published(user, first, last);
  return true;
}

if (import.meta.main) {
  const { PORT = '0', TRACKER_KEY = '', CRAFTNUDGE_DATA = '.' } = process.env;
  const running = await startTracker({
    file: `${CRAFTNUDGE_DATA}/commits.db`,
    port: Number(PORT),
    registration: registrationOf('commit-tracker'),
    key: TRACKER_KEY,
  });
  endOnSignal(() => running.close());
}
