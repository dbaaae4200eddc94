/** A reload of which most is the same: what a worker built for it before stays, over the way that snapshots travel. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { route } from '../../../test/support/route-settings.ts';
import { atOnce } from '../../base/slices.ts';
import type { RouteSettings, Secrets, ServiceSettings, Snapshot } from '../contract/snapshot.ts';
import { joinSnapshot, type Received, splitSnapshot } from '../contract/snapshot-parts.ts';
import { cacheSteps, compileConfig, keptSteps, type LiveConfig, type LiveParts } from './compile-config.ts';

const NAMES = ['a', 'b', 'c'];

function snapshotOf(version: number, routes: readonly RouteSettings[], services: readonly ServiceSettings[]): Snapshot {
  return { version, gateway: { trustProxy: [] } as never, listeners: [], services, routes };
}

const routeTo = (service: string, slot: number): RouteSettings => ({
  ...route(`/${service}`),
  id: service,
  slot,
  action: { kind: 'service', targets: [{ service, weight: 1 }], split: null } as never,
});

const serviceOf = (name: string, slot: number, port: number, timeoutMs = 1): ServiceSettings =>
  ({ name, slot, timeoutMs, instances: [{ id: `${name} ${port}`, url: `http://127.0.0.1:${port}` }] }) as never;

/** What a worker has, and takes. */
class Side {
  #sent: Received | null = null;
  #has: Received | null = null;
  live: LiveConfig | null = null;
  /** One live service for each name, as long as it is there. */
  readonly #services = new Map(
    NAMES.map((name) => [name, { name, settings: { protocol: 'http1', host: 'instance' } } as never]),
  );

  take(snapshot: Snapshot, secrets: Secrets = {}): LiveConfig {
    const { head, parts } = structuredClone(splitSnapshot(snapshot, secrets, this.#sent));
    this.#sent = { snapshot, secrets };
    this.#has = joinSnapshot(head, parts, this.#has);
    const caches = atOnce(cacheSteps(this.#has.snapshot, () => assert.fail('no route has a cache'), this.live));
    const shared = { secrets: this.#has.secrets, caches, services: this.#services };
    const rest: Omit<LiveParts, 'kept' | keyof typeof shared> = {
      policies: new Map(),
      prepared: new Map(),
      environment: () => ({}) as never,
      isBanned: () => false,
      noRoute: { id: '', slot: 0 },
      ended: () => {},
    };
    const kept = atOnce(keptSteps(this.#has.snapshot, this.live, shared));
    this.live = compileConfig(this.#has.snapshot, { ...rest, ...shared, kept }, this.live);
    return this.live;
  }
}

test('a route keeps its object while neither it, its service nor what both are made with has changed', () => {
  const routes = NAMES.map(routeTo);
  const services = NAMES.map((name, i) => serviceOf(name, i, 4001 + i));
  const side = new Side();
  const first = side.take(snapshotOf(1, routes, services)).routes;

  const same = side.take(snapshotOf(2, [...routes].reverse(), services)).routes;
  assert.deepEqual(
    same.map((each) => first.indexOf(each)),
    [2, 1, 0],
    'in another order',
  );

  const changed = { ...routes[1]!, priority: 7 } as RouteSettings;
  const second = side.take(snapshotOf(3, [routes[0]!, changed, routes[2]!], services)).routes;
  assert.deepEqual(
    second.map((each) => first.indexOf(each)),
    [0, -1, 2],
    'one of three is another one',
  );

  const moved = [services[0]!, services[1]!, serviceOf('c', 2, 5003)];
  const third = side.take(snapshotOf(4, [routes[0]!, changed, routes[2]!], moved)).routes;
  assert.deepEqual(third, second, 'instances that come and go are no change of a route');
  assert.ok(third.every((each, i) => each === second[i]));

  const slower = [services[0]!, services[1]!, serviceOf('c', 2, 5003, 9)];
  const fourth = side.take(snapshotOf(5, [routes[0]!, changed, routes[2]!], slower)).routes;
  assert.deepEqual(
    fourth.map((each) => third.indexOf(each)),
    [0, 1, -1],
    'its service has another setting',
  );

  const last = side.take(snapshotOf(6, [routes[0]!, changed, routes[2]!], slower), { key: 'secret' }).routes;
  assert.deepEqual(
    last.map((each) => fourth.indexOf(each)),
    [-1, -1, -1],
    'secrets may be in any of them',
  );
});

test('no configuration keeps the one before it', async () => {
  const routes = NAMES.map(routeTo);
  const services = NAMES.map((name, i) => serviceOf(name, i, 4001 + i));
  const side = new Side();
  const gone = Array.from({ length: 5 }, (_, i) => new WeakRef(side.take(snapshotOf(i + 1, routes, services))));
  side.take(snapshotOf(9, routes, services));
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // What was made in this turn is held to its end.
  await nextTurn();
  collect();
  assert.deepEqual(
    gone.map((each) => each.deref()?.version),
    [undefined, undefined, undefined, undefined, undefined],
  );
});
