/** The cluster on a real PostgreSQL. */
import { after, before } from 'node:test';
import { type PostgresServer, startPostgres } from '../../../test/support/postgres.ts';
import { clusterSuite } from './cluster.suite.ts';

let server: PostgresServer;
let databases = 0;
before(async () => {
  server = await startPostgres();
});
after(async () => {
  await server?.stop();
});

clusterSuite('PostgreSQL', () => server.database(`cluster_${++databases}`));
