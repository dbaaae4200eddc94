/**
 * A managed Redis or PostgreSQL that fails over: the name of the server is another one's from then on, and the former
 * one is a replica that goes on answering. Who stays connected to it could write no more.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { isUnavailable } from '../../src/control/store/faults.ts';
import { openStore } from '../../src/control/store/store.ts';
import { startTestGateway } from '../support/gateway.ts';
import { startPostgres } from '../support/postgres.ts';
import { startRedis } from '../support/redis.ts';
import type { Scope } from '../support/scope.ts';
import { readSeries } from '../support/series.ts';
import { until } from '../support/until.ts';

/** A name of a server: new connections go where it says by then, those that are there stay. */
async function nameOf(t: Scope, port: number): Promise<{ port: number; pointTo(port: number): void }> {
  let target = port;
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1');
    near.on('error', () => far.destroy()).on('close', () => far.destroy());
    far.on('error', () => near.destroy()).on('close', () => near.destroy());
    near.pipe(far).pipe(near);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => void server.close());
  return {
    port: (server.address() as AddressInfo).port,
    pointTo: (next) => {
      target = next;
    },
  };
}

test('Redis: limits are counted by the new master, and what was counted before counts on', {
  timeout: 60_000,
}, async (t) => {
  const [former, next] = await Promise.all([startRedis(), startRedis()]);
  t.after(() => Promise.all([former.stop(), next.stop()]));
  await next.command('REPLICAOF', former.host, String(former.port));
  const name = await nameOf(t, former.port);
  const gateway = await startTestGateway(t, {
    stores: { redis: `redis://127.0.0.1:${name.port}` },
    limits: { redis: { mode: 'exact' } },
    routes: [
      {
        match: { path: '/a' },
        respond: { status: 200, body: 'ok' },
        auth: 'public',
        rateLimit: { by: 'ip', limits: ['100/1h'] },
      },
    ],
  });
  const remaining = async (): Promise<number> => {
    const response = await fetch(`${gateway.url}/a`);
    await response.arrayBuffer();
    assert.equal(response.status, 200);
    return Number(response.headers.get('x-ratelimit-remaining'));
  };
  await until(
    async () => (await readSeries(gateway.url)).get('gatehouse_dependency_available{dependency="redis"}') === 1,
    'Redis is there',
  );
  const BEFORE = 20;
  for (let i = 0; i < BEFORE; i++) await remaining();
  await until(async () => (await next.command('DBSIZE')) === ':1', 'the replica has the counter');

  await next.command('REPLICAOF', 'NO', 'ONE');
  await former.command('REPLICAOF', next.host, String(next.port));
  name.pointTo(next.port);
  // This machine alone counts from the beginning.
  let alone = 0;
  await until(
    async () => {
      await delay(200);
      return (await remaining()) < 100 - BEFORE || ++alone >= BEFORE;
    },
    'it counts on',
    30_000,
  );
  assert.ok(alone < BEFORE, 'it goes on to count alone');
  const counted = await remaining();
  assert.equal(await remaining(), counted - 1);
});

test('PostgreSQL: a write on the former primary is unavailable, and the next one goes to the new one', {
  timeout: 60_000,
}, async (t) => {
  const [former, next] = await Promise.all([startPostgres(), startPostgres()]);
  t.after(() => Promise.all([former.stop(), next.stop()]));
  const [url, nextUrl] = await Promise.all([former.database('failover'), next.database('failover')]);
  const name = await nameOf(t, Number(new URL(url).port));
  const named = new URL(url);
  named.port = String(name.port);
  const store = await openStore(named.href);
  t.after(() => store.close());
  const write = (): Promise<unknown> => sql`create table made_now (id int)`.execute(store.db);
  await sql`select 1`.execute(store.db);

  await former.run('alter system set default_transaction_read_only = on');
  await former.run('select pg_reload_conf()');
  await until(async () => {
    const { rows } = await sql<{ it: string }>`select current_setting('default_transaction_read_only') as it`.execute(
      store.db,
    );
    return rows[0]?.it === 'on';
  }, 'it takes no writes');
  name.pointTo(Number(new URL(nextUrl).port));
  await assert.rejects(write(), (error) => isUnavailable(error));
  await write();
  const { rows } = await sql<{ it: string }>`select current_setting('port') as it`.execute(store.db);
  assert.equal(rows[0]?.it, new URL(nextUrl).port);
});
