/**
 * The router against a reference that is too simple to be wrong: every route is compared with the request, those that
 * match are sorted by the documented order, the first is taken. Then inputs that are made to be slow.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type RouteExtras, request, route, version } from '../../../test/support/route-settings.ts';
import { atOnce } from '../../base/slices.ts';
import type { RouteSettings } from '../contract/snapshot.ts';
import { buildRouter, RouteMatchResult, type Router, type RouterRequest, routerSteps } from './router.ts';

const TYPE = 'application/vnd.x+json';

interface Standing {
  readonly route: RouteSettings;
  readonly key: readonly (number | string)[];
}

/** Host specificity, smaller first; null when the host does not fit. */
function hostKey(pattern: string, host: string): number | null {
  if (pattern === '') return 1_000;
  if (pattern.startsWith('*.')) return host.endsWith(pattern.slice(1)) ? 900 - pattern.length : null;
  return pattern === host ? 0 : null;
}

/** One digit per segment: literal 1, parameter 2, rest 3; null when the path does not fit. */
function pathKey(settings: RouteSettings, path: string): string | null {
  const { path: match } = settings.match;
  if (match.kind === 'regex') return new RegExp(`^(?:${match.source})$`).test(path) ? '4' : null;
  const wanted = match.pattern.split('/').slice(1);
  const given = path.split('/').slice(1);
  let key = '';
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === '*') return `${key}3`;
    if (i >= given.length) return null;
    if (wanted[i]!.startsWith(':')) {
      if (given[i] === '') return null;
      key += '2';
    } else if (wanted[i] === given[i]) key += '1';
    else return null;
  }
  return wanted.length === given.length ? `${key}0` : null;
}

function quality(settings: RouteSettings, accept: string | null): number {
  if (settings.version === null) return 1_000;
  const named = (accept ?? '')
    .split(', ')
    .map((range) => /^application\/vnd\.x\+json;version=(\d);q=([\d.]+)$/.exec(range))
    .filter((found) => found !== null);
  if (named.length === 0) return settings.version.isDefault ? 1_000 : 0;
  const mine = named.filter((found) => found[1] === settings.version!.name).map((found) => Number(found[2]) * 1_000);
  return Math.round(Math.max(0, ...mine));
}

function reference(routes: readonly RouteSettings[], asked: RouterRequest, path: string): RouteSettings | null {
  const standing: Standing[] = [];
  routes.forEach((settings, index) => {
    const { match, priority } = settings;
    const fits = pathKey(settings, path);
    const methods = [...match.methods, ...(match.methods.includes('GET') ? ['HEAD'] : [])];
    const worth = quality(settings, asked.header('accept'));
    const conditionsHold =
      match.headers.every(({ name, test: wanted }) => 'equals' in wanted && asked.header(name) === wanted.equals) &&
      match.query.every(({ name }) => asked.query.split('&').includes(name));
    if (fits === null || worth === 0 || !conditionsHold) return;
    if (methods.length > 0 && !methods.includes(asked.method)) return;
    const hosts = match.hosts.length === 0 ? [''] : match.hosts;
    const nearest = Math.min(...hosts.map((host) => hostKey(host, asked.host) ?? Number.POSITIVE_INFINITY));
    if (nearest === Number.POSITIVE_INFINITY) return;
    const conditions = match.headers.length + match.query.length + (settings.version === null ? 0 : 1);
    const few = methods.length === 0 ? 99 : new Set(methods).size;
    standing.push({ route: settings, key: [-priority, nearest, fits, -conditions, -worth, few, index] });
  });
  standing.sort((a, b) => {
    const at = a.key.findIndex((part, i) => part !== b.key[i]);
    return a.key[at]! < b.key[at]! ? -1 : 1;
  });
  return standing[0]?.route ?? null;
}

const segment = fc.constantFrom('a', 'b', 'ab', ':x', ':y', 'aa');
const pattern = fc
  .tuple(fc.array(segment, { maxLength: 4 }), fc.constantFrom('', '/*', '/'))
  .filter(
    ([segments, end]) =>
      new Set(segments.filter((s) => s[0] === ':')).size === segments.filter((s) => s[0] === ':').length &&
      (segments.length > 0 || end !== ''),
  )
  .map(([segments, end]) => `${segments.map((part) => `/${part}`).join('')}${end}`);
const path = fc.oneof(
  { weight: 6, arbitrary: pattern },
  { weight: 1, arbitrary: fc.constantFrom('~/a.*', '~/[ab]+/b', '~.*') },
);
const methods = fc.constantFrom('', '', 'GET ', 'POST ', 'HEAD ', 'GET,POST ', 'HEAD,POST ');
const extras: fc.Arbitrary<RouteExtras> = fc.record({
  priority: fc.constantFrom(0, 0, 0, 1, -1),
  hosts: fc.constantFrom([], [], ['a.test'], ['*.test'], ['*.a.test'], ['a.test', '*.test'], ['*.test', '*.a.test']),
  headers: fc.constantFrom([], [], [{ name: 'h', test: { equals: '1' } }]),
  query: fc.constantFrom([], [], [], [{ name: 'q', test: { present: true } }]),
  version: fc.oneof(
    { weight: 3, arbitrary: fc.constant(null) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.constantFrom('1', '2', '3'), fc.boolean())
        .map(([name, isDefault]) => version(name, { kind: 'accept', mediaType: TYPE }, { isDefault })),
    },
  ),
});
const routes = fc
  .array(fc.tuple(methods, path, extras), { minLength: 1, maxLength: 24 })
  .map((rows) => rows.map(([method, where, more], index) => route(method + where, { ...more, id: `${index}` })));

const asked = (pieces: readonly string[]) =>
  fc
    .record({
      method: fc.constantFrom('GET', 'GET', 'HEAD', 'POST', 'PUT'),
      host: fc.constantFrom('', 'a.test', 'b.test', 'x.a.test', 'other'),
      path: fc.array(fc.constantFrom(...pieces), { maxLength: 5 }).map((parts) => `/${parts.join('/')}`),
      query: fc.constantFrom('', 'q', 'r&q', 'r'),
      h: fc.constantFrom(null, '1', '2'),
      accept: fc.constantFrom(
        null,
        '*/*',
        `${TYPE};version=2;q=0.5`,
        `${TYPE};version=1;q=0.5, ${TYPE};version=2;q=0.9, ${TYPE};version=3;q=0.9`,
        `${TYPE};version=7;q=1`,
      ),
    })
    .map(
      ({ h, accept, ...rest }): RouterRequest => ({
        ...rest,
        header: (name) => (name === 'h' ? h : name === 'accept' ? accept : null),
      }),
    );

test('the router finds what a linear scan by the documented order finds', () => {
  const out = new RouteMatchResult();
  fc.assert(
    fc.property(
      routes,
      fc.array(asked(['a', 'b', 'ab', 'aa', 'c', '']), { minLength: 8, maxLength: 16 }),
      (all, requests) => {
        const router = buildRouter(all);
        for (const one of requests) {
          // What has several readings: readings.property.test.ts.
          if (one.path.includes('//')) continue;
          router.match(one, out);
          const want = reference(all, one, one.path);
          assert.equal(out.route?.id ?? null, want?.id ?? null, `${one.method} ${one.host}${one.path}`);
          assert.equal(out.index, want === null ? -1 : all.indexOf(want));
          assert.equal(out.unsafe, null);
          if (want !== null || out.allow === null) continue;
          // What Allow names would have worked, and nothing else would have.
          for (const method of ['GET', 'HEAD', 'POST', 'PUT']) {
            const allowed = out.allow.split(', ').includes(method);
            if (reference(all, { ...one, method }, one.path) !== null) assert.ok(allowed, `${out.allow}: ${method}`);
          }
        }
      },
    ),
    { numRuns: 1_500 },
  );
});

/** What a reload makes of a route: it stays, something changes that no match looks at, or something that it does. */
const reloaded = (settings: RouteSettings): fc.Arbitrary<RouteSettings> =>
  fc.oneof(
    { weight: 6, arbitrary: fc.constant(settings) },
    { weight: 3, arbitrary: fc.constant({ ...structuredClone(settings), maxRequestBytes: 7 }) },
    { weight: 1, arbitrary: fc.constantFrom(-1, 2).map((priority) => ({ ...settings, priority })) },
    { weight: 1, arbitrary: fc.tuple(methods, path, extras).map(([m, at, more]) => routeOf(m + at, more, settings)) },
    {
      weight: 1,
      arbitrary: fc.constant({ ...settings, pathSafety: { ...settings.pathSafety, allowDoubleSlash: true } }),
    },
    { weight: 1, arbitrary: fc.constant({ ...settings, rewrite: STRIPS_API }) },
  );

const STRIPS_API: RouteSettings['rewrite'] = {
  stripPrefix: '/api',
  addPrefix: null,
  path: null,
  regex: null,
  host: null,
  response: null,
};
const routeOf = (spec: string, more: RouteExtras, { id }: RouteSettings): RouteSettings => route(spec, { ...more, id });

test('a router that follows another finds what one built alone finds, whatever a reload has changed', () => {
  const [followed, alone] = [new RouteMatchResult(), new RouteMatchResult()];
  const seen = (router: Router, one: RouterRequest, out: RouteMatchResult) => {
    router.match(one, out);
    const { route: found, index, allow, versionProblem, unsafe, plainPath, params } = out;
    return { found, index, allow, versionProblem, unsafe, plainPath, params };
  };
  const change = fc.tuple(routes).chain(([before]) => fc.tuple(fc.constant(before), fc.tuple(...before.map(reloaded))));
  fc.assert(
    fc.property(
      change,
      fc.array(asked(['a', 'b', 'ab', '', 'a%2fb', 'a;x', '%61']), { minLength: 4, maxLength: 12 }),
      ([before, after], requests) => {
        const former = buildRouter(before);
        const router = atOnce(routerSteps(after, former));
        for (const one of requests) {
          assert.deepEqual(seen(router, one, followed), seen(buildRouter(after), one, alone), `${one.host}${one.path}`);
          assert.deepEqual(seen(former, one, followed), seen(buildRouter(before), one, alone), 'the one before');
        }
      },
    ),
    { numRuns: 1_500 },
  );
});

test('each part of a route by which it is found makes a new table when it changes', () => {
  const accept = { kind: 'accept', mediaType: TYPE } as const;
  const api = route('/api/*');
  const rows: { part: string; before: RouteSettings; after: RouteSettings; line: string }[] = [
    { part: 'priority', before: api, after: { ...api, priority: -1 }, line: 'GET /api/x' },
    { part: 'match', before: api, after: route('/other/*'), line: 'GET /api/x' },
    {
      part: 'version',
      before: { ...api, version: version('1', accept) },
      after: { ...api, version: version('1', accept, { isDefault: true }) },
      line: 'GET /api/x',
    },
    {
      part: 'pathSafety',
      before: { ...api, pathSafety: { ...api.pathSafety, allowDotSegments: true } },
      after: api,
      line: 'GET /api/x/..%2f',
    },
    { part: 'rewrite', before: api, after: { ...api, rewrite: STRIPS_API }, line: 'GET /api//host/admin/x' },
  ];
  const others = [
    route('/*', { id: 'any' }),
    route('/admin/*', { id: 'admin' }),
    route('/api/admin/*', { id: 'both' }),
  ];
  const out = new RouteMatchResult();
  const seen = (router: Router, line: string): string => {
    router.match(request(line), out);
    return out.route?.id ?? (out.unsafe === null ? 'none' : 'unsafe');
  };
  for (const { part, before, after, line } of rows) {
    const former = buildRouter([before, ...others]);
    const want = seen(buildRouter([after, ...others]), line);
    assert.notEqual(want, seen(former, line), `${part} decides`);
    assert.equal(seen(atOnce(routerSteps([after, ...others], former)), line), want, part);
  }
});

test('a reload that changes how no route is found builds no table: the steps for it are few', () => {
  const all = Array.from({ length: 2_000 }, (_, at) => route(`/r${at}/:id/*`));
  const stepsOf = (list: readonly RouteSettings[]): number => [...routerSteps(list, former)].length;
  const former = buildRouter(all);
  assert.ok(stepsOf(all.map((one) => ({ ...structuredClone(one), upgrades: ['websocket'] }))) < 100);
  assert.ok(stepsOf(all.with(1_999, route('/other'))) > 2_000);
  assert.ok(stepsOf(all.slice(1)) > 2_000);
});

/** CPU milliseconds of one match. The bounds below are far above what a sound router needs and far below a blow-up. */
function cost(routeList: readonly RouteSettings[], asked: RouterRequest): number {
  const router = buildRouter(routeList);
  const out = new RouteMatchResult();
  router.match(asked, out);
  const start = process.cpuUsage().user;
  router.match(asked, out);
  return (process.cpuUsage().user - start) / 1_000;
}

test('no path is slow: deep, long, full of slashes, escapes, semicolons or dead ends', () => {
  const letters = ['a', 'b'];
  /** Every pattern of ten segments, each `a` or a parameter: two branches at each of ten levels. */
  const bushy = Array.from({ length: 1_024 }, (_, bits) =>
    route(`${Array.from({ length: 10 }, (_, at) => (((bits >> at) & 1) === 1 ? '/a' : `/:p${at}`)).join('')}/end`),
  );
  const many = route(Array.from({ length: 100 }, (_, at) => `/:p${at}`).join(''));
  const regexes = [route('~/(?:[a-z]+/)*end'), route('~/.+\\.jpg'), route('~(?:/[^/]+)*/x')];
  const everything = [...bushy, many, ...regexes, route('*.test/*'), ...letters.map((letter) => route(`/${letter}/*`))];
  const paths = [
    '/a'.repeat(4_000),
    `${'/a'.repeat(10)}/en`,
    `/${'a'.repeat(8_000)}`,
    '/'.repeat(8_000),
    '/%61'.repeat(2_000),
    '/a;b'.repeat(2_000),
    '/%3b'.repeat(2_000),
    '/%252F;%5c//'.repeat(600),
    '/%25%32%35%32%46'.repeat(500),
    '//;//'.repeat(1_500),
    `/${'abc/'.repeat(2_000)}`,
    '/x'.repeat(100),
  ];
  for (const one of paths) {
    const spent = cost(everything, request(`GET ${one}`));
    assert.ok(spent < 100, `${one.slice(0, 20)}: ${spent} ms`);
  }
});

test('no host, query or Accept is slow', () => {
  const by = { kind: 'accept', mediaType: TYPE } as const;
  const all = [
    route('*.test/*'),
    route('/q', { query: [{ name: 'q', test: { regex: '[a-z]+' } }] }),
    route('/v', { version: version('1', by) }),
  ];
  const asked: RouterRequest[] = [
    { ...request('GET /x'), host: 'a.'.repeat(20_000) },
    { ...request('GET /q'), query: 'a&'.repeat(20_000) },
    { ...request('GET /q'), query: 'q=%'.repeat(20_000) },
    { ...request('GET /q'), query: 'q=a1&'.repeat(10_000) },
    { ...request('GET /v'), header: () => `${TYPE};version=2,`.repeat(2_000) },
    { ...request('GET /v'), header: () => '"'.repeat(40_000) },
    { ...request('GET /v'), header: () => ';'.repeat(40_000) },
  ];
  for (const one of asked) {
    const spent = cost(all, one);
    assert.ok(spent < 100, `${one.host.slice(0, 9)} ${one.path} ${one.query.slice(0, 9)}: ${spent} ms`);
  }
});
