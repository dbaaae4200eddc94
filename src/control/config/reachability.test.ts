/** Routes that can never match are found, and only they. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RouteExtras, route, version } from '../../../test/support/route-settings.ts';
import { findRouteConflicts } from './reachability.ts';

type Spec = string | [string, RouteExtras];

const X1 = [{ name: 'x', test: { equals: '1' } }];
const X2 = [{ name: 'x', test: { equals: '2' } }];
const HAS_X = [{ name: 'x', test: { present: true } }];
const NO_X = [{ name: 'x', test: { present: false } }];
const HIGH = { priority: 1 };
const byHeader = { kind: 'header', header: 'v' } as const;

function conflicts(specs: readonly Spec[]): string[] {
  const routes = specs.map((spec) => (typeof spec === 'string' ? route(spec) : route(spec[0], spec[1])));
  return findRouteConflicts(routes).map(({ route: index, other }) => `${index}<${other}`);
}

test('a route behind one that takes all its requests is found', () => {
  const rows: { name: string; routes: Spec[]; want: string[] }[] = [
    { name: 'duplicate', routes: ['GET /a', 'GET /a'], want: ['1<0'] },
    { name: 'three of a kind', routes: ['/a', '/a', '/a'], want: ['1<0', '2<0'] },
    { name: 'other names of parameters', routes: ['/a/:x', '/a/:y'], want: ['1<0'] },
    { name: 'other spelling', routes: ['/caf%C3%A9', '/café'], want: ['1<0'] },
    { name: 'priority of a rest', routes: ['/a/b', ['/a/*', HIGH]], want: ['0<1'] },
    { name: 'the rest takes its prefix', routes: ['/a', ['/a/*', HIGH]], want: ['0<1'] },
    { name: 'a rest behind a rest', routes: ['/a/b/*', ['/a/*', HIGH]], want: ['0<1'] },
    { name: 'priority of a parameter', routes: ['/a/b', '/a/:x/c', ['/a/:x', HIGH]], want: ['0<2'] },
    { name: 'parameter behind parameter', routes: ['/:a/b', ['/:x/:y', HIGH]], want: ['0<1'] },
    { name: 'methods within methods', routes: ['GET /a', ['GET,POST /a', HIGH]], want: ['0<1'] },
    { name: 'HEAD within GET', routes: ['HEAD /a', ['GET /a', HIGH]], want: ['0<1'] },
    { name: 'any method', routes: ['GET /a', ['/a', HIGH]], want: ['0<1'] },
    { name: 'any host by priority', routes: ['a.test/x', ['/x', HIGH]], want: ['0<1'] },
    { name: 'host suffix by priority', routes: ['a.b.test/x', ['*.test/x', HIGH]], want: ['0<1'] },
    { name: 'suffix in suffix', routes: ['*.b.test/x', ['*.test/x', HIGH]], want: ['0<1'] },
    {
      name: 'each host behind another route',
      routes: [
        ['/x', { hosts: ['a.test', 'b.test'] }],
        ['a.test/x', HIGH],
        ['b.test/*', HIGH],
      ],
      want: ['0<2'],
    },
    { name: 'a regular expression behind a rest', routes: ['~/a/\\d+', '/a/*'], want: ['0<1'] },
    { name: 'a regular expression behind everything', routes: ['~/a/\\d+', '/*'], want: ['0<1'] },
    { name: 'a regular expression behind parameters', routes: ['~/a/b/.*', '/:x/*'], want: ['0<1'] },
    { name: 'the same expression', routes: ['~/a/\\d+', '~/a/\\d+'], want: ['1<0'] },
    { name: 'everything as an expression', routes: ['/a', ['~.*', HIGH], '~/b\\d'], want: ['0<1', '2<1'] },
    { name: 'a literal path in an expression', routes: ['/a/12', '/a/b', ['~/a/\\d+', HIGH]], want: ['0<2'] },
    {
      name: 'conditions by priority',
      routes: [
        ['/a', { headers: X1 }],
        ['/a', HIGH],
      ],
      want: ['0<1'],
    },
    {
      name: 'same conditions',
      routes: [
        ['/a', { headers: X1 }],
        ['/a', { headers: X1 }],
      ],
      want: ['1<0'],
    },
    {
      name: 'a value is present',
      routes: [
        ['/a', { headers: HAS_X }],
        ['/a', { headers: X1 }],
      ],
      want: ['1<0'],
    },
    {
      name: 'fewer conditions by priority',
      routes: [
        ['/a', { headers: X1, query: HAS_X }],
        ['/a', { query: HAS_X, ...HIGH }],
      ],
      want: ['0<1'],
    },
    {
      name: 'same version, spelled otherwise',
      routes: [
        ['/a', { version: version('v2', byHeader) }],
        ['/a', { version: version('2', byHeader) }],
      ],
      want: ['1<0'],
    },
    {
      name: 'a version in its default',
      routes: [
        ['/a', { version: version('2', byHeader, { isDefault: true }) }],
        ['/a', { version: version('2', byHeader) }],
      ],
      want: ['1<0'],
    },
    { name: 'a field with two values', routes: [['/a', { headers: [...X1, ...X2] }]], want: ['0<0'] },
    { name: 'a field there and not there', routes: [['/a', { headers: [...X1, ...NO_X] }]], want: ['0<0'] },
    { name: 'a parameter there and not there', routes: [['/a', { query: [...HAS_X, ...NO_X] }]], want: ['0<0'] },
  ];
  for (const { name, routes, want } of rows) assert.deepEqual(conflicts(routes), want, name);
});

test('a route that some request reaches is left alone', () => {
  const rows: { name: string; routes: Spec[] }[] = [
    { name: 'more exact goes first', routes: ['/*', '/a/*', '/a/:x', '/a/b', 'a.test/*', '*.test/*'] },
    { name: 'other methods', routes: ['GET /a', 'POST /a', '/a'] },
    { name: 'HEAD before GET', routes: ['GET /a', 'HEAD /a'] },
    { name: 'other hosts', routes: ['a.test/x', 'b.test/x', '*.a.test/x'] },
    { name: 'a suffix does not cover its own name', routes: ['a.test/x', ['*.a.test/x', HIGH]] },
    {
      name: 'one host of two',
      routes: [
        ['/x', { hosts: ['a.test', 'b.test'] }],
        ['a.test/x', HIGH],
      ],
    },
    { name: 'a parameter takes no empty segment', routes: ['/a/', ['/a/:x', HIGH]] },
    { name: 'a rest starts at a segment', routes: ['/ab', ['/a/*', HIGH]] },
    { name: 'a rest is more than its prefix', routes: ['/a/*', ['/a', HIGH], ['/a/:x', HIGH]] },
    { name: 'more conditions by priority', routes: ['/a', ['/a', { headers: X1, ...HIGH }]] },
    {
      name: 'other values',
      routes: [
        ['/a', { headers: X1 }],
        ['/a', { headers: X2 }],
      ],
    },
    {
      name: 'header and query',
      routes: [
        ['/a', { headers: X1 }],
        ['/a', { query: X1 }],
      ],
    },
    { name: 'query values may come together', routes: [['/a', { query: [...X1, ...X2] }]] },
    {
      name: 'presence after value',
      routes: [
        ['/a', { headers: X1 }],
        ['/a', { headers: HAS_X }],
      ],
    },
    {
      name: 'other versions, and the default of one that is there',
      routes: ['1', '2', '3'].map(
        (name): Spec => ['/a', { version: version(name, byHeader, { isDefault: name === '1' }) }],
      ),
    },
    {
      name: 'a default behind its own version',
      routes: [
        ['/a', { version: version('2', byHeader) }],
        ['/a', { version: version('2', byHeader, { isDefault: true }) }],
      ],
    },
    { name: 'expressions that differ', routes: ['~/a/\\d+', '~/a/[0-9]+'] },
    { name: 'an expression that reaches further', routes: ['~/a.*', '/a/*'] },
    { name: 'an expression with priority', routes: [['~/a/\\d+', HIGH], '/a/*'] },
    { name: 'a parameter in an expression', routes: ['/a/:x', ['~/a/\\d+', HIGH]] },
  ];
  for (const { name, routes } of rows) assert.deepEqual(conflicts(routes), [], name);
});

test('the problem says which route, and why', () => {
  const problem = (...routes: Parameters<typeof route>[]) =>
    findRouteConflicts(routes.map((row) => route(...row))).map((conflict) => conflict.problem)[0];
  assert.equal(
    problem(['GET /a'], ['GET /a']),
    'can never match: routes[0] (GET /a) takes every request; it matches the same and stands earlier',
  );
  assert.match(problem(['/a'], ['/*', { priority: 5 }]) ?? '', /routes\[1\] \(\/\*\).*its priority 5 is higher/);
  assert.match(problem(['~/a\\d'], ['/*']) ?? '', /give this one a higher priority/);
  assert.match(problem(['/a', { headers: HAS_X }], ['/a', { headers: X1 }]) ?? '', /stands earlier/);
  assert.match(problem(['/a', { headers: [...X1, ...X2] }]) ?? '', /cannot have two values/);
});

test('10,000 routes of every kind are searched in a fraction of a second', () => {
  const size = 10_000;
  const sets: Record<string, Spec[]> = {
    mixed: Array.from({ length: size }, (_, at): Spec => {
      const path = [`/api/v1/r${at}`, `/api/v1/r${at}/:id`, `/api/v1/r${at}/*`, `/api/:v/r${at}/x`][at % 4]!;
      return at % 10 === 0 ? [path, { priority: at % 3, hosts: [`h${at % 100}.test`] }] : path;
    }),
    duplicates: Array.from({ length: size }, (): Spec => '/a'),
    'one path, one header each': Array.from(
      { length: size },
      (_, at): Spec => ['/a', { headers: [...X1, { name: 'tenant', test: { equals: `${at}` } }] }],
    ),
    'one path, one version each': Array.from(
      { length: size },
      (_, at): Spec => ['/a', { version: version(`${at}`, byHeader) }],
    ),
    'a host each': Array.from({ length: size }, (_, at): Spec => [`*.t${at}.test/x/:y`, { priority: at }]),
    'a priority each': Array.from({ length: size }, (_, at): Spec => [`/r${at}/:x/*`, { priority: at }]),
    'many expressions': Array.from(
      { length: size },
      (_, at): Spec => (at % 10 === 0 ? [`~/r${at}/\\d+`, HIGH] : `/r${at}/s`),
    ),
  };
  for (const [name, specs] of Object.entries(sets)) {
    const routes = specs.map((spec) => (typeof spec === 'string' ? route(spec) : route(spec[0], spec[1])));
    const start = process.cpuUsage();
    const found = findRouteConflicts(routes).length;
    const { user } = process.cpuUsage(start);
    assert.equal(found, name === 'duplicates' ? size - 1 : 0, name);
    // Typically 100 to 200 ms; the square of 10,000 would be tens of seconds.
    assert.ok(user < 3_000_000, `${name}: ${user / 1_000} ms`);
  }
});
