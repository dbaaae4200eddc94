/** Which route a request finds: hosts, paths, methods, conditions, versions, and the order among several. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RouteExtras, request, route, version } from '../../../test/support/route-settings.ts';
import type { RouteSettings } from '../contract/snapshot.ts';
import { NO_PARAMS } from './candidate.ts';
import { buildRouter, RouteMatchResult } from './router.ts';

const out = new RouteMatchResult();

/** The id of the route found, or what is said instead. */
function find(routes: readonly RouteSettings[], line: string, fields: Readonly<Record<string, string>> = {}): string {
  buildRouter(routes).match(request(line, fields), out);
  if (out.route !== null) return out.route.id;
  if (out.unsafe !== null) return 'ambiguous';
  if (out.allow !== null) return `405 ${out.allow}`;
  return out.versionProblem ? '406' : '404';
}

interface Case {
  readonly line: string;
  readonly fields?: Record<string, string>;
  readonly want: string;
}

function check(specs: readonly (string | [string, RouteExtras])[], cases: readonly Case[]): void {
  const routes = specs.map((spec) => (typeof spec === 'string' ? route(spec) : route(spec[0], spec[1])));
  for (const { line, fields, want } of cases) {
    assert.equal(find(routes, line, fields), want, `${line} ${JSON.stringify(fields ?? {})}`);
    assert.equal(find([...routes].reverse(), line, fields), want, `${line}, routes in reverse`);
  }
}

test('paths: literal before parameter before rest, segment by segment from the left', () => {
  check(
    ['/', '/a', '/a/', '/a/b', '/a/:x', '/a/*', '/:x/b', '/:x/:y/c', '/*', '/p/:id/q/*', '/p/:id'],
    [
      { line: 'GET /', want: '/' },
      { line: 'GET /a', want: '/a' },
      { line: 'GET /a/', want: '/a/' },
      { line: 'GET /a/b', want: '/a/b' },
      { line: 'GET /a/c', want: '/a/:x' },
      { line: 'GET /a/c/', want: '/a/*' },
      { line: 'GET /a/b/c', want: '/a/*' },
      { line: 'GET /z/b', want: '/:x/b' },
      { line: 'GET /z/y/c', want: '/:x/:y/c' },
      { line: 'GET /z', want: '/*' },
      { line: 'GET /ab', want: '/*' },
      { line: 'GET /A', want: '/*' },
      { line: 'GET /p/1', want: '/p/:id' },
      { line: 'GET /p/1/', want: '/*' },
      { line: 'GET /p/1/q', want: '/p/:id/q/*' },
      { line: 'GET /p/1/q/', want: '/p/:id/q/*' },
      { line: 'GET /p/1/q/r/s', want: '/p/:id/q/*' },
      { line: 'GET /p//q', want: 'ambiguous' },
      { line: 'GET /p/1/qq', want: '/*' },
    ],
  );
});

test('a rest takes the prefix itself, and nothing that only begins alike', () => {
  check(
    ['/a/*'],
    [
      { line: 'GET /a', want: '/a/*' },
      { line: 'GET /a/', want: '/a/*' },
      { line: 'GET /ab', want: '404' },
      { line: 'GET /', want: '404' },
    ],
  );
});

test('a literal branch that fails later, or by method or condition, falls back to a parameter', () => {
  check(
    [
      '/a/b/c',
      '/a/:x/d',
      '/:x/b/e',
      'GET /u/me',
      'GET,PUT /u/:id',
      ['/u/me', { id: 'admin', headers: [{ name: 'x-admin', test: { equals: '1' } }] }],
    ],
    [
      { line: 'GET /a/b/d', want: '/a/:x/d' },
      { line: 'GET /a/b/e', want: '/:x/b/e' },
      { line: 'GET /a/b/f', want: '404' },
      { line: 'GET /u/me', want: 'GET /u/me' },
      { line: 'PUT /u/me', want: 'GET,PUT /u/:id' },
      { line: 'DELETE /u/me', want: '405 GET, HEAD, PUT' },
      { line: 'DELETE /u/me', fields: { 'x-admin': '1' }, want: 'admin' },
    ],
  );
});

test('hosts: exact before the longer suffix before the shorter one before any', () => {
  check(
    [
      '/*',
      'a.test/x',
      '*.test/*',
      '*.b.test/*',
      'c.b.test/only',
      ['/many', { id: 'many', hosts: ['m.test', 'n.test'] }],
    ],
    [
      { line: 'GET a.test/x', want: 'a.test/x' },
      { line: 'GET a.test/y', want: '*.test/*' },
      { line: 'GET x.b.test/y', want: '*.b.test/*' },
      { line: 'GET x.y.b.test/y', want: '*.b.test/*' },
      { line: 'GET c.b.test/only', want: 'c.b.test/only' },
      { line: 'GET c.b.test/other', want: '*.b.test/*' },
      { line: 'GET b.test/y', want: '*.test/*' },
      { line: 'GET test/y', want: '/*' },
      { line: 'GET other/y', want: '/*' },
      { line: 'GET /y', want: '/*' },
      { line: 'GET m.test/many', want: 'many' },
      { line: 'GET n.test/many', want: 'many' },
      { line: 'GET o.test/many', want: '*.test/*' },
      { line: `GET ${'a.'.repeat(200)}b.test/y`, want: '/*' },
    ],
  );
});

test('priority goes before everything else', () => {
  check(
    [['/*', { id: 'all', priority: 1 }], 'a.test/a', '/a', ['~/x/.*', { id: 'rx', priority: 2 }], '/x/y'],
    [
      { line: 'GET a.test/a', want: 'all' },
      { line: 'GET /a', want: 'all' },
      { line: 'GET /x/y', want: 'rx' },
    ],
  );
});

test('regular expressions come after patterns, match the whole path, and give named groups', () => {
  check(
    ['~/f/(?<id>\\d+)', '~/f/(?<name>[a-z]+)/.*', '/f/1'],
    [
      { line: 'GET /f/1', want: '/f/1' },
      { line: 'GET /f/22', want: '~/f/(?<id>\\d+)' },
      { line: 'GET /f/22x', want: '404' },
      { line: 'GET /x/f/22', want: '404' },
      { line: 'GET /f/ab/c', want: '~/f/(?<name>[a-z]+)/.*' },
    ],
  );
});

test('the more conditions go first, then the fewer methods, then the order of the file', () => {
  const equals = (name: string, value: string) => ({ name, test: { equals: value } });
  const present = (name: string, is: boolean) => ({ name, test: { present: is } });
  check(
    [
      '/a',
      ['/a', { id: 'one', headers: [equals('x', '1')] }],
      ['/a', { id: 'two', headers: [equals('x', '1')], query: [equals('q', 'a b')] }],
      ['/a', { id: 'regex', headers: [{ name: 'x', test: { regex: '\\d+2' } }] }],
      ['/b', { id: 'without', headers: [present('x', false)] }],
      ['/b', { id: 'with', headers: [present('x', true)] }],
      ['/c', { id: 'no-q', query: [present('q', false)] }],
      ['/c', { id: 'some-q', query: [present('q', true)] }],
      '/m',
      'GET,POST /m',
      'GET /m',
      'HEAD /m',
    ],
    [
      { line: 'GET /a', want: '/a' },
      { line: 'GET /a', fields: { x: '1' }, want: 'one' },
      { line: 'GET /a?q=a+b', fields: { x: '1' }, want: 'two' },
      { line: 'GET /a?r=1&q=a%20b', fields: { x: '1' }, want: 'two' },
      { line: 'GET /a?q=c&%71=%61+b', fields: { x: '1' }, want: 'two' },
      { line: 'GET /a?q=', fields: { x: '1' }, want: 'one' },
      { line: 'GET /a?qq=a+b&xq=a+b&q', fields: { x: '1' }, want: 'one' },
      { line: 'GET /a', fields: { x: '12' }, want: 'regex' },
      { line: 'GET /a', fields: { x: '12 ' }, want: '/a' },
      { line: 'GET /b', want: 'without' },
      { line: 'GET /b', fields: { x: '' }, want: 'with' },
      { line: 'GET /c', want: 'no-q' },
      { line: 'GET /c?a=q', want: 'no-q' },
      { line: 'GET /c?q', want: 'some-q' },
      { line: 'GET /c?&&q=1', want: 'some-q' },
      { line: 'GET /m', want: 'GET /m' },
      { line: 'POST /m', want: 'GET,POST /m' },
      { line: 'PUT /m', want: '/m' },
      { line: 'HEAD /m', want: 'HEAD /m' },
    ],
  );
  const first = [
    route('GET /a', { id: 'first' }),
    route('POST /a', { id: 'second' }),
    route('GET /a', { id: 'third' }),
  ];
  assert.equal(find(first, 'GET /a'), 'first');
});

test('a known path with another method is 405 with every method that would do; HEAD comes with GET', () => {
  check(
    [
      'GET /a',
      'POST /:x',
      'PURGE,DELETE /*',
      'h.test/only',
      ['PUT /a', { headers: [{ name: 'x', test: { equals: '1' } }] }],
    ],
    [
      { line: 'HEAD /a', want: 'GET /a' },
      { line: 'OPTIONS /a', want: '405 GET, HEAD, POST, DELETE, PURGE' },
      { line: 'OPTIONS /b', want: '405 POST, DELETE, PURGE' },
      { line: 'PUT /a', fields: { x: '2' }, want: '405 GET, HEAD, POST, DELETE, PURGE' },
      { line: 'OPTIONS h.test/only', want: 'h.test/only' },
    ],
  );
  check(
    ['GET /a'],
    [
      { line: 'OPTIONS *', want: '404' },
      { line: 'GET /b', want: '404' },
    ],
  );
});

test('versions by header field: named, default, unknown', () => {
  const by = { kind: 'header', header: 'x-api-version' } as const;
  check(
    [
      ['GET /a', { id: 'v1', version: version('v1', by, { isDefault: true }) }],
      ['GET /a', { id: 'v2', version: version('2', by) }],
      ['POST /a', { id: 'v3', version: version('3', by) }],
      ['/b', { id: 'b2', version: version('2', by) }],
    ],
    [
      { line: 'GET /a', want: 'v1' },
      { line: 'GET /a', fields: { 'x-api-version': '' }, want: 'v1' },
      { line: 'GET /a', fields: { 'x-api-version': '1' }, want: 'v1' },
      { line: 'GET /a', fields: { 'x-api-version': 'V2' }, want: 'v2' },
      { line: 'GET /a', fields: { 'x-api-version': '9' }, want: '406' },
      { line: 'GET /a', fields: { 'x-api-version': '1, 2' }, want: '406' },
      { line: 'GET /a', fields: { 'x-api-version': '3' }, want: '405 POST' },
      { line: 'DELETE /a', fields: { 'x-api-version': '9' }, want: '405 GET, HEAD, POST' },
      { line: 'GET /b', want: '406' },
    ],
  );
});

test('versions by Accept: both spellings, weights, default, refusal', () => {
  const by = { kind: 'accept', mediaType: 'application/vnd.acme+json' } as const;
  const accept = (value: string) => ({ accept: value });
  check(
    [
      ['/a', { id: 'v1', version: version('1', by, { isDefault: true }) }],
      ['/a', { id: 'v2', version: version('v2', by) }],
      ['/a', { id: 'v3', version: version('3', { kind: 'accept', mediaType: 'application/vnd.acme.v3+json' }) }],
    ],
    [
      { line: 'GET /a', want: 'v1' },
      { line: 'GET /a', fields: accept('*/*'), want: 'v1' },
      { line: 'GET /a', fields: accept('application/json, text/html;q=0.5'), want: 'v1' },
      { line: 'GET /a', fields: accept('application/vnd.acme+json'), want: 'v1' },
      { line: 'GET /a', fields: accept('application/vnd.acme+json; version=2'), want: 'v2' },
      { line: 'GET /a', fields: accept('Application/Vnd.Acme+JSON;Version="v2"'), want: 'v2' },
      { line: 'GET /a', fields: accept('application/vnd.acme.v2+json'), want: 'v2' },
      { line: 'GET /a', fields: accept('application/vnd.acme.3+json'), want: 'v3' },
      { line: 'GET /a', fields: accept('application/vnd.acme+json;version=9'), want: '406' },
      { line: 'GET /a', fields: accept('application/vnd.acme.v2+json;q=0'), want: '406' },
      {
        line: 'GET /a',
        fields: accept('application/vnd.acme.v2+json;q=0.5, application/vnd.acme.v3+json;q=0.7, */*'),
        want: 'v3',
      },
      {
        line: 'GET /a',
        fields: accept('application/vnd.acme.v9+json, application/vnd.acme.v2+json;q=0.1'),
        want: 'v2',
      },
    ],
  );
});

test('of versions that the caller likes equally, the first in the file is taken', () => {
  const by = { kind: 'accept', mediaType: 'application/vnd.acme+json' } as const;
  const routes = ['3', '2', '1'].map((name) => route('/a', { id: name, version: version(name, by) }));
  const accept = ['1;q=0.2', '2;q=0.4', '3;q=0.4'].map((end) => `application/vnd.acme+json;version=${end}`).join(',');
  assert.equal(find(routes, 'GET /a', { accept }), '3');
  assert.equal(find([...routes].reverse(), 'GET /a', { accept }), '2');
});

test('parameters are decoded once; the rest stays encoded; nothing is left of the last match', () => {
  const router = buildRouter([
    route('/u/:id/f/:name/*'),
    route('~/r/(?<a>[^/]+)(?:/(?<b>.+))?'),
    route('/s'),
    route('/w/*'),
  ]);
  const rows: { path: string; params: Record<string, string>; wildcard: string }[] = [
    { path: '/u/1/f/a', params: { id: '1', name: 'a' }, wildcard: '' },
    { path: '/u/1/f/a/', params: { id: '1', name: 'a' }, wildcard: '/' },
    { path: '/u/bob%40x/f/%e2%82%ac/b%2Fc/d', params: { id: 'bob@x', name: '€' }, wildcard: '/b%2Fc/d' },
    { path: '/u/%2520/f/a%2fb', params: { id: '%20', name: 'a/b' }, wildcard: '' },
    { path: '/u/%ff/f/+', params: { id: '%ff', name: '+' }, wildcard: '' },
    { path: '/r/x%20y/z', params: { a: 'x y', b: 'z' }, wildcard: '' },
    { path: '/r/x', params: { a: 'x' }, wildcard: '' },
    { path: '/w', params: {}, wildcard: '' },
    { path: '/w/a//b', params: {}, wildcard: '/a//b' },
    { path: '/s', params: {}, wildcard: '' },
    { path: '/none', params: {}, wildcard: '' },
  ];
  for (const { path, params, wildcard } of rows) {
    router.match(request(`GET ${path}`), out);
    assert.deepEqual({ ...out.params }, params, path);
    assert.equal(out.wildcard, wildcard, path);
    if (Object.keys(params).length === 0) assert.equal(out.params, NO_PARAMS, path);
  }
  assert.equal(out.index, -1);
});

test('a path that another reading would send to another route is ambiguous', () => {
  const specs = ['/admin', '/users:export', '/users/:id', '/caf%C3%A9', '/m/:x', '/k;v', '/k', '/*'];
  check(specs, [
    { line: 'GET /admin', want: '/admin' },
    { line: 'GET /%61dmin', want: 'ambiguous' },
    { line: 'GET /admin;x=1', want: 'ambiguous' },
    { line: 'GET /admin%3Bx', want: 'ambiguous' },
    { line: 'GET /admin;/', want: '/*' },
    { line: 'GET /users:export', want: '/users:export' },
    { line: 'GET /users%3Aexport', want: 'ambiguous' },
    { line: 'GET /users%3aexport', want: 'ambiguous' },
    { line: 'GET /users/bob%40example.com', want: '/users/:id' },
    { line: 'GET /users/%7Ebob;v=1', want: '/users/:id' },
    { line: 'GET /caf%C3%A9', want: '/caf%C3%A9' },
    { line: 'GET /caf%c3%a9', want: '/caf%C3%A9' },
    { line: 'GET /m/a;b=c', want: '/m/:x' },
    { line: 'GET /k;v', want: '/k;v' },
    { line: 'GET /k;w', want: 'ambiguous' },
    { line: 'GET /users%2Fbob', want: 'ambiguous' },
    { line: 'GET /x%2Fbob', want: '/*' },
    { line: 'GET /x//bob', want: '/*' },
    { line: 'GET //admin', want: 'ambiguous' },
    { line: 'GET //host/admin', want: 'ambiguous' },
    { line: 'GET /;/admin', want: 'ambiguous' },
    { line: 'GET /;a=b/admin', want: 'ambiguous' },
    { line: 'GET /%3b/admin', want: 'ambiguous' },
    { line: 'GET /%2561dmin', want: 'ambiguous' },
    { line: 'GET /x%2F..%2Fadmin', want: 'ambiguous' },
    { line: 'GET /x%5c..%5cy', want: 'ambiguous' },
    { line: 'GET /users%5Cbob', want: 'ambiguous' },
  ]);
  check(
    ['/%7Bx%7D', '/y'],
    [
      { line: 'GET /%7bx%7d', want: '/%7Bx%7D' },
      { line: 'GET /%79', want: '/y' },
      { line: 'GET //y', want: '/y' },
      { line: 'GET /%2Fy', want: '404' },
    ],
  );
});

test('an expression that could be made slow, or a path that is no pattern, is a mistake of the program', () => {
  assert.throws(() => buildRouter([route('~(a+)+')]), /exponential/);
  assert.throws(() => buildRouter([route('/a//b')]), /empty segment/);
  assert.throws(() => buildRouter([route('/a', { headers: [{ name: 'x', test: { regex: '(' } }] })]), TypeError);
});
