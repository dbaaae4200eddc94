/** What facts promise over any SQL store: run by fact-board.test.ts on SQLite and PostgreSQL. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { until } from '../../../test/support/until.ts';
import { type Clock, FakeClock, systemClock } from '../../base/clock.ts';
import { createLogger } from '../../base/log.ts';
import { systemTimers } from '../../base/system-timers.ts';
import { type Fact, Facts, LEAST_KEPT_MS } from '../facts.ts';
import { migrate } from '../store/migrate.ts';
import { openStore, type Store } from '../store/store.ts';
import { FactBoard, pruneFacts } from './fact-board.ts';
import { type ClusterTables, MIGRATIONS } from './tables.ts';

const log = createLogger({ level: 'error' });
const PATIENCE_MS = 20_000;

export function factSuite(name: string, database: () => Promise<string>): void {
  async function opened(t: TestContext): Promise<Store<ClusterTables>> {
    const store = await openStore<ClusterTables>(await database());
    t.after(() => store.close());
    await migrate(store, 'cluster', MIGRATIONS);
    return store;
  }

  describe(`facts on ${name}`, () => {
    interface Board {
      readonly facts: Facts;
      readonly board: FactBoard;
      readonly learnt: (readonly [string, unknown])[];
      caughtUp: number;
      missed: number;
    }

    function boardOf(
      t: TestContext,
      store: Store<ClusterTables>,
      node: string,
      clock: Clock = systemClock,
      lookMs = 20,
    ): Board {
      const facts = new Facts();
      const crowd = { pacedMs: () => 20, turnMs: () => lookMs };
      const parts = { store, facts, node, heartbeatMs: 100, clock, timers: systemTimers, log, crowd };
      const made: Board = { facts, board: new FactBoard(parts), learnt: [], caughtUp: 0, missed: 0 };
      facts.hear('ban', {
        learn: ({ key, value }: Fact) => void made.learnt.push([key, value]),
        caughtUp: () => void made.caughtUp++,
        missed: () => void made.missed++,
      });
      made.board.start();
      t.after(() => made.board.close());
      return made;
    }

    test('a fact that one node tells reaches the others once, in order, and not itself', async (t) => {
      const store = await opened(t);
      const [one, two] = [boardOf(t, store, 'one'), boardOf(t, store, 'two')];
      for (let i = 0; i < 30; i++) void one.facts.tell('ban', `k${i}`, { i }, 1_000);
      await until(() => two.learnt.length >= 30, 'all have come', PATIENCE_MS);
      assert.deepEqual(
        two.learnt.map(([key]) => key),
        Array.from({ length: 30 }, (_, i) => `k${i}`),
      );
      await one.facts.tell('ban', 'k0', 'changed', 1_000);
      await until(() => two.learnt.length === 31, 'the change', PATIENCE_MS);
      assert.deepEqual(two.learnt.at(-1), ['k0', 'changed']);
      assert.deepEqual(one.learnt, []);
      const three = boardOf(t, store, 'three');
      await until(() => three.caughtUp === 1, 'one that comes later has caught up', PATIENCE_MS);
      assert.equal(three.learnt.length, 30, 'with the newest value of each');
    });

    test('facts of many nodes at once: none is lost, whoever reads when', async (t) => {
      const store = await opened(t);
      const reader = boardOf(t, store, 'reader');
      const writers = Array.from({ length: 8 }, (_, i) => boardOf(t, store, `w${i}`));
      const told = writers.map(async ({ facts }, w) => {
        // Whether it was written in time is a matter of the machine; that it is written is not.
        for (let i = 0; i < 10; i++) await facts.tell('ban', `${w}/${i}`, i, 1_000);
      });
      await Promise.all(told);
      await until(() => reader.learnt.length === 80, 'all have come', PATIENCE_MS);
      assert.equal(new Set(reader.learnt.map(([key]) => key)).size, 80);
    });

    test('one that was away for longer than facts are kept is told so, and so is one whose store was made anew', async (t) => {
      const store = await opened(t);
      const clock = new FakeClock();
      const one = boardOf(t, store, 'one', clock);
      await until(() => one.caughtUp === 1, 'it has caught up', PATIENCE_MS);
      clock.advance(LEAST_KEPT_MS + 1_000);
      await until(() => one.missed === 1, 'it is told', PATIENCE_MS);
      await one.facts.tell('ban', 'a', 1, 1_000);
      const two = boardOf(t, store, 'two');
      await until(() => two.learnt.length === 1, 'the fact', PATIENCE_MS);
      await store.db.deleteFrom('cluster_facts').execute();
      await store.db.deleteFrom('cluster_leases').execute();
      await until(() => two.missed === 1 && two.caughtUp === 2, 'the store is another one', PATIENCE_MS);
    });

    test('a number that a slow heartbeat saw before what was read since does not make the store a new one', async (t) => {
      const store = await opened(t);
      const [one, two] = [boardOf(t, store, 'one'), boardOf(t, store, 'two')];
      await until(() => two.caughtUp === 1, 'it has caught up', PATIENCE_MS);
      for (let i = 0; i < 3; i++) await one.facts.tell('ban', `k${i}`, i, 60_000);
      await until(() => two.learnt.length === 3, 'all have come', PATIENCE_MS);
      two.board.newest(1, systemClock.monotonicMs());
      assert.equal(await two.facts.catchUp(), true);
      assert.deepEqual([two.missed, two.caughtUp, two.learnt.length], [0, 1, 3]);
    });

    test('a heartbeat makes known what was there when it began, and no more', async (t) => {
      const store = await opened(t);
      const clock = new FakeClock();
      const one = boardOf(t, store, 'one');
      const two = boardOf(t, store, 'two', clock, 3_600_000);
      await until(() => two.caughtUp === 1, 'it has caught up', PATIENCE_MS);
      const startMs = two.facts.knownMs;
      assert.ok(startMs !== null);
      clock.advance(5_000);
      two.board.newest(0, startMs + 3_000);
      assert.equal(two.facts.knownMs, startMs + 3_000);
      await one.facts.tell('ban', 'a', 1, 60_000);
      two.board.newest(1, startMs + 4_000);
      await until(() => two.learnt.length === 1 && two.facts.knownMs !== startMs + 3_000, 'it is read', PATIENCE_MS);
      assert.equal(two.facts.knownMs, startMs + 4_000);
      two.board.newest(1, startMs + 2_000);
      assert.equal(two.facts.knownMs, startMs + 4_000, 'an older heartbeat takes nothing back');
    });

    test('one that asks for what is new has it, knows how fresh it is, and is refused while the store is away', async (t) => {
      const store = await opened(t);
      const [one, two] = [boardOf(t, store, 'one'), boardOf(t, store, 'two')];
      await until(() => two.caughtUp === 1, 'it has caught up', PATIENCE_MS);
      const written = one.facts.tell('ban', 'a', 1, 1_000);
      assert.ok(one.facts.isWaiting('ban', 'a'));
      assert.equal(await written, true);
      assert.ok(!one.facts.isWaiting('ban', 'a'));
      const askedMs = systemClock.monotonicMs();
      assert.deepEqual(await Promise.all([two.facts.catchUp(), two.facts.catchUp()]), [true, true]);
      assert.deepEqual(two.learnt, [['a', 1]]);
      assert.ok((two.facts.knownMs ?? 0) >= askedMs);
      await store.db.schema.alterTable('cluster_leases').renameTo('cluster_leases_away').execute();
      await until(() => two.facts.knownMs === null, 'it does not know any more', PATIENCE_MS);
      assert.equal(await two.facts.catchUp(), false);
      await store.db.schema.alterTable('cluster_leases_away').renameTo('cluster_leases').execute();
      await until(() => two.facts.knownMs !== null, 'it knows again', PATIENCE_MS);
      assert.equal(await two.facts.catchUp(), true);
    });

    test('what has expired is not learnt, and the queen forgets it', async (t) => {
      const store = await opened(t);
      const one = boardOf(t, store, 'one');
      await one.facts.tell('ban', 'a', 1, 1_000);
      await store.db.updateTable('cluster_facts').set({ expires_at: 1 }).execute();
      const two = boardOf(t, store, 'two');
      await until(() => two.caughtUp === 1, 'it has caught up', PATIENCE_MS);
      assert.deepEqual(two.learnt, []);
      await store.transaction((trx) => pruneFacts(trx, 2));
      assert.equal((await store.db.selectFrom('cluster_facts').selectAll().execute()).length, 0);
    });

    test('one fact that is told again and again does not push out the others; too many facts do, the oldest', async (t) => {
      const store = await opened(t);
      const one = boardOf(t, store, 'one');
      await one.facts.tell('ban', 'kept', 1, 60_000);
      for (let i = 0; i < 20; i++) await one.facts.tell('ban', 'again', i, 60_000);
      const left = async (): Promise<string[]> => {
        await store.transaction((trx) => pruneFacts(trx, 2, 3));
        return (await store.db.selectFrom('cluster_facts').select('key').orderBy('seq').execute()).map(
          ({ key }) => key,
        );
      };
      assert.deepEqual(await left(), ['kept', 'again']);
      for (const key of ['b', 'c', 'd']) await one.facts.tell('ban', key, 1, 60_000);
      assert.deepEqual(await left(), ['b', 'c', 'd']);
    });
  });
}
