/**
 * The control side of `idempotency`: answers workers out of the SQL store, which is opened with the first key. While it
 * cannot be reached a question fails, and the worker says 503; the next one tries again.
 */
import { join } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import type { BeginQuestion, FinishQuestion, Held } from '../../data/contract/idempotency.ts';
import {
  IDEMPOTENCY_BEGIN_TOPIC,
  IDEMPOTENCY_FINISH_TOPIC,
  IDEMPOTENCY_RELEASE_TOPIC,
} from '../../data/contract/idempotency.ts';
import type { Feature, FeatureHost } from '../feature.ts';
import type { Store } from '../store/store.ts';
import type { IdempotencyTables, RouteKeys } from './keys.ts';

const CLEAN_EVERY_MS = 600_000;

interface Opened {
  readonly store: Store<IdempotencyTables>;
  readonly keys: RouteKeys;
}

export function idempotencyFeature(host: Pick<FeatureHost, 'bus' | 'log' | 'compiled'>): Feature {
  let opening: Promise<Opened> | null = null;
  let timer: NodeJS.Timeout | null = null;

  const open = async (): Promise<Opened> => {
    const [{ openStore }, { migrate }, { RouteKeys, MIGRATIONS }] = await Promise.all([
      import('../store/store.ts'),
      import('../store/migrate.ts'),
      import('./keys.ts'),
    ]);
    const { plan, secrets } = host.compiled;
    const { sql } = plan.sections.stores;
    const url = sql === null ? `sqlite:${join(plan.dataDir, 'idempotency.db')}` : (secrets[sql] ?? '');
    const store = await openStore<IdempotencyTables>(url, { log: host.log, maxConnections: 5 });
    try {
      await migrate(store, 'idempotency', MIGRATIONS);
    } catch (error) {
      await store.close();
      throw error;
    }
    const keys = new RouteKeys(store);
    const clean = (): void =>
      void keys.clean().catch((error: unknown) => {
        host.log.warn('old idempotency keys could not be removed', { problem: messageOf(error) });
      });
    timer = setInterval(clean, CLEAN_EVERY_MS);
    timer.unref();
    return { store, keys };
  };
  const keys = async (): Promise<RouteKeys> => {
    opening ??= open();
    const mine = opening;
    try {
      return (await mine).keys;
    } catch (error) {
      if (opening === mine) opening = null;
      throw error;
    }
  };

  host.bus.onAsk(IDEMPOTENCY_BEGIN_TOPIC, async (data) => (await keys()).begin(data as BeginQuestion));
  host.bus.onAsk(IDEMPOTENCY_FINISH_TOPIC, async (data) => (await keys()).finish(data as FinishQuestion));
  host.bus.onTell(IDEMPOTENCY_RELEASE_TOPIC, (data) => {
    keys()
      .then((each) => each.release(data as Held))
      .catch((error: unknown) =>
        host.log.warn('an idempotency key could not be released', { problem: messageOf(error) }),
      );
  });

  return {
    async stop() {
      if (timer !== null) clearInterval(timer);
      await (await opening?.catch(() => null))?.store.close();
    },
  };
}
