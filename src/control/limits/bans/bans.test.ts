import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { FakeClock } from '../../../base/clock.ts';
import { createLogger } from '../../../base/log.ts';
import type { Timers } from '../../../base/system-timers.ts';
import type { PublishedBans } from '../../../data/contract/limits.ts';
import { migrate } from '../../store/migrate.ts';
import { openStore, type Store } from '../../store/store.ts';
import { gatewayCaller } from '../http.ts';
import { type LimitTables, MIGRATIONS } from '../tables.ts';
import { BanBook, type BanBookParts } from './bans.ts';
import { createBansApp } from './bans-app.ts';

const stores: Store<LimitTables>[] = [];
after(async () => {
  for (const store of stores) await store.close();
});

const MINUTE = 60_000;
const times = { firstMs: 10 * MINUTE, factor: 3, longestMs: 60 * MINUTE, forgetMs: 7 * 24 * 60 * MINUTE };

/** Timers that fire when the clock is moved past them. */
class ClockTimers implements Timers {
  readonly #clock: FakeClock;
  #armed: { readonly dueMs: number; readonly run: () => void }[] = [];

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { dueMs: this.#clock.monotonicMs() + ms, run };
    this.#armed.push(timer);
    return () => {
      this.#armed = this.#armed.filter((one) => one !== timer);
    };
  }

  advance(ms: number): void {
    this.#clock.advance(ms);
    const due = this.#armed.filter(({ dueMs }) => dueMs <= this.#clock.monotonicMs());
    this.#armed = this.#armed.filter((timer) => !due.includes(timer));
    for (const { run } of due) run();
  }
}

async function open(more: Partial<BanBookParts> = {}, reopen?: { store: Store<LimitTables>; clock: FakeClock }) {
  const store = reopen?.store ?? (await openStore<LimitTables>('sqlite::memory:'));
  stores.push(store);
  await migrate(store, 'limits', MIGRATIONS);
  const clock = reopen?.clock ?? new FakeClock();
  const timers = new ClockTimers(clock);
  const published: PublishedBans[] = [];
  const parts = {
    store,
    log: createLogger('silent'),
    publish: (bans: PublishedBans) => published.push(bans),
    times,
    maxBans: 100,
    clock,
    timers,
  };
  const bans = new BanBook({ ...parts, ...more });
  await bans.load();
  const latest = async (): Promise<PublishedBans | undefined> => {
    await new Promise((resolve) => setImmediate(resolve));
    return published.at(-1);
  };
  return { store, clock, timers, bans, latest, published };
}

const trip = (subject = '192.0.2.1') => ({ rule: 'guessing', kind: 'address', subject }) as const;

test('a broken rule bans, and the workers hear of the beginning and the end', async () => {
  const { bans, timers, latest } = await open();
  await bans.trip(trip());
  assert.deepEqual(await latest(), { addresses: ['192.0.2.1'], users: [], keys: [] });
  const [ban] = await bans.list({});
  assert.deepEqual(
    [ban?.madeBy, ban?.strikes, (ban?.endsAtMs ?? 0) - (ban?.madeAtMs ?? 0)],
    ['rule guessing', 0, 10 * MINUTE],
  );
  timers.advance(10 * MINUTE - 1);
  assert.equal(bans.activeCount, 1);
  timers.advance(1);
  assert.deepEqual(await latest(), { addresses: [], users: [], keys: [] });
  assert.deepEqual(await bans.list({}), []);
  assert.equal((await bans.list({ all: true })).length, 1);
});

test('each further ban is longer, up to the longest, until the earlier ones are forgotten', async () => {
  const { bans, timers, clock } = await open();
  const lengths: number[] = [];
  for (let i = 0; i < 4; i++) {
    await bans.trip(trip());
    const [ban] = await bans.list({});
    lengths.push(((ban?.endsAtMs ?? 0) - (ban?.madeAtMs ?? 0)) / MINUTE);
    timers.advance(61 * MINUTE);
  }
  assert.deepEqual(lengths, [10, 30, 60, 60]);
  clock.advance(times.forgetMs);
  await bans.trip(trip());
  const [ban] = await bans.list({});
  assert.equal((ban?.endsAtMs ?? 0) - (ban?.madeAtMs ?? 0), 10 * MINUTE);
});

test('while a ban holds, the same rule makes no second one, however often it is told', async () => {
  const { bans } = await open();
  await Promise.all(Array.from({ length: 10 }, () => bans.trip(trip())));
  assert.equal((await bans.list({ all: true })).length, 1);
  assert.deepEqual([...bans.madeByRule], [['guessing', 1]]);
});

test('an administrator bans and lifts; what was lifted does not count for the next length', async () => {
  const { bans, latest } = await open();
  await bans.trip(trip());
  const [first] = await bans.list({});
  assert.equal(await bans.lift(first?.id ?? '', 'root'), true);
  assert.equal(await bans.lift(first?.id ?? '', 'root'), false);
  await bans.trip(trip());
  assert.equal((await bans.list({}))[0]?.strikes, 0);
  const ban = { kind: 'address', subject: '192.0.2.1', reason: 'again', madeBy: 'root', forMs: null } as const;
  await bans.ban(ban);
  await bans.ban({ ...ban, kind: 'user', subject: 'ada' });
  await bans.ban({ ...ban, kind: 'key', subject: 'k1' });
  assert.deepEqual(await latest(), { addresses: ['192.0.2.1'], users: ['ada'], keys: ['k1'] });
  assert.equal((await bans.list({ kind: 'address' })).length, 1, 'the longer one replaced the first');
});

test('bans outlive a restart', async () => {
  const first = await open();
  await first.bans.trip(trip());
  await first.bans.ban({ kind: 'user', subject: 'ada', reason: '', madeBy: 'root', forMs: null });
  first.clock.advance(11 * MINUTE);
  const second = await open({}, first);
  assert.deepEqual(await second.latest(), { addresses: [], users: ['ada'], keys: [] });
});

test('there are never more than the most; the one that ends soonest makes room', async () => {
  const { bans, clock, latest } = await open({ maxBans: 3 });
  await bans.ban({ kind: 'address', subject: '192.0.2.250', reason: '', madeBy: 'root', forMs: null });
  for (let i = 1; i <= 4; i++) {
    await bans.trip(trip(`192.0.2.${i}`));
    clock.advance(1_000);
  }
  assert.deepEqual((await latest())?.addresses, ['192.0.2.250', '192.0.2.3', '192.0.2.4']);
});

test('a ban of another machine holds here too, and so does its end', async () => {
  const [here, there] = [await open(), await open()];
  there.bans.shareWith({ made: (ban) => void here.bans.learn(ban), lifted: (ban) => void here.bans.learn(ban) });
  await there.bans.trip(trip());
  const [ban] = await there.bans.list({});
  assert.ok(ban !== undefined);
  await here.bans.learn(ban);
  assert.deepEqual((await here.latest())?.addresses, ['192.0.2.1']);
  await there.bans.lift(ban.id, 'root');
  await here.bans.list({});
  assert.deepEqual((await here.latest())?.addresses, []);
  assert.equal((await here.bans.list({ all: true }))[0]?.liftedBy, 'root');
});

test('the API lists, bans and lifts, for administrators only', async () => {
  const { bans, clock } = await open();
  let watches = true;
  const app = createBansApp({
    bans,
    caller: gatewayCaller(() => []),
    watches: () => watches,
    errorFormat: () => 'nested',
    clock,
  });
  const admin = { 'x-auth-subject': 'root', 'x-auth-roles': 'user,admin' };
  const send = async (method: string, path: string, body?: unknown, headers: Record<string, string> = admin) => {
    const response = await app.request(path, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? null : JSON.parse(text) };
  };
  assert.equal((await send('GET', '/bans', undefined, {})).status, 401);
  assert.equal((await send('POST', '/bans', {}, { 'x-auth-subject': 'ada' })).status, 403);
  const made = await send('POST', '/bans', { subject: '2001:DB8::/32', reason: 'test', for: '2h' });
  assert.equal(made.status, 201);
  assert.deepEqual(
    { ...made.body, id: '' },
    {
      id: '',
      kind: 'address',
      subject: '2001:db8::/32',
      reason: 'test',
      made_by: 'root',
      made_at: '2026-01-01T00:00:00.000Z',
      ends_at: '2026-01-01T02:00:00.000Z',
      lifted_at: null,
      lifted_by: null,
      strikes: 0,
    },
  );
  assert.equal((await send('POST', '/bans', { kind: 'user', subject: 'ada', for: 'ever' })).body.ends_at, null);
  assert.equal((await send('GET', '/bans?kind=address')).body.bans.length, 1);
  assert.equal((await send('DELETE', `/bans/${made.body.id}`)).status, 204);
  assert.equal((await send('DELETE', `/bans/${made.body.id}`)).status, 404);
  assert.deepEqual(
    (await send('GET', '/bans')).body.bans.map((ban: { subject: string }) => ban.subject),
    ['ada'],
  );
  watches = false;
  assert.equal((await send('POST', '/bans', { kind: 'user', subject: 'eve' })).body.error.code, 'BANS_NOT_ENFORCED');
  assert.equal((await send('POST', '/bans', { subject: '192.0.2.77' })).status, 201);
  watches = true;
  for (const wrong of [
    { subject: 'nowhere' },
    { subject: '192.0.2.1', for: 'soon' },
    { kind: 'planet', subject: 'x' },
    { subject: '192.0.2.1', until: 1 },
    7,
  ]) {
    const { status, body } = await send('POST', '/bans', wrong);
    assert.deepEqual([status, body.error.code], [400, 'VALIDATION_ERROR'], JSON.stringify(wrong));
  }
});
