/** Facts on SQLite and on a real PostgreSQL. */
import { after, before } from 'node:test';
import { type PostgresServer, startPostgres } from '../../../test/support/postgres.ts';
import { factSuite } from './fact-board.suite.ts';

let server: PostgresServer;
let databases = 0;
before(async () => {
  server = await startPostgres();
});
after(async () => {
  await server?.stop();
});

factSuite('SQLite', async () => 'sqlite::memory:');
factSuite('PostgreSQL', () => server.database(`facts_${++databases}`));
