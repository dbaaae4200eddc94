/** Two machines that share bans through a real Redis. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type RedisServer, startRedis } from '../../../../test/support/redis.ts';
import { createLogger } from '../../../base/log.ts';
import { migrate } from '../../store/migrate.ts';
import { openStore, type Store } from '../../store/store.ts';
import { type LimitTables, MIGRATIONS } from '../tables.ts';
import { RedisBanShare } from './ban-share.ts';
import { BanBook } from './bans.ts';

let redis: RedisServer;
const closers: (() => unknown)[] = [];
before(async () => {
  redis = await startRedis();
});
after(async () => {
  for (const close of closers) await close();
  await redis.stop();
});

async function machine() {
  const store: Store<LimitTables> = await openStore('sqlite::memory:');
  await migrate(store, 'limits', MIGRATIONS);
  const log = createLogger('silent');
  const times = { firstMs: 600_000, factor: 2, longestMs: 86_400_000, forgetMs: 86_400_000 };
  const bans = new BanBook({ store, log, publish: () => {}, times, maxBans: 1_000 });
  await bans.load();
  const share = new RedisBanShare({ url: redis.url, prefix: 'test', bans, log });
  bans.shareWith(share);
  closers.push(
    () => share.close(),
    () => bans.close(),
    () => store.close(),
  );
  return { bans, share };
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 8_000;
  while (!condition()) {
    if (performance.now() > deadline) assert.fail(`${what} did not happen in time`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const subjects = (bans: BanBook): string =>
  bans
    .active()
    .map((ban) => ban.subject)
    .sort()
    .join(' ');

test('what one machine bans and lifts, the others do too; one that comes later learns what holds', async () => {
  const [one, two] = [await machine(), await machine()];
  await until('the connection', () => one.share.isConnected && two.share.isConnected);
  await one.bans.trip({ rule: 'guessing', kind: 'address', subject: '192.0.2.1' });
  await two.bans.ban({ kind: 'user', subject: 'ada', reason: '', madeBy: 'root', forMs: null });
  await until(
    'both bans on both machines',
    () => subjects(one.bans) === '192.0.2.1 ada' && subjects(two.bans) === '192.0.2.1 ada',
  );
  const third = await machine();
  await until('a third machine', () => subjects(third.bans) === '192.0.2.1 ada');
  const [ban] = await two.bans.list({ kind: 'address' });
  assert.equal(await two.bans.lift(ban?.id ?? '', 'root'), true);
  await until('the ban lifted everywhere', () => [one, two, third].every(({ bans }) => subjects(bans) === 'ada'));
});

test('while Redis is away each goes on alone, and they agree when it is back', async () => {
  const [one, two] = [await machine(), await machine()];
  await until('the connection', () => one.share.isConnected && two.share.isConnected);
  await redis.kill();
  await until('the loss', () => !one.share.isConnected && !two.share.isConnected);
  await one.bans.trip({ rule: 'guessing', kind: 'address', subject: '192.0.2.7' });
  await two.bans.trip({ rule: 'guessing', kind: 'address', subject: '192.0.2.8' });
  assert.ok(!subjects(one.bans).includes('192.0.2.8'));
  await redis.start();
  const both = (bans: BanBook): boolean => subjects(bans).includes('192.0.2.7') && subjects(bans).includes('192.0.2.8');
  await until('agreement', () => both(one.bans) && both(two.bans));
});

test('what was lifted while a machine was away is not brought back by it', async () => {
  const one = await machine();
  await until('the connection', () => one.share.isConnected);
  const away = await machine();
  await until('the connection', () => away.share.isConnected);
  await one.bans.ban({ kind: 'user', subject: 'eve', reason: '', madeBy: 'root', forMs: null });
  await until('the ban', () => subjects(away.bans).includes('eve'));
  away.share.close();
  const [ban] = await one.bans.list({ kind: 'user', subject: 'eve' });
  assert.equal(await one.bans.lift(ban?.id ?? '', 'root'), true);
  const again = new RedisBanShare({ url: redis.url, prefix: 'test', bans: away.bans, log: createLogger('silent') });
  away.bans.shareWith(again);
  closers.unshift(() => again.close());
  await until('the end of the ban', () => !subjects(away.bans).includes('eve'));
  assert.ok(!subjects(one.bans).includes('eve'));
});
