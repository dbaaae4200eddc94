import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeTimers } from '../../../../test/support/fake-timers.ts';
import { createLogger } from '../../../base/log.ts';
import type { InstanceInput } from '../instance.ts';
import { registrySource } from '../registry-source.ts';
import { sourceSuite, startSource } from '../source.suite.ts';
import type { Lease, Registration, RegistrationRules, RegistrySettings } from './leases.ts';
import { MAX_LEASES, Registry } from './registry.ts';
import type { RegistryStore } from './store.ts';
import { memoryStore } from './store.ts';

const SETTINGS: RegistrySettings = {
  leaseMs: { default: 30_000, min: 5_000, max: 600_000 },
  restartGraceMs: 45_000,
  damping: { after: 2, holdMs: 10_000, maxHoldMs: 40_000, windowMs: 600_000 },
};
const RULES: RegistrationRules = { allow: [], maxInstances: 100 };

const at = (url: string, more: Partial<Registration> = {}): Registration => ({
  url,
  weight: 1,
  zone: null,
  metadata: {},
  leaseMs: 30_000,
  ...more,
});

class World {
  readonly timers: FakeTimers;
  readonly store: RegistryStore;
  readonly lines: Record<string, unknown>[] = [];
  readonly registry: Registry;
  readonly told: string[][] = [];

  private constructor(timers: FakeTimers, store: RegistryStore, lines: Record<string, unknown>[], registry: Registry) {
    this.timers = timers;
    this.store = store;
    this.lines = lines;
    this.registry = registry;
  }

  static async open(
    timers = new FakeTimers(),
    store: RegistryStore = memoryStore(),
    rules: ReadonlyMap<string, RegistrationRules> = new Map([['orders', RULES]]),
  ): Promise<World> {
    const lines: Record<string, unknown>[] = [];
    const log = createLogger('info', (line) => lines.push(JSON.parse(line)));
    const registry = await Registry.open({ store, clock: timers.clock, timers, log }, SETTINGS);
    const world = new World(timers, store, lines, registry);
    registry.configure(SETTINGS, rules);
    registry.subscribe('orders', (instances: readonly InstanceInput[]) => {
      world.told.push(instances.map(({ url }) => url));
    });
    return world;
  }

  register(url: string, more: Partial<Registration> = {}): Lease {
    const result = this.registry.register('orders', at(url, more));
    assert.ok(result.ok, JSON.stringify(result));
    return result.lease;
  }

  get urls(): readonly string[] {
    return this.told.at(-1) ?? [];
  }

  messages(): unknown[] {
    return this.lines.map((line) => line['message']);
  }
}

sourceSuite('registry', async () => {
  const world = await World.open();
  world.register('http://10.0.0.2:82');
  world.register('http://10.0.0.1:81');
  return {
    start: () =>
      // Timers of the registry are its own; the source itself has none.
      startSource({ after: () => {} } as never, registrySource, RULES, { registry: world.registry }, new FakeTimers()),
    first: ['http://10.0.0.1:81', 'http://10.0.0.2:82'],
    change: async () => {
      world.register('http://10.0.0.3:83');
      return ['http://10.0.0.1:81', 'http://10.0.0.2:82', 'http://10.0.0.3:83'];
    },
    lookMs: 1,
  };
});

describe('registry: leases', () => {
  it('tells an instance at once and takes it away when its heartbeat is lost', async () => {
    const world = await World.open();
    world.register('http://a:1');
    assert.deepEqual(world.urls, ['http://a:1']);
    await world.timers.advance(29_999);
    assert.deepEqual(world.urls, ['http://a:1']);
    await world.timers.advance(1);
    assert.deepEqual(world.urls, []);
    assert.deepEqual(world.messages(), ['instance registered', 'instance removed: heartbeat lost']);
    assert.equal(world.timers.pending, 0);
  });

  it('keeps an instance as long as heartbeats come', async () => {
    const world = await World.open();
    const { id } = world.register('http://a:1');
    for (let round = 0; round < 30; round++) {
      await world.timers.advance(10_000);
      assert.ok(world.registry.heartbeat('orders', id));
    }
    assert.deepEqual(world.told, [[], ['http://a:1']]);
    await world.timers.advance(30_000);
    assert.equal(world.registry.heartbeat('orders', id), undefined);
  });

  it('removes exactly the lease that ran out among several lengths', async () => {
    const world = await World.open();
    world.register('http://long:1', { leaseMs: 60_000 });
    world.register('http://short:1', { leaseMs: 5_000 });
    await world.timers.advance(5_000);
    assert.deepEqual(world.urls, ['http://long:1']);
    await world.timers.advance(55_000);
    assert.deepEqual(world.urls, []);
  });

  it('does not drop everybody because the process itself stood still', async () => {
    const world = await World.open();
    const { id } = world.register('http://a:1');
    world.timers.clock.advance(300_000);
    await world.timers.advance(0);
    assert.deepEqual(world.urls, ['http://a:1']);
    assert.ok(world.messages().includes('leases renewed: the process stood still'));
    assert.ok(world.registry.heartbeat('orders', id));
    await world.timers.advance(30_000);
    assert.deepEqual(world.urls, []);
  });

  it('takes changes of weight, zone and metadata with a heartbeat', async () => {
    const world = await World.open();
    const { id } = world.register('http://a:1');
    const lease = world.registry.heartbeat('orders', id, { weight: 0, zone: 'b', metadata: { v: '2' } });
    assert.deepEqual([lease?.weight, lease?.zone, lease?.metadata], [0, 'b', { v: '2' }]);
    assert.equal(world.told.length, 3);
    assert.equal(world.registry.heartbeat('orders', id)?.weight, 0);
  });

  it('removes one that leaves, once', async () => {
    const world = await World.open();
    const { id } = world.register('http://a:1');
    assert.equal(world.registry.remove('orders', id), true);
    assert.equal(world.registry.remove('orders', id), false);
    assert.deepEqual(world.urls, []);
  });

  it('takes the same URL for the same instance, started anew: the old id ends', async () => {
    const world = await World.open();
    const first = world.register('http://a:1', { weight: 1 });
    const again = world.registry.register('orders', at('http://a:1', { weight: 9 }));
    assert.ok(again.ok && !again.isNew);
    assert.notEqual(again.lease.id, first.id);
    assert.equal(world.registry.heartbeat('orders', first.id), undefined);
    // The end of the old process, late, does not take the new one away.
    assert.equal(world.registry.remove('orders', first.id), false);
    assert.deepEqual(
      world.registry.list('orders')?.map(({ url, weight }) => [url, weight]),
      [['http://a:1', 9]],
    );
  });
});

describe('registry: bounds', () => {
  it('refuses services that take no registrations', async () => {
    const world = await World.open();
    assert.deepEqual(world.registry.register('billing', at('http://a:1')), { ok: false, refusal: 'unknown' });
    assert.equal(world.registry.list('billing'), undefined);
  });

  it('refuses more instances than the service may have, but lets a known one renew itself', async () => {
    const world = await World.open(undefined, undefined, new Map([['orders', { allow: [], maxInstances: 2 }]]));
    world.register('http://a:1');
    world.register('http://b:1');
    assert.deepEqual(world.registry.register('orders', at('http://c:1')), { ok: false, refusal: 'full', most: 2 });
    assert.ok(world.registry.register('orders', at('http://a:1')).ok);
  });

  it('refuses more instances than there may be in all', async () => {
    const rules = new Map(Array.from({ length: 5 }, (_, n) => [`s${n}`, { allow: [], maxInstances: 1_024 }] as const));
    const world = await World.open(undefined, undefined, rules);
    let accepted = 0;
    for (const service of rules.keys()) {
      for (let n = 0; n < 1_024; n++) if (world.registry.register(service, at(`http://a:${n + 1}`)).ok) accepted++;
    }
    assert.equal(accepted, MAX_LEASES);
  });

  it('refuses addresses outside of what the service allows', async () => {
    const world = await World.open(
      undefined,
      undefined,
      new Map([['orders', { allow: ['10.0.0.0/8'], maxInstances: 2 }]]),
    );
    const result = world.registry.register('orders', at('http://11.0.0.1'));
    assert.equal(result.ok ? '' : result.refusal, 'address');
    world.register('http://10.0.0.1');
  });
});

describe('registry: flapping', () => {
  it('holds back an address that comes and goes, longer each time, and lets it in again', async () => {
    const world = await World.open();
    const lose = () => world.timers.advance(5_000);
    const come = () => world.register('http://a:1', { leaseMs: 5_000 });
    come();
    await lose();
    assert.equal(come().state, 'active', 'the first comeback is free');
    await lose();
    const held = come();
    assert.deepEqual([held.state, held.comebacks], ['held', 2]);
    assert.equal((held.heldUntilMs ?? 0) - world.timers.clock.wallMs(), 10_000);
    assert.deepEqual(world.urls, []);
    await lose();
    assert.equal((come().heldUntilMs ?? 0) - world.timers.clock.wallMs(), 20_000);
    assert.equal(world.messages().filter((message) => message === 'flapping instance held back').length, 2);
  });

  it('lets a held instance in when its time is over, if its heartbeat still comes', async () => {
    const world = await World.open();
    const first = world.register('http://a:1');
    world.registry.remove('orders', first.id);
    const second = world.register('http://a:1');
    world.registry.remove('orders', second.id);
    const { id } = world.register('http://a:1');
    await world.timers.advance(9_999);
    assert.ok(world.registry.heartbeat('orders', id));
    assert.deepEqual(world.urls, []);
    await world.timers.advance(1);
    assert.deepEqual(world.urls, ['http://a:1']);
    assert.equal(world.registry.list('orders')?.[0]?.state, 'active');
    assert.equal(world.lines.at(-1)?.['message'], 'flapping instance let in again');
  });

  it('holds back one that restarts in circles without ever losing its lease', async () => {
    const world = await World.open();
    const states = Array.from({ length: 4 }, () => world.register('http://a:1').state);
    assert.deepEqual(states, ['active', 'active', 'held', 'held']);
  });

  it('does not end a hold-down by another start', async () => {
    const world = await World.open();
    for (let round = 0; round < 5; round++) world.register('http://a:1');
    const until = world.registry.list('orders')?.[0]?.heldUntilMs ?? 0;
    assert.equal(until - world.timers.clock.wallMs(), 40_000);
    world.registry.configure(
      { ...SETTINGS, damping: { ...SETTINGS.damping, holdMs: 1_000 } },
      new Map([['orders', RULES]]),
    );
    assert.equal(world.register('http://a:1').heldUntilMs, until);
  });

  it('holds nothing against other addresses', async () => {
    const world = await World.open();
    for (let round = 0; round < 4; round++) world.register('http://a:1');
    assert.equal(world.register('http://b:1').state, 'active');
    assert.deepEqual(world.urls, ['http://b:1']);
  });
});

describe('registry: restart and reload', () => {
  it('knows every instance after a restart and gives each a grace to send its heartbeat', async () => {
    const before = await World.open();
    const lease = before.register('http://a:1', { weight: 3, zone: 'eu', metadata: { v: '1' }, leaseMs: 6_000 });
    before.register('http://b:1');
    await before.timers.advance(5_000);
    await before.registry.close();

    const after = await World.open(new FakeTimers(before.timers.clock), before.store);
    assert.deepEqual(after.urls, ['http://a:1', 'http://b:1']);
    await after.timers.advance(44_999);
    const renewed = after.registry.heartbeat('orders', lease.id);
    assert.deepEqual(
      [renewed?.weight, renewed?.zone, renewed?.metadata, renewed?.registeredAtMs],
      [3, 'eu', { v: '1' }, lease.registeredAtMs],
    );
    await after.timers.advance(1);
    assert.deepEqual(after.urls, ['http://a:1'], 'who did not find us again is gone after the grace');
    await after.timers.advance(6_000);
    assert.deepEqual(after.urls, []);
  });

  it('remembers flapping over a restart', async () => {
    const before = await World.open();
    for (let round = 0; round < 4; round++) before.register('http://a:1');
    await before.registry.close();
    const timers = new FakeTimers();
    timers.clock.stepWall(before.timers.clock.wallMs() - timers.clock.wallMs());
    timers.clock.advance(5_000);
    const after = await World.open(timers, before.store);
    const [lease] = after.registry.list('orders') ?? [];
    assert.deepEqual([lease?.state, lease?.comebacks], ['held', 3]);
    assert.equal((lease?.heldUntilMs ?? 0) - timers.clock.wallMs(), 15_000);
    assert.equal(after.register('http://a:1').comebacks, 4);
  });

  it('is not misled by a time of day that was set back', async () => {
    const before = await World.open();
    for (let round = 0; round < 4; round++) before.register('http://a:1');
    await before.registry.close();
    const timers = new FakeTimers();
    timers.clock.stepWall(-86_400_000);
    const after = await World.open(timers, before.store);
    const held = after.registry.list('orders')?.[0]?.heldUntilMs ?? 0;
    assert.ok(held - timers.clock.wallMs() <= SETTINGS.damping.maxHoldMs);
    await after.timers.advance(SETTINGS.damping.maxHoldMs);
    assert.deepEqual(after.urls, ['http://a:1']);
  });

  it('begins empty, loudly, when what was kept cannot be read', async () => {
    const broken: RegistryStore = { ...memoryStore(), load: () => Promise.reject(new Error('not a registry file')) };
    const world = await World.open(undefined, broken);
    assert.deepEqual(world.urls, []);
    assert.deepEqual(world.messages(), ['the registry begins empty']);
    world.register('http://a:1');
  });

  it('drops the leases of a service that takes no registrations any more, and keeps the others', async () => {
    const both = new Map([
      ['orders', RULES],
      ['billing', RULES],
    ]);
    const world = await World.open(undefined, undefined, both);
    world.register('http://a:1');
    assert.ok(world.registry.register('billing', at('http://b:1')).ok);
    world.registry.configure(SETTINGS, new Map([['billing', RULES]]));
    assert.deepEqual(world.urls, []);
    assert.deepEqual(
      [...world.registry.listAll()].map(([name, leases]) => [name, leases.length]),
      [['billing', 1]],
    );
  });

  it('keeps leases and listeners over a reload that leaves the service', async () => {
    const world = await World.open();
    world.register('http://a:1');
    world.registry.configure(
      SETTINGS,
      new Map([
        ['orders', { allow: [], maxInstances: 7 }],
        ['more', RULES],
      ]),
    );
    world.register('http://b:1');
    assert.deepEqual(world.urls, ['http://a:1', 'http://b:1']);
  });

  it('takes nothing after close', async () => {
    const world = await World.open();
    world.register('http://a:1');
    await world.registry.close();
    assert.equal(world.timers.pending, 0);
    assert.equal(world.registry.register('orders', at('http://b:1')).ok, false);
  });
});
