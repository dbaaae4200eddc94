/** The explanation names the check that failed, and agrees with the router. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { request, route, version } from '../../../test/support/route-settings.ts';
import { explainMatch } from './explain.ts';

const by = { kind: 'header', header: 'v' } as const;
const ROUTES = [
  route('/*', { id: 'catch-all' }),
  route('GET a.test/a/:x', { id: 'get' }),
  route('a.test/a/:x', { id: 'field', headers: [{ name: 'x', test: { equals: '1' } }] }),
  route('a.test/a/:x', { id: 'query', query: [{ name: 'q', test: { present: true } }] }),
  route('a.test/a/:x', { id: 'versioned', version: version('2', by), priority: -1 }),
  route('~/a/\\d+', { id: 'regex', priority: 1 }),
  route('b.test/a', { id: 'other host' }),
];

function explain(line: string, fields: Record<string, string> = {}): string[] {
  return explainMatch(ROUTES, request(line, fields)).routes.map(
    ({ route: { id }, failed, chosen, fits }) => `${id}: ${failed ?? (chosen ? 'taken' : fits ? 'fits' : '?')}`,
  );
}

test('every route is there in the order of precedence, with the first check that failed', () => {
  assert.deepEqual(explain('POST a.test/a/b'), [
    'regex: path',
    'other host: host',
    'field: header',
    'query: query',
    'get: method',
    'catch-all: taken',
    'versioned: version',
  ]);
  assert.deepEqual(explain('GET a.test/a/1?q', { x: '1', v: '2' }), [
    'regex: taken',
    'other host: host',
    'field: fits',
    'query: fits',
    'get: fits',
    'catch-all: fits',
    'versioned: fits',
  ]);
  assert.deepEqual(explain('GET b.test/a').slice(0, 2), ['regex: path', 'other host: taken']);
});

test('the reasons are sentences that name what was wanted and what was there', () => {
  const reasons = explainMatch(ROUTES, request('POST a.test/a/b', { x: '2' })).routes.map((one) => one.reason);
  assert.deepEqual(reasons, [
    'the path does not match the expression /a/\\d+',
    'the host is "a.test", the route\'s is "b.test"',
    'the field x must be "1", it is "2"',
    'the query parameter q must be there',
    'the method is POST, the route takes GET, HEAD',
    'is taken',
    'the route has version 2, named by v; there is none',
  ]);
});

test('what the router says of the whole comes with it', () => {
  const only = [route('GET /a'), route('GET /:x', { id: 'x' })];
  assert.equal(explainMatch(only, request('PUT /a')).result.allow, 'GET, HEAD');
  const ambiguous = explainMatch(only, request('GET /%61'));
  assert.match(ambiguous.result.unsafe ?? '', /another route/);
  assert.deepEqual(
    ambiguous.routes.map((one) => one.reason),
    ['the path does not match /a', 'fits, but written otherwise, the path belongs to another route'],
  );
  assert.equal(
    explainMatch(only, request('OPTIONS *')).routes.every((one) => one.failed === 'path'),
    true,
  );
});
