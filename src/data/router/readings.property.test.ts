/**
 * The promise of readings.ts, compared with decoders that are written a second time: whatever the routes are and
 * however hostile the path, a request that a route takes is read as a path of that route, or of none, by every service
 * that decodes once or twice, merges slashes, takes a backslash for a slash, cuts parameters off, reads a URL, or does
 * several of these. And the other way round: a path is refused only when one of them does disagree.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { request, route } from '../../../test/support/route-settings.ts';
import { readTarget, Target } from '../parser/target.ts';
import { buildRouter, RouteMatchResult } from './router.ts';

/** A path as raw text, as an application has it after its framework is done. */
type Decoder = (path: string) => string;

const decodeOnce: Decoder = (path) =>
  path.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
const decoders: Record<string, Decoder> = {
  once: decodeOnce,
  twice: (path) => decodeOnce(decodeOnce(path)),
  segments: (path) =>
    path.replaceAll(/%(?!2f)([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
  merging: (path) => path.replaceAll(/\/+/g, '/'),
  backslash: (path) => path.replaceAll('\\', '/'),
  parameters: (path) => path.replaceAll(/;[^/]*/g, ''),
  url: (path) => (path.startsWith('//') ? path.replace(/^\/+[^/]*/, '') || '/' : path),
};

/** These besides, of proxies that decode a part of the escapes only: reason enough to refuse a path. */
const finer: Record<string, Decoder> = {
  ...decoders,
  slashes: (path) => path.replaceAll(/%2f/gi, '/'),
  backslashes: (path) => path.replaceAll(/%5c/gi, '/'),
  percents: (path) => path.replaceAll(/%25(?=[0-9a-f]{2})/gi, '%'),
};

/** Everything that `most` decoders in a row make of a path. */
function everyReading(path: string, most = 4, by = decoders): Set<string> {
  let last = new Set([path]);
  const all = new Set(last);
  for (let depth = 0; depth < most; depth++) {
    const next = new Set<string>();
    for (const reading of last) {
      for (const decode of Object.values(by)) {
        const made = decode(reading);
        if (!all.has(made)) next.add(made);
        all.add(made);
      }
    }
    last = next;
  }
  return all;
}

/** The route of a decoded path by comparing segments; -1 for none. Patterns are sorted: literal before parameter. */
function owner(patterns: readonly string[], path: string): number {
  const given = path.split('/').slice(1);
  const fitting = patterns.map((pattern, index) => ({ index, key: fit(pattern.split('/').slice(1), given) }));
  const best = fitting.filter(({ key }) => key !== null).sort((a, b) => (a.key! < b.key! ? -1 : 1))[0];
  return best?.index ?? -1;
}

function fit(wanted: readonly string[], given: readonly string[]): string | null {
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

const climbs = (path: string): boolean => path.split('/').some((segment) => /^\.\.?(;|$)/.test(segment));

const segment = fc.constantFrom('a', 'b', 'admin', ':x', 'x');
const pattern = fc
  .tuple(fc.array(segment, { minLength: 1, maxLength: 3 }), fc.constantFrom('', '/*', '/'))
  .filter(([parts]) => parts.filter((part) => part === ':x').length <= 1)
  .map(([parts, end]) => `/${parts.join('/')}${end}`);
const patterns = fc
  .uniqueArray(fc.oneof(pattern, fc.constantFrom('/*', '/admin/*')), { minLength: 1, maxLength: 6 })
  // Two that differ in the name of a parameter alone do not come about; which of equals is first is the router's.
  .map((list) => [...list]);
const piece = fc.constantFrom(
  ...['/', '/', '//', 'a', 'b', 'admin', 'x', ';', ';p=1', '%3b', '%2F', '%2f', '%5C', '\\', '%61', '%64min', '%41'],
  ...['..', '.', '%2e', '%2E%2e', '%252F', '%2561', '%25', '%255c', '%253B', '|', '%20', '%E9', '%', '%zz'],
);
const path = fc.array(piece, { maxLength: 9 }).map((pieces) => `/${pieces.join('')}`);

test('no decoder reads a path that is taken as that of another route, and only such a path is refused', () => {
  const out = new RouteMatchResult();
  const target = new Target();
  let taken = 0;
  let refused = 0;
  fc.assert(
    fc.property(patterns, fc.array(path, { minLength: 10, maxLength: 20 }), (list, paths) => {
      const router = buildRouter(list.map((one) => route(one)));
      for (const text of paths) {
        assert.equal(readTarget(text, 'GET', target), undefined, text);
        router.match(request(`GET ${target.path}`), out);
        const sent = out.plainPath ?? target.path;
        const readings = [...(out.unsafe === null ? everyReading(sent) : everyReading(sent, 9, finer))];
        if (out.route !== null) {
          taken++;
          for (const reading of readings) {
            const other = owner(list, reading);
            assert.ok(
              other === -1 || other === out.index,
              `${text} is ${list[out.index]}, ${reading} is ${list[other]}`,
            );
            // A plain `/../` is refused by pathProblem, which needs no readings.
            assert.ok(!climbs(reading) || climbs(sent), `${text} climbs as ${reading}`);
          }
        } else if (out.unsafe !== null) {
          refused++;
          const owners = new Set(readings.map((reading) => owner(list, reading)).filter((index) => index >= 0));
          assert.ok(
            owners.size > 1 || readings.some(climbs) || /too many/.test(out.unsafe),
            `${text} has one reading only`,
          );
        }
      }
    }),
    { numRuns: 1_500 },
  );
  assert.ok(taken > 500 && refused > 500, `${taken} taken, ${refused} refused`);
});

test('a public rest beside a guarded prefix', () => {
  const router = buildRouter([route('/admin/*'), route('/*')]);
  const out = new RouteMatchResult();
  const match = (path: string): string => {
    router.match(request(`GET ${path}`), out);
    return out.route?.id ?? (out.unsafe === null ? 'none' : 'unsafe');
  };
  const refused = ['/admin%2Fx', '//admin/x', '/%61dmin', '/x%2F..%2Fadmin', '/;/admin/x', '/;a=b/admin/x'];
  for (const path of [...refused, '/%3b/admin/x', '/%2561dmin/x', '//host/admin/x', '/%5Cadmin', '/%2F%2Fadmin'])
    assert.equal(match(path), 'unsafe', path);
  for (const path of ['/a//b', '/@scope%2Fname', '/caf%E9', '/a%2Db', '/100%25', '/a;b=c/d', '/a%5Cb', '/a%252Fb'])
    assert.equal(match(path), '/*', path);
});

test('what is left behind a stripped prefix is looked at as a path of its own', () => {
  const rewrite = { stripPrefix: '/api', addPrefix: null, path: null, regex: null, host: null, response: null };
  const router = buildRouter([route('/api/admin/*'), route('/api/*', { rewrite })]);
  const out = new RouteMatchResult();
  router.match(request('GET /api//host/admin/x'), out);
  assert.match(out.unsafe ?? '', /behind the prefix/);
  router.match(request('GET /api//users'), out);
  assert.equal(out.route?.id, '/api/*');
});

test('a form that a route calls data is not read in another way', () => {
  const pathSafety = { ...route('/').pathSafety, allowEncodedSlash: true };
  const router = buildRouter([route('/:package', { pathSafety }), route('/:package/:version')]);
  const out = new RouteMatchResult();
  router.match(request('GET /@scope%2Fname'), out);
  assert.equal(out.route?.id, '/:package');
  router.match(request('GET /@scope%2F..%2Fname'), out);
  assert.match(out.unsafe ?? '', /dot segment/);
});
