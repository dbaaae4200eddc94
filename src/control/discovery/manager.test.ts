import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeTimers, turn } from '../../../test/support/fake-timers.ts';
import { createLogger } from '../../base/log.ts';
import type { InstanceInput } from './instance.ts';
import { instanceAt } from './instance.ts';
import type { DiscoveryPlan, ManagerEnvironment } from './manager.ts';
import { DEBOUNCE_MS, DiscoveryManager, MAX_DEBOUNCE_MS } from './manager.ts';
import type { DiscoverySettings } from './options.ts';
import { discoveryPlans, registrationRules } from './plan.ts';
import type { SourceDefinition } from './source.ts';
import { staticSource } from './static.ts';

interface Puppet {
  readonly settings: unknown;
  tell(...instances: (string | InstanceInput)[]): void;
  problem(text: string | null): void;
  stopped: boolean;
}

/** A manager whose sources say what the test says. */
class World {
  readonly timers = new FakeTimers();
  readonly changes: { service: string; instances: readonly InstanceInput[] }[] = [];
  readonly lines: Record<string, unknown>[] = [];
  /** By `service/source`, every one that was ever begun. */
  readonly puppets = new Map<string, Puppet[]>();
  readonly manager: DiscoveryManager;

  constructor() {
    const puppet = (name: string): SourceDefinition<unknown> => ({
      name,
      create: (settings, { service }) => {
        let onInstances: (instances: readonly InstanceInput[]) => void;
        let onProblem: (problem: string | null) => void;
        const made: Puppet = {
          settings,
          tell: (...list) => onInstances(list.map((one) => (typeof one === 'string' ? instanceAt(one) : one))),
          problem: (text) => onProblem(text),
          stopped: false,
        };
        const key = `${service}/${name}`;
        this.puppets.set(key, [...(this.puppets.get(key) ?? []), made]);
        return {
          start: (instances, problem) => {
            onInstances = instances;
            onProblem = problem;
          },
          stop: () => {
            made.stopped = true;
          },
        };
      },
    });
    const sources = {
      static: staticSource,
      file: puppet('file'),
      dns: puppet('dns'),
      kubernetes: puppet('kubernetes'),
      registry: puppet('registry'),
    } as NonNullable<ManagerEnvironment['sources']>;
    this.manager = new DiscoveryManager({
      clock: this.timers.clock,
      timers: this.timers,
      log: createLogger('info', (line) => this.lines.push(JSON.parse(line))),
      random: () => 0,
      env: {},
      registry: null,
      sources,
      onChange: (service, instances) => this.changes.push({ service, instances }),
    });
  }

  source(key: string): Puppet {
    const found = this.puppets.get(key)?.at(-1);
    assert.ok(found, `a source ${key}`);
    return found;
  }

  get last(): readonly string[] {
    return (this.changes.at(-1)?.instances ?? []).map(({ url, weight }) => (weight === 1 ? url : `${url}*${weight}`));
  }
}

const NONE: DiscoverySettings = { dns: null, file: null, registry: null, kubernetes: null };
const FILE = { file: { path: '/a', pollIntervalMs: 1_000 } };

function plan(
  service: string,
  discovery: Partial<DiscoverySettings> = FILE,
  urls: readonly string[] = [],
): DiscoveryPlan {
  return { service, static: urls.map((url) => instanceAt(url)), discovery: { ...NONE, ...discovery } };
}

describe('discovery manager', () => {
  it('adds up configured and found instances, each address once, in a stable order', async () => {
    const world = new World();
    world.manager.apply([
      plan('app', { ...FILE, registry: { allow: [], maxInstances: 5 } }, ['http://s:1', 'http://t:1/']),
    ]);
    world.source('app/registry').tell('http://r:1', 'http://f:1');
    world.source('app/file').tell(instanceAt('http://f:1', { weight: 7 }), 'http://s:1', 'http://T:1');
    await world.timers.advance(DEBOUNCE_MS);
    assert.deepEqual(world.last, ['http://s:1', 'http://t:1/', 'http://f:1*7', 'http://r:1']);
  });

  it('tells a burst of changes once, and steady changes every second', async () => {
    const world = new World();
    world.manager.apply([plan('app')]);
    const file = world.source('app/file');
    for (let port = 1; port <= 5; port++) {
      file.tell(`http://a:${port}`);
      await world.timers.advance(DEBOUNCE_MS / 2);
    }
    await world.timers.advance(DEBOUNCE_MS);
    assert.equal(world.changes.length, 1);
    for (let round = 0; round < 60; round++) {
      file.tell(`http://b:${round + 1}`);
      await world.timers.advance(DEBOUNCE_MS / 2);
    }
    assert.equal(world.changes.length, 1 + Math.floor((60 * DEBOUNCE_MS) / 2 / MAX_DEBOUNCE_MS));
  });

  it('tells nothing when a list is as it was', async () => {
    const world = new World();
    world.manager.apply([plan('app')]);
    const file = world.source('app/file');
    file.tell('http://a:1');
    await world.timers.advance(1_000);
    file.tell('http://a:1');
    await world.timers.advance(1_000);
    file.tell('http://b:1');
    file.tell('http://a:1');
    await world.timers.advance(1_000);
    assert.equal(world.changes.length, 1);
  });

  it('keeps services apart', async () => {
    const world = new World();
    world.manager.apply([plan('app'), plan('web')]);
    world.source('web/file').tell('http://w:1');
    await world.timers.advance(1_000);
    assert.deepEqual(
      world.changes.map((change) => change.service),
      ['web'],
    );
  });

  it('logs what came and went, and each problem once', async () => {
    const world = new World();
    world.manager.apply([plan('app')]);
    const file = world.source('app/file');
    file.tell('http://a:1', 'http://b:1');
    await world.timers.advance(1_000);
    file.tell('http://b:1', 'http://c:1');
    file.problem('the file is bad');
    file.problem('the file is bad');
    file.problem(null);
    file.problem(null);
    await world.timers.advance(1_000);
    assert.deepEqual(
      world.lines.map(({ time: _, ...line }) => line),
      [
        {
          level: 'info',
          message: 'instances changed',
          service: 'app',
          instances: 2,
          added: ['http://a:1', 'http://b:1'],
          removed: [],
        },
        {
          level: 'warn',
          message: 'discovery problem',
          service: 'app',
          source: 'file',
          reason: 'the file is bad',
          instances: 2,
        },
        { level: 'info', message: 'discovery works again', service: 'app', source: 'file' },
        {
          level: 'info',
          message: 'instances changed',
          service: 'app',
          instances: 2,
          added: ['http://c:1'],
          removed: ['http://a:1'],
        },
      ],
    );
  });

  it('shows each source with its count, its problem and the time of its last list', async () => {
    const world = new World();
    world.manager.apply([plan('app', { ...FILE, dns: { name: 'x' } as NonNullable<DiscoverySettings['dns']> })]);
    const at = world.timers.clock.wallMs();
    world.source('app/file').tell('http://a:1');
    world.source('app/dns').problem('no answer');
    assert.deepEqual(world.manager.status(), [
      { service: 'app', source: 'file', instances: 1, problem: null, toldAtMs: at },
      { service: 'app', source: 'dns', instances: 0, problem: 'no answer', toldAtMs: null },
    ]);
  });
});

describe('discovery manager: priorities', () => {
  const tiers = [
    instanceAt('http://a:1', { weight: 2 }),
    instanceAt('http://b:1'),
    instanceAt('http://c:1', { priority: 10 }),
    instanceAt('http://d:1', { priority: 20, weight: 5 }),
  ];

  async function tiered(): Promise<World> {
    const world = new World();
    world.manager.apply([plan('app')]);
    world.source('app/file').tell(...tiers);
    await world.timers.advance(DEBOUNCE_MS);
    return world;
  }

  it('let the first tier take the traffic while anybody in it is healthy', async () => {
    const world = await tiered();
    assert.deepEqual(world.last, ['http://a:1*2', 'http://b:1', 'http://c:1*0', 'http://d:1*0']);
    world.manager.healthChanged('app', 'http://a:1/', false);
    await world.timers.advance(DEBOUNCE_MS);
    assert.equal(world.changes.length, 1);
  });

  it('bring in the next tier when the first is down, and go back when it recovers', async () => {
    const world = await tiered();
    for (const host of ['a', 'b']) world.manager.healthChanged('app', `http://${host}:1`, false);
    await world.timers.advance(DEBOUNCE_MS);
    assert.deepEqual(world.last, ['http://a:1*2', 'http://b:1', 'http://c:1', 'http://d:1*0']);
    world.manager.healthChanged('app', 'http://c:1', false);
    await world.timers.advance(DEBOUNCE_MS);
    assert.deepEqual(world.last, ['http://a:1*2', 'http://b:1', 'http://c:1', 'http://d:1*5']);
    world.manager.healthChanged('app', 'http://b:1', true);
    await world.timers.advance(DEBOUNCE_MS);
    assert.deepEqual(world.last, ['http://a:1*2', 'http://b:1', 'http://c:1*0', 'http://d:1*0']);
  });

  it('stay with the first tier when everything is down', async () => {
    const world = await tiered();
    for (const { url } of tiers) world.manager.healthChanged('app', url, false);
    await world.timers.advance(DEBOUNCE_MS);
    assert.deepEqual(world.last, ['http://a:1*2', 'http://b:1', 'http://c:1*0', 'http://d:1*0']);
  });

  it('forget the health of an address that is gone', async () => {
    const world = await tiered();
    for (const host of ['a', 'b']) world.manager.healthChanged('app', `http://${host}:1`, false);
    world.source('app/file').tell(...tiers.slice(2));
    await world.timers.advance(DEBOUNCE_MS);
    world.source('app/file').tell(...tiers);
    await world.timers.advance(DEBOUNCE_MS);
    assert.deepEqual(world.last, ['http://a:1*2', 'http://b:1', 'http://c:1*0', 'http://d:1*0']);
  });
});

describe('discovery manager over reloads', () => {
  it('leaves an unchanged source alone', async () => {
    const world = new World();
    world.manager.apply([plan('app')]);
    world.source('app/file').tell('http://a:1');
    await world.timers.advance(1_000);
    world.manager.apply([plan('app'), plan('web')]);
    await world.timers.advance(1_000);
    assert.equal(world.puppets.get('app/file')?.length, 1);
    assert.equal(world.changes.length, 1);
  });

  it('begins a source anew when its settings change, and keeps its list until the new one has spoken', async () => {
    const world = new World();
    world.manager.apply([plan('app')]);
    const old = world.source('app/file');
    old.tell('http://a:1');
    await world.timers.advance(1_000);
    world.manager.apply([plan('app', { file: { path: '/b', pollIntervalMs: 1_000 } })]);
    await world.timers.advance(1_000);
    assert.equal(old.stopped, true);
    assert.equal(world.changes.length, 1);
    world.source('app/file').tell('http://b:1');
    old.tell('http://old:1');
    await world.timers.advance(1_000);
    assert.deepEqual(world.last, ['http://b:1']);
  });

  it('takes the instances of a source away when the source goes', async () => {
    const world = new World();
    const both = { ...FILE, registry: { allow: [], maxInstances: 5 } };
    world.manager.apply([plan('app', both)]);
    world.source('app/file').tell('http://a:1');
    world.source('app/registry').tell('http://r:1');
    await world.timers.advance(1_000);
    world.manager.apply([plan('app')]);
    await world.timers.advance(1_000);
    assert.deepEqual(world.last, ['http://a:1']);
    assert.equal(world.source('app/registry').stopped, true);
  });

  it('forgets a service that has no discovery any more', async () => {
    const world = new World();
    world.manager.apply([plan('app')]);
    world.source('app/file').tell('http://a:1');
    world.manager.apply([]);
    await world.timers.advance(1_000);
    assert.deepEqual([world.changes.length, world.timers.pending, world.manager.all().size], [0, 0, 0]);
    assert.equal(world.source('app/file').stopped, true);
  });

  it('takes what `all` gave as told', async () => {
    const world = new World();
    world.manager.apply([plan('app', FILE, ['http://s:1'])]);
    world.source('app/file').tell('http://a:1');
    assert.deepEqual(
      world.manager
        .all()
        .get('app')
        ?.map(({ url }) => url),
      ['http://s:1', 'http://a:1'],
    );
    await world.timers.advance(1_000);
    assert.equal(world.changes.length, 0);
  });
});

describe('discovery manager: start and stop', () => {
  it('is ready when every source has spoken, be it of a problem', async () => {
    const world = new World();
    world.manager.apply([plan('app'), plan('web')]);
    let ready = false;
    void world.manager.ready(60_000).then(() => {
      ready = true;
    });
    world.source('app/file').tell('http://a:1');
    await turn();
    assert.equal(ready, false);
    world.source('web/file').problem('not there');
    await turn();
    assert.equal(ready, true);
  });

  it('is ready at once without sources, and after the deadline with a silent one', async () => {
    const world = new World();
    await world.manager.ready(60_000);
    world.manager.apply([plan('app')]);
    const ready = world.manager.ready(2_000);
    await world.timers.advance(2_000);
    await ready;
  });

  it('stops every source and tells nothing more', async () => {
    const world = new World();
    world.manager.apply([plan('app')]);
    world.source('app/file').tell('http://a:1');
    world.manager.stop();
    world.source('app/file').tell('http://b:1');
    await world.timers.advance(1_000);
    assert.deepEqual([world.changes.length, world.timers.pending, world.source('app/file').stopped], [0, 0, true]);
  });
});

describe('plans', () => {
  it('are made for the services that have discovery, with what the document lists', () => {
    const registry = { allow: ['10.0.0.0/8'], maxInstances: 3 };
    const services = { app: { discovery: { ...NONE, registry } }, plain: { discovery: null } };
    const listed = {
      app: {
        instances: [
          'http://a:1',
          { url: 'http://b:1', weight: 3, zone: undefined, healthy: false, metadata: { v: '1' } },
        ],
      },
    };
    assert.deepEqual(discoveryPlans(services, listed), [
      {
        service: 'app',
        discovery: { ...NONE, registry },
        static: [
          instanceAt('http://a:1'),
          { url: 'http://b:1', weight: 3, zone: null, healthy: false, metadata: { v: '1' }, priority: 0 },
        ],
      },
    ]);
    assert.deepEqual([...registrationRules(services)], [['app', registry]]);
  });
});
