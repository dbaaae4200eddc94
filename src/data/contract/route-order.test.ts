/** The total order of routes, criterion by criterion. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RouteExtras, route, version } from '../../../test/support/route-settings.ts';
import { orderRoutes, servesMethod } from './route-order.ts';

const X = [{ name: 'x', test: { present: true } }];
const byHeader = { kind: 'header', header: 'v' } as const;

test('each criterion decides between what the ones before it leave equal', () => {
  const inOrder: [string, RouteExtras][] = [
    ['~.*', { priority: 2 }],
    ['/*', { priority: 1 }],
    ['a.test/*', {}],
    ['*.long.test/*', {}],
    ['*.test/*', {}],
    ['/a', { headers: X, query: X }],
    ['/a', { headers: X }],
    ['/a', { version: version('1', byHeader), id: 'versioned' }],
    ['HEAD /a', {}],
    ['GET /a', {}],
    ['GET,POST /a', {}],
    ['/a', {}],
    ['/a', { version: version('1', { kind: 'path' }), id: 'by path is no condition' }],
    ['/a/b', {}],
    ['/a/:x', {}],
    ['/a/*', {}],
    ['/:x', {}],
    ['/:x/b', {}],
    ['/:x/*', {}],
    ['/*', {}],
    ['~/a.*', { headers: X }],
    ['~/a', {}],
    ['~/b', {}],
    ['/a', { priority: -1 }],
  ];
  const routes = inOrder.map(([spec, extras], at) => route(spec, { ...extras, slot: at }));
  // Only the last criterion looks at the order given: within it, the given order is kept.
  const shuffled = [...routes].sort((a, b) => ((a.slot * 7) % 24) - ((b.slot * 7) % 24));
  const given = (slot: number) => shuffled.findIndex((one) => one.slot === slot);
  const slots = orderRoutes(shuffled).map((entry) => entry.route.slot);
  const pairs = [
    [11, 12],
    [21, 22],
    [6, 7],
  ] as const;
  for (const [one, other] of pairs) {
    assert.equal(slots.indexOf(one) < slots.indexOf(other), given(one) < given(other), `${one} and ${other}`);
  }
  const tied = new Set<number>(pairs.flat());
  assert.deepEqual(
    slots.filter((slot) => !tied.has(slot)),
    routes.map((one) => one.slot).filter((slot) => !tied.has(slot)),
  );
});

test('a route with several hosts stands once for each, in groups that only the last criteria divide', () => {
  const entries = orderRoutes([
    route('/a', { hosts: ['*.test', 'a.test', 'a.test'] }),
    route('GET /a', { hosts: ['a.test'] }),
  ]);
  assert.deepEqual(
    entries.map(({ index, host, rank }) => `${index} ${host} ${rank}`),
    ['1 a.test 0', '0 a.test 1', '0 *.test 2'],
  );
  assert.equal(entries[0]?.group, entries[1]?.group);
  assert.notEqual(entries[1]?.group, entries[2]?.group);
});

test('RFC 9110 §9.3.2: GET serves HEAD, and nothing serves another method', () => {
  assert.equal(servesMethod(['GET'], 'HEAD'), true);
  assert.equal(servesMethod(['HEAD'], 'GET'), false);
  assert.equal(servesMethod([], 'PURGE'), true);
  assert.equal(servesMethod(['GET'], 'get'), false);
});
