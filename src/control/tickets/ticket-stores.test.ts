/** What all stores of tickets do alike: once, for a time, and so many for one account. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { migrate } from '../store/migrate.ts';
import { openStore } from '../store/store.ts';
import { MemoryTickets } from './memory-tickets.ts';
import { MIGRATIONS, SqlTickets, type TicketTables } from './sql-tickets.ts';
import { hashOf, type KeptTicket, MOST_OF_ACCOUNT, type TicketStore } from './ticket-store.ts';

const ticket: KeptTicket = {
  holder: {
    facts: { method: 'jwt', subject: 'ada', issuer: null, roles: ['r'], scopes: [], plan: null },
    claims: { sub: 'ada', nested: { list: [1, null] } },
    isNameless: false,
    endsAtMs: 5,
  },
  methods: 'm',
};

const STORES: Readonly<Record<string, (nowMs: () => number) => Promise<TicketStore>>> = {
  memory: async (nowMs) => new MemoryTickets(nowMs),
  async sql(nowMs) {
    const store = await openStore<TicketTables>('sqlite::memory:');
    await migrate(store, 'tickets', MIGRATIONS);
    return new SqlTickets(store, nowMs);
  },
};

for (const [name, open] of Object.entries(STORES))
  describe(`tickets in ${name}`, () => {
    test('are given once, as they were, and not after their time', async (t) => {
      let nowMs = 1_000;
      const store = await open(() => nowMs);
      t.after(() => store.close());
      assert.equal(await store.put(hashOf('a'), ticket, 'ada', 100), true);
      assert.deepEqual(await store.take(hashOf('a')), ticket);
      assert.equal(await store.take(hashOf('a')), null);
      assert.equal(await store.take(hashOf('b')), null);
      await store.put(hashOf('late'), ticket, 'ada', 100);
      nowMs += 100;
      assert.equal(await store.take(hashOf('late')), null);
    });

    test('are so many for one account, and take none from the others', async (t) => {
      let nowMs = 1_000;
      const store = await open(() => nowMs);
      t.after(() => store.close());
      for (let i = 0; i < MOST_OF_ACCOUNT; i++)
        assert.equal(await store.put(`hash-${i}`, ticket, 'ada', 100), true, String(i));
      assert.equal(await store.put('more', ticket, 'ada', 100), false);
      assert.equal(await store.put('of-bob', ticket, 'bob', 100), true);
      assert.notEqual(await store.take('hash-0'), null);
      assert.equal(await store.put('again', ticket, 'ada', 100), true, 'one was used');
      nowMs += 1_101;
      assert.equal(await store.put('later', ticket, 'ada', 100), true, 'they are too old to count');
      await store.clean();
      assert.notEqual(await store.take('later'), null);
      if (store instanceof MemoryTickets) assert.equal(store.size, 0);
    });
  });
