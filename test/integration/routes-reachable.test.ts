/**
 * Control's search for routes that never match, against the data plane's router: what it reports is never matched by
 * any request, and what a request matches is never reported.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { findRouteConflicts } from '../../src/control/config/reachability.ts';
import { buildRouter, RouteMatchResult, type RouterRequest } from '../../src/data/router/router.ts';
import { type RouteExtras, route, version } from '../support/route-settings.ts';

const by = { kind: 'header', header: 'v' } as const;
const methods = fc.constantFrom('', 'GET ', 'HEAD ', 'POST ', 'GET,POST ');
const patterns = fc.constantFrom('/', '/a', '/a/', '/a/b', '/:x', '/a/:x', '/:x/b', '/:x/:y', '/a/*', '/*', '/:x/*');
const paths = fc.oneof(
  { weight: 5, arbitrary: patterns },
  { weight: 1, arbitrary: fc.constantFrom('~/a.*', '~/a/[a-z]+', '~.*') },
);
const extras: fc.Arbitrary<RouteExtras> = fc.record({
  priority: fc.constantFrom(0, 0, 1, 2),
  hosts: fc.constantFrom([], [], ['a.test'], ['*.test'], ['a.test', '*.test'], ['*.a.test']),
  headers: fc.constantFrom(
    [],
    [],
    [{ name: 'x', test: { equals: '1' } }],
    [{ name: 'x', test: { present: true } }],
    [{ name: 'x', test: { present: false } }],
    [{ name: 'x', test: { regex: '[12]' } }],
  ),
  query: fc.constantFrom([], [], [{ name: 'q', test: { present: true } }], [{ name: 'q', test: { equals: '1' } }]),
  version: fc.constantFrom(null, null, version('1', by, { isDefault: true }), version('1', by), version('2', by)),
});
const routes = fc
  .array(fc.tuple(methods, paths, extras), { minLength: 2, maxLength: 12 })
  .map((rows) => rows.map(([method, path, more]) => route(method + path, more)));

/** Every request that these routes could tell apart. */
const requests: RouterRequest[] = [];
for (const method of ['GET', 'HEAD', 'POST', 'PUT']) {
  for (const host of ['', 'a.test', 'b.test', 'c.a.test', 'other']) {
    for (const path of ['/', '/a', '/a/', '/a/b', '/a/c', '/ab', '/c', '/c/b', '/c/d', '/a/1', '/a/b/c', '/c/b/d']) {
      for (const query of ['', 'q', 'q=1', 'q=2']) {
        for (const x of [null, '1', '2', '3']) {
          for (const v of [null, '1', '2', '3']) {
            requests.push({ method, host, path, query, header: (name) => (name === 'x' ? x : v) });
          }
        }
      }
    }
  }
}
const simple = requests.filter(
  (request) => request.query === '' && request.header('x') === null && request.header('v') === null,
);

test('no request finds a route that is reported as unreachable', () => {
  const out = new RouteMatchResult();
  fc.assert(
    fc.property(routes, (all) => {
      const reported = new Set(findRouteConflicts(all).map((conflict) => conflict.route));
      const router = buildRouter(all);
      for (const request of requests) {
        router.match(request, out);
        assert.ok(!reported.has(out.index), `${request.method} ${request.host}${request.path}: route ${out.index}`);
      }
    }),
    { numRuns: 60 },
  );
});

test('of two patterns without conditions, one that no request finds is reported', () => {
  const out = new RouteMatchResult();
  const plain = fc
    .array(fc.tuple(methods, patterns, fc.constantFrom(0, 1)), { minLength: 2, maxLength: 2 })
    .map((rows) => rows.map(([method, path, priority]) => route(method + path, { priority })));
  fc.assert(
    fc.property(plain, (pair) => {
      const router = buildRouter(pair);
      const found = new Set<number>();
      for (const request of simple) {
        router.match(request, out);
        found.add(out.index);
      }
      const reported = findRouteConflicts(pair).map((conflict) => conflict.route);
      for (const index of [0, 1]) {
        if (!found.has(index)) assert.deepEqual(reported, [index], pair.map((one) => one.id).join(' | '));
      }
    }),
    { numRuns: 400 },
  );
});
