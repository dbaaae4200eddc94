import assert from 'node:assert/strict';
import { test } from 'node:test';
import { route } from '../../../test/support/route-settings.ts';
import { atOnce } from '../../base/slices.ts';
import type { ActiveConfig } from '../exchange/active-config.ts';
import { cacheSteps, compileConfig } from './compile-config.ts';
import { DrainingConfigs } from './draining-configs.ts';

function scene() {
  const former = new DrainingConfigs();
  const disposed: number[] = [];
  /** Routes with their slots, and how many exchanges are under way. */
  const live = (version: number, slots: Readonly<Record<string, number>>, active: number): ActiveConfig => {
    const routes = Object.entries(slots).map(([id, slot]) => ({
      ...route(`/${id}`),
      id,
      slot,
    }));
    const snapshot = { version, gateway: { trustProxy: [] } as never, listeners: [], services: [], routes };
    return Object.assign(
      compileConfig(snapshot, {
        services: new Map(),
        policies: new Map(),
        prepared: new Map(),
        kept: new Map(),
        secrets: {},
        caches: atOnce(cacheSteps(snapshot, () => assert.fail('no route has a cache'), null)),
        environment: () => ({}) as never,
        isBanned: () => false,
        noRoute: { id: '', slot: 0 },
        ended: (ended) => {
          disposed.push(ended.version);
          former.ended(ended);
        },
      }),
      { active },
    );
  };
  return { former, disposed, live };
}

const slotsOf = ({ routes }: ActiveConfig): number[] => routes.map(({ settings }) => settings.slot);

test('a route that is gone has no slot any more, one that stays keeps its own', () => {
  const { former, live } = scene();
  const old = live(1, { a: 1, b: 2, c: 3 }, 1);
  atOnce(former.retireSteps(old, live(2, { b: 2, d: 4 }, 0)));
  assert.deepEqual(slotsOf(old), [0, 2, 0]);
  assert.deepEqual(
    old.routes.map(({ settings }) => settings.id),
    ['a', 'b', 'c'],
  );
});

test('so has one that goes two configurations later, or that came back in another slot', () => {
  const { former, live } = scene();
  const first = live(1, { a: 1, b: 2 }, 1);
  const second = live(2, { a: 1, b: 2 }, 0);
  const third = live(3, { b: 2 }, 1);
  atOnce(former.retireSteps(first, second));
  assert.deepEqual(slotsOf(first), [1, 2]);
  atOnce(former.retireSteps(second, third));
  assert.deepEqual(slotsOf(first), [0, 2]);
  atOnce(former.retireSteps(third, live(4, { a: 3, b: 4 }, 0)));
  assert.deepEqual([...slotsOf(first), ...slotsOf(third)], [0, 0, 0]);
});

test('a configuration without exchanges is disposed of at once, another one when its last has ended', () => {
  const { former, disposed, live } = scene();
  const idle = live(1, { a: 1 }, 0);
  const busy = live(2, { a: 1 }, 1);
  const next = live(3, { a: 1 }, 0);
  atOnce(former.retireSteps(idle, busy));
  assert.deepEqual([disposed, idle.retired], [[1], true]);
  atOnce(former.retireSteps(busy, next));
  assert.deepEqual([disposed, busy.retired], [[1], true]);
  busy.dispose();
  assert.deepEqual(disposed, [1, 2]);
  atOnce(former.retireSteps(next, live(4, {}, 0)));
  assert.deepEqual(slotsOf(busy), [1], 'nothing is done any more for one that has ended');
});
