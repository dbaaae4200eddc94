/** When certificates are ordered: once, again before the end, later after each failure, and by one gateway of many. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Authority } from '../../../test/support/certificates.ts';
import { FakeTimers, turn } from '../../../test/support/fake-timers.ts';
import type { Scope } from '../../../test/support/scope.ts';
import { until } from '../../../test/support/until.ts';
import { FakeClock } from '../../base/clock.ts';
import { createLogger } from '../../base/log.ts';
import { OrderError } from './authority.ts';
import { parseKept } from './kept.ts';
import { CertificateManager, type ManagerOptions } from './manager.ts';
import { FolderStorage } from './storage.ts';

const WISHES = { names: ['a.example'], challenges: ['http-01', 'tls-alpn-01'] as const, renewAtRatio: 1 / 3 };
const MINUTE = 60_000;

async function scene(test: Scope, more: Partial<ManagerOptions> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'gh-certificates-'));
  test.after(() => rm(folder, { recursive: true, force: true }));
  const authority = await Authority.create(test);
  const { certPem, keyPem } = await authority.issue('a', ['a.example']);
  const pem = `${keyPem}${certPem}`;
  const kept = parseKept(pem)!;
  const clock = new FakeClock(kept.notBeforeMs);
  const timers = new FakeTimers(clock);
  const orders: string[] = [];
  let changes = 0;
  const options: ManagerOptions = {
    storage: new FolderStorage(join(folder, 'kept')),
    folder,
    log: createLogger('error', () => {}),
    clock,
    timers,
    random: () => 0.5,
    orders: { issued: 0, failed: 0 },
    order: async (name, kind) => {
      orders.push(`${name} ${kind}`);
      return pem;
    },
    changed: async () => void changes++,
    pollMs: 30_000,
    ...more,
  };
  const make = (): CertificateManager => new CertificateManager(options, WISHES);
  /** Runs until the manager sleeps. */
  const settle = () => until(() => timers.pending > 0, 'the manager sleeps');
  const advance = async (ms: number): Promise<void> => {
    await timers.advance(ms);
    await turn();
    await settle();
  };
  return { make, orders, settle, advance, kept, clock, timers, options, changes: () => changes };
}

/** How many there are in nearly a minute, by seconds. */
async function ordersOfAMinute({ make, orders, settle, advance }: Awaited<ReturnType<typeof scene>>): Promise<number> {
  const manager = make();
  await manager.open();
  manager.run(WISHES);
  await settle();
  for (let i = 0; i < 50; i++) await advance(1_000);
  await manager.close();
  return orders.length;
}

describe('the manager of certificates', () => {
  test('orders what is missing once, and renews when a third of the lifetime is left', async (t) => {
    const { make, orders, settle, advance, kept, clock } = await scene(t);
    const manager = make();
    await manager.open();
    manager.run(WISHES);
    await settle();
    assert.deepEqual(orders, ['a.example http-01']);
    const lifetimeMs = kept.notAfterMs - kept.notBeforeMs;
    while (clock.wallMs() < kept.notBeforeMs + (lifetimeMs * 2) / 3 - MINUTE) await advance(30 * MINUTE);
    assert.ok(orders.length <= 2, String(orders.length));
    while (clock.wallMs() < kept.notBeforeMs + (lifetimeMs * 2) / 3 + MINUTE) await advance(MINUTE);
    assert.ok(orders.length >= 2);
    await manager.close();
  });

  test('waits longer after each failure, takes turns with the challenges, and remembers it over a restart', async (t) => {
    const tried: { kind: string; atMs: number }[] = [];
    const { make, settle, advance, clock, options } = await scene(t, {
      order: async (_name, kind) => {
        tried.push({ kind, atMs: clock.wallMs() });
        throw new OrderError('no');
      },
    });
    const first = make();
    await first.open();
    first.run(WISHES);
    await settle();
    for (let i = 0; i < 20; i++) await advance(MINUTE);
    assert.deepEqual(
      tried.map(({ kind }) => kind),
      ['http-01', 'tls-alpn-01', 'http-01', 'tls-alpn-01', 'http-01'],
    );
    const gaps = tried.slice(1).map(({ atMs }, i) => atMs - tried[i]!.atMs);
    for (let i = 1; i < gaps.length; i++) assert.ok(gaps[i]! > gaps[i - 1]!, gaps.join(' '));
    await first.close();
    const again = new CertificateManager(options, WISHES);
    await again.open();
    again.run(WISHES);
    await again.close();
    assert.equal(tried.length, 5);
    assert.equal(again.report()[0]!.failures, 5);
    assert.equal(again.report()[0]!.problem, 'no');
  });

  test('asks no sooner than the authority wants', async (t) => {
    let tries = 0;
    const { make, settle, advance } = await scene(t, {
      order: async () => {
        tries++;
        throw new OrderError('limited', 3 * 60 * MINUTE);
      },
    });
    const manager = make();
    await manager.open();
    manager.run(WISHES);
    await settle();
    for (let i = 0; i < 17; i++) await advance(10 * MINUTE);
    assert.equal(tries, 1);
    for (let i = 0; i < 2; i++) await advance(10 * MINUTE);
    assert.equal(tries, 2);
    await manager.close();
  });

  test('orders nothing while another gateway is at it', async (t) => {
    const { make, orders, settle, options } = await scene(t);
    options.storage.lock = async () => false;
    const manager = make();
    await manager.open();
    manager.run(WISHES);
    await settle();
    assert.deepEqual(orders, []);
    await manager.close();
  });

  test('a storage that cannot be written costs no order, and is asked no oftener than an authority', async (t) => {
    const { make, orders, settle, advance, options } = await scene(t);
    const { storage } = options;
    const write = storage.write.bind(storage);
    storage.write = async () => {
      throw new Error('no space left on device');
    };
    const manager = make();
    await manager.open();
    manager.run(WISHES);
    await settle();
    for (let i = 0; i < 5; i++) await advance(MINUTE);
    assert.deepEqual(orders, []);
    const [report] = manager.report();
    assert.ok(report!.failures > 1 && report!.failures < 5, String(report!.failures));
    assert.match(report!.problem ?? '', /no space left/);
    storage.write = write;
    for (let i = 0; i < 10; i++) await advance(MINUTE);
    assert.equal(orders.length, 1);
    assert.equal(manager.report()[0]!.problem, null);
    await manager.close();
  });

  test('what an authority issued and cannot be kept is not ordered again at once', async (t) => {
    const at = await scene(t);
    const { storage } = at.options;
    const write = storage.write.bind(storage);
    storage.write = async (key, value) => {
      if (key.startsWith('certificate/')) throw new Error('no space left on device');
      await write(key, value);
    };
    assert.equal(await ordersOfAMinute(at), 1);
  });

  test('an order for a name that is no longer wanted is given up, and nothing is said of the name', async (t) => {
    const gone = Promise.withResolvers<void>();
    const { make, settle, options, timers } = await scene(t, {
      order: (_name, _kind, signal) => {
        gone.resolve();
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new OrderError('given up'))));
      },
    });
    const manager = make();
    await manager.open();
    manager.run(WISHES);
    await gone.promise;
    manager.run({ ...WISHES, names: [] });
    await settle();
    assert.ok(timers.pending > 0);
    assert.deepEqual(manager.report(), []);
    assert.deepEqual(options.orders, { issued: 0, failed: 0 });
    assert.equal(await options.storage.read('trouble/a.example'), null);
    await manager.close();
  });

  test('what an authority issued for a name that left meanwhile is not watched', async (t) => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<string>();
    const { make, kept, settle } = await scene(t, {
      order: () => {
        asked.resolve();
        return answer.promise;
      },
    });
    const manager = make();
    await manager.open();
    manager.run(WISHES);
    await asked.promise;
    manager.run({ ...WISHES, names: [] });
    answer.resolve(kept.pem);
    await settle();
    assert.deepEqual(manager.report(), []);
    assert.deepEqual(manager.ends(), []);
    await manager.close();
  });

  test('a name that leaves while its turn comes costs no round', async (t) => {
    const { make, orders, settle, options } = await scene(t);
    const names = ['a.example', 'b.example'];
    const { storage } = options;
    storage.lock = async (key) => {
      if (key === 'order/a.example') manager.run({ ...WISHES, names: ['b.example'] });
      return true;
    };
    const manager = make();
    await manager.open();
    manager.run({ ...WISHES, names });
    await settle();
    assert.deepEqual(orders, ['b.example http-01']);
    await manager.close();
  });

  test('another share of the lifetime holds for what is kept already', async (t) => {
    const { make, settle, options, kept, clock, timers } = await scene(t);
    await options.storage.write('certificate/a.example', kept.pem);
    const manager = make();
    await manager.open();
    manager.run(WISHES);
    await settle();
    const [before] = manager.report();
    manager.run({ ...WISHES, renewAtRatio: 0.5 });
    await until(() => manager.report()[0]?.renewAt !== before!.renewAt, 'another time');
    const half = kept.notAfterMs - (kept.notAfterMs - kept.notBeforeMs) / 2;
    assert.equal(Date.parse(manager.report()[0]!.renewAt!), half);
    assert.ok(clock.wallMs() < half && timers.pending > 0);
    await manager.close();
  });

  test('an operator has a name ordered now, in the wait after a failure and long before the end', async (t) => {
    let isDown = true;
    const asked: string[] = [];
    const { make, settle, kept, options } = await scene(t, {
      order: async (name) => {
        asked.push(name);
        if (isDown) throw new OrderError('limited', 3 * 60 * MINUTE);
        return kept.pem;
      },
    });
    const manager = make();
    await manager.open();
    manager.run(WISHES);
    await settle();
    assert.equal(manager.orderNow('b.example'), false);
    const ordered = async () => {
      assert.equal(manager.orderNow('a.example'), true);
      assert.equal(manager.report()[0]!.ordering, true);
      await until(() => !manager.report()[0]!.ordering, 'the order is over');
      await settle();
    };
    await ordered();
    assert.equal(manager.report()[0]!.failures, 2);
    isDown = false;
    await ordered();
    assert.equal(manager.report()[0]!.problem, null);
    await ordered();
    assert.equal(asked.length, 4);
    assert.deepEqual(options.orders, { issued: 2, failed: 2 });
    await manager.close();
  });

  test('wishes that change again and again leave one timer', async (t) => {
    const { make, settle, timers } = await scene(t);
    const manager = make();
    await manager.open();
    for (let i = 0; i < 10; i++) manager.run(WISHES);
    await settle();
    for (let i = 0; i < 50; i++) await turn();
    assert.equal(timers.pending, 1);
    await manager.close();
  });

  test('a stop does not wait for an authority, and counts no failure', async (t) => {
    const asked = Promise.withResolvers<void>();
    const { make, options } = await scene(t, {
      order: (_name, _kind, signal) => {
        asked.resolve();
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new OrderError('given up'))));
      },
    });
    const manager = make();
    await manager.open();
    manager.run(WISHES);
    await asked.promise;
    await manager.close();
    assert.equal(options.orders.failed, 0);
    assert.equal(await options.storage.read('trouble/a.example'), null);
  });

  test('broken notes about failures, and those of a clock that was wrong, hold nothing up', async (t) => {
    for (const [text, isHeld] of [
      ['{"failures":', false],
      ['null', false],
      ['{"failures":"many","notBeforeMs":"never"}', false],
      [`{"failures":3,"notBeforeMs":${Date.parse('2999-01-01')},"problem":7}`, true],
    ] as const) {
      const { make, orders, settle, options, clock } = await scene(t);
      await options.storage.write('trouble/a.example', text);
      const manager = make();
      await manager.open();
      manager.run(WISHES);
      await settle();
      assert.equal(orders.length, isHeld ? 0 : 1, text);
      const { nextTryAt } = manager.report()[0]!;
      if (isHeld) assert.ok(Date.parse(nextTryAt!) <= clock.wallMs() + 7 * 86_400_000, text);
      await manager.close();
    }
  });

  test('a certificate that is due at once is not ordered once a second', async (t) => {
    const at = await scene(t);
    at.clock.advance(at.kept.notAfterMs - at.kept.notBeforeMs - MINUTE);
    assert.equal(await ordersOfAMinute(at), 1);
  });

  test('what is kept is published at its start, and a broken file is ordered anew', async (t) => {
    const { make, orders, settle, kept, options, changes } = await scene(t);
    await options.storage.write('certificate/a.example', kept.pem);
    const manager = make();
    await manager.open();
    assert.equal(changes(), 1);
    manager.run(WISHES);
    await settle();
    assert.deepEqual(orders, []);
    await options.storage.write('certificate/a.example', kept.pem.slice(0, 200));
    const second = make();
    await second.open();
    second.run(WISHES);
    await until(() => orders.length === 1, 'it was ordered');
    await Promise.all([manager.close(), second.close()]);
  });
});
