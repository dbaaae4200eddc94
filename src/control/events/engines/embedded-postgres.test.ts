/** The embedded engine on a real PostgreSQL, killed and started again while it is used. */
import { after, before } from 'node:test';
import { type PostgresServer, startPostgres } from '../../../../test/support/postgres.ts';
import { migrate } from '../../store/migrate.ts';
import { openStore } from '../../store/store.ts';
import { type EventTables, MIGRATIONS } from '../tables.ts';
import { EmbeddedEngine } from './embedded.ts';
import { engineSuite } from './engine.suite.ts';

let server: PostgresServer;
let url: string;
before(async () => {
  server = await startPostgres();
  url = await server.database('events');
});
after(async () => {
  await server?.stop();
});

engineSuite({
  name: 'embedded (PostgreSQL)',
  async open(streams) {
    const store = await openStore<EventTables>(url, { busyTimeoutMs: 1_000 });
    await migrate(store, 'events', MIGRATIONS);
    const engine = new EmbeddedEngine(store);
    await engine.start(streams);
    const stop = engine.stop.bind(engine);
    engine.stop = async () => {
      await stop();
      await store.close();
    };
    return engine;
  },
  async lose(stream) {
    const store = await openStore<EventTables>(url);
    await store.db.deleteFrom('event_log').where('stream', '=', stream).execute();
    await store.db.deleteFrom('event_streams').where('name', '=', stream).execute();
    await store.close();
  },
  knowsKeys: true,
  givesPositions: true,
  trimsByCount: true,
  outage: { kill: () => server.halt(), back: () => server.start() },
});
