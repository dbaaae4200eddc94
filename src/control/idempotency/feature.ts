/**
 * The control side of `idempotency`: answers workers out of the SQL store or Redis, which is opened with the first key.
 * While it cannot be reached a question fails, and the worker says 503; the next one tries again.
 */
import { join } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import type { ExtraMetric } from '../../base/extra-metric.ts';
import type { BeginAnswer, BeginQuestion, FinishQuestion, Held, KeptIn } from '../../data/contract/idempotency.ts';
import {
  IDEMPOTENCY_ASK_WITHIN_MS,
  IDEMPOTENCY_BEGIN_TOPIC,
  IDEMPOTENCY_FINISH_TOPIC,
  IDEMPOTENCY_RELEASE_TOPIC,
} from '../../data/contract/idempotency.ts';
import type { Feature, FeatureHost } from '../feature.ts';
import type { KeyStore } from './key-store.ts';
import type { IdempotencyTables } from './sql-keys.ts';

const CLEAN_EVERY_MS = 600_000;

type Host = Pick<FeatureHost, 'bus' | 'log' | 'compiled'>;

/** What became of requests with a key, by the name in the metric. */
const RESULTS: Readonly<Record<BeginAnswer['kind'], string>> = {
  first: 'first',
  again: 'replayed',
  'in-progress': 'in_progress',
  'other-request': 'mismatch',
};

export function idempotencyFeature(host: Host): Feature {
  const opened = new Map<KeptIn, Promise<KeyStore>>();
  const requests = countsOf(...Object.values(RESULTS), 'failed');
  const responses = countsOf('kept', 'unknown', 'released', 'failed');

  const keys = async ({ keptIn }: Held | BeginQuestion): Promise<KeyStore> => {
    const opening = opened.get(keptIn) ?? (keptIn === 'redis' ? openRedis(host) : openSql(host));
    opened.set(keptIn, opening);
    try {
      return await opening;
    } catch (error) {
      if (opened.get(keptIn) === opening) opened.delete(keptIn);
      throw error;
    }
  };

  const begin = async (question: BeginQuestion): Promise<BeginAnswer> => {
    const { keyHash, keptIn } = question;
    const sinceMs = performance.now();
    const store = await keys(question);
    const answer = await store.begin(question);
    if (answer.kind !== 'first' || performance.now() - sinceMs < IDEMPOTENCY_ASK_WITHIN_MS) return answer;
    // The request got 503 meanwhile, so nothing else would ever release its key.
    await store.release({ keptIn, keyHash, begunMs: answer.begunMs });
    throw new Error('the store of idempotency keys answered too late');
  };

  host.bus.onAsk(IDEMPOTENCY_BEGIN_TOPIC, (data) =>
    begin(data as BeginQuestion).then(
      (answer) => {
        count(requests, RESULTS[answer.kind]);
        return answer;
      },
      (error: unknown) => {
        count(requests, 'failed');
        throw error;
      },
    ),
  );
  host.bus.onAsk(IDEMPOTENCY_FINISH_TOPIC, async (data) => {
    const question = data as FinishQuestion;
    try {
      await (await keys(question)).finish(question);
      count(responses, question.response.status === 0 ? 'unknown' : 'kept');
    } catch (error) {
      count(responses, 'failed');
      throw error;
    }
  });
  host.bus.onTell(IDEMPOTENCY_RELEASE_TOPIC, (data) => {
    const held = data as Held;
    keys(held)
      .then((each) => each.release(held))
      .then(() => count(responses, 'released'))
      .catch((error: unknown) => {
        count(responses, 'failed');
        host.log.warn('an idempotency key could not be released', { problem: messageOf(error) });
      });
  });

  return {
    metrics(): readonly ExtraMetric[] {
      const { routes } = host.compiled.snapshot;
      if (!routes.some(({ policies }) => policies.some(({ name }) => name === 'idempotency'))) return [];
      return [
        {
          name: 'gatehouse_idempotency_requests_total',
          type: 'counter',
          help: 'Requests with an idempotency key, by what is known of their key',
          samples: samplesOf(requests),
        },
        {
          name: 'gatehouse_idempotency_responses_total',
          type: 'counter',
          help: 'Ends of requests that had taken their key, by what is kept of their response',
          samples: samplesOf(responses),
        },
      ];
    },
    async stop() {
      for (const opening of opened.values()) await (await opening.catch(() => null))?.close();
    },
  };
}

function countsOf(...results: readonly string[]): Map<string, number> {
  return new Map(results.map((result) => [result, 0]));
}

function count(counts: Map<string, number>, result: string): void {
  counts.set(result, (counts.get(result) ?? 0) + 1);
}

function samplesOf(counts: ReadonlyMap<string, number>): ExtraMetric['samples'] {
  return [...counts].map(([result, value]) => ({ labels: { result }, value }));
}

async function openSql({ compiled, log }: Host): Promise<KeyStore> {
  const [{ openStore }, { migrate }, { MIGRATIONS, SqlKeys }] = await Promise.all([
    import('../store/store.ts'),
    import('../store/migrate.ts'),
    import('./sql-keys.ts'),
  ]);
  const { plan, secrets } = compiled;
  const { sql } = plan.sections.stores;
  const url = sql === null ? `sqlite:${join(plan.dataDir, 'idempotency.db')}` : (secrets[sql] ?? '');
  const store = await openStore<IdempotencyTables>(url, { log, maxConnections: 5 });
  try {
    await migrate(store, 'idempotency', MIGRATIONS);
  } catch (error) {
    await store.close();
    throw error;
  }
  const keys = new SqlKeys(store);
  const clean = (): void =>
    void keys.clean().catch((error: unknown) => {
      log.warn('old idempotency keys could not be removed', { problem: messageOf(error) });
    });
  const timer = setInterval(clean, CLEAN_EVERY_MS);
  timer.unref();
  return {
    begin: (question) => keys.begin(question),
    finish: (question) => keys.finish(question),
    release: (held) => keys.release(held),
    async close() {
      clearInterval(timer);
      await store.close();
    },
  };
}

async function openRedis({ compiled, log }: Host): Promise<KeyStore> {
  const { RedisKeys } = await import('./redis-keys.ts');
  const { stores, limits } = compiled.plan.sections;
  let logged = '';
  return RedisKeys.open(compiled.secrets[stores.redis ?? ''] ?? '', limits.redis.prefix, (problem) => {
    // A Redis that is away says so with every attempt to reach it.
    if (problem !== logged) log.warn('Redis cannot be reached for idempotency keys', { problem });
    logged = problem;
  });
}
