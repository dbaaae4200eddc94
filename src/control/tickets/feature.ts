/**
 * The control side of tickets: makes them for workers and gives each once. They are kept in Redis or the SQL store
 * where `stores` names one, so that any gateway on it takes them, else in memory; the store is opened with the first
 * ticket. While it cannot be reached a question fails, and the worker says 503; the next one tries again.
 */
import { randomBytes } from 'node:crypto';
import { messageOf } from '../../base/errors.ts';
import type { ExtraMetric } from '../../base/extra-metric.ts';
import {
  type IssueQuestion,
  type TakeQuestion,
  TICKET_ISSUE_TOPIC,
  TICKET_TAKE_TOPIC,
  type TicketHolder,
} from '../../data/contract/tickets.ts';
import type { Feature, FeatureHost } from '../feature.ts';
import { MemoryTickets } from './memory-tickets.ts';
import type { TicketTables } from './sql-tickets.ts';
import { hashOf, type TicketStore } from './ticket-store.ts';

const CLEAN_EVERY_MS = 60_000;

type Host = Pick<FeatureHost, 'bus' | 'log' | 'compiled'>;

/** Where tickets are kept now: a reload may name another store. */
interface Opened {
  readonly url: string;
  readonly store: Promise<TicketStore>;
}

export function ticketsFeature(host: Host): Feature {
  const counts = { issued: 0, refused: 0, used: 0, unknown: 0, failed: 0 };
  let opened: Opened | null = null;
  let timer: NodeJS.Timeout | undefined;

  const store = async (): Promise<TicketStore> => {
    const url = urlOf(host);
    if (opened?.url !== url) {
      close(opened).catch((error: unknown) => {
        host.log.warn('a store of tickets could not be closed', { problem: messageOf(error) });
      });
      opened = { url, store: open(host, url) };
      timer ??= setInterval(clean, CLEAN_EVERY_MS).unref();
    }
    const now = opened;
    try {
      return await now.store;
    } catch (error) {
      if (opened === now) opened = null;
      throw error;
    }
  };
  const clean = (): void =>
    void opened?.store
      .then((each) => each.clean())
      .catch((error: unknown) => host.log.warn('old tickets could not be removed', { problem: messageOf(error) }));

  const issue = async ({ holder, account, methods, ttlMs }: IssueQuestion): Promise<string | null> => {
    const ticket = randomBytes(32).toString('base64url');
    const isKept = await (await store()).put(hashOf(ticket), { holder, methods }, account, ttlMs);
    counts[isKept ? 'issued' : 'refused']++;
    return isKept ? ticket : null;
  };
  const take = async ({ ticket, methods }: TakeQuestion): Promise<TicketHolder | null> => {
    const kept = await (await store()).take(hashOf(ticket));
    const isGood = kept !== null && kept.methods === methods;
    counts[isGood ? 'used' : 'unknown']++;
    return isGood ? kept.holder : null;
  };
  const counted = <Question, Answer>(answer: (question: Question) => Promise<Answer>) => {
    return (data: unknown): Promise<Answer> =>
      answer(data as Question).catch((error: unknown) => {
        counts.failed++;
        throw error;
      });
  };
  host.bus.onAsk(TICKET_ISSUE_TOPIC, counted(issue));
  host.bus.onAsk(TICKET_TAKE_TOPIC, counted(take));

  return {
    metrics(): readonly ExtraMetric[] {
      if (opened === null && !host.compiled.snapshot.routes.some(({ action }) => action.kind === 'ticket')) return [];
      return [
        {
          name: 'gatehouse_tickets_total',
          type: 'counter',
          help: 'Tickets for WebSockets and event streams, by what became of them',
          samples: Object.entries(counts).map(([result, value]) => ({ labels: { result }, value })),
        },
      ];
    },
    async stop() {
      clearInterval(timer);
      await close(opened);
    },
  };
}

async function close(opened: Opened | null): Promise<void> {
  await (await opened?.store.catch(() => null))?.close();
}

/** Redis before SQL, since a ticket lives for seconds. Empty: memory. */
function urlOf({ compiled }: Host): string {
  const { redis, sql } = compiled.plan.sections.stores;
  return compiled.secrets[redis ?? sql ?? ''] ?? '';
}

async function open(host: Host, url: string): Promise<TicketStore> {
  if (url === '') return new MemoryTickets();
  if (/^rediss?[:+]/.test(url)) {
    const { RedisTickets } = await import('./redis-tickets.ts');
    let said = '';
    return RedisTickets.open(url, host.compiled.plan.sections.limits.redis.prefix, (problem) => {
      // A Redis that is away says so with every attempt to reach it.
      if (problem !== said) host.log.warn('Redis cannot be reached for tickets', { problem });
      said = problem;
    });
  }
  const [{ openStore }, { migrate }, { MIGRATIONS, SqlTickets }] = await Promise.all([
    import('../store/store.ts'),
    import('../store/migrate.ts'),
    import('./sql-tickets.ts'),
  ]);
  const store = await openStore<TicketTables>(url, { log: host.log, maxConnections: 5 });
  try {
    await migrate(store, 'tickets', MIGRATIONS);
  } catch (error) {
    await store.close();
    throw error;
  }
  return new SqlTickets(store);
}
