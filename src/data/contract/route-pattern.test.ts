/** The grammar of path and host patterns, and the one spelling of literals. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostProblem, paramNames, parsePattern, patternProblem } from './route-pattern.ts';
import { versionedType, versionKey, versionPlace } from './route-version.ts';
import type { RouteVersion } from './snapshot.ts';

test('a pattern is read as literals, parameters and a rest', () => {
  const rows: { pattern: string; segments: string[]; wildcard: boolean }[] = [
    { pattern: '/', segments: [''], wildcard: false },
    { pattern: '/*', segments: [], wildcard: true },
    { pattern: '/a', segments: ['a'], wildcard: false },
    { pattern: '/a/', segments: ['a', ''], wildcard: false },
    { pattern: '/a/:id/b', segments: ['a', ':id', 'b'], wildcard: false },
    { pattern: '/a/:id/*', segments: ['a', ':id'], wildcard: true },
    { pattern: '/users:batch', segments: ['users:batch'], wildcard: false },
    { pattern: '/.well-known/x', segments: ['.well-known', 'x'], wildcard: false },
  ];
  for (const { pattern, segments, wildcard } of rows) {
    const parsed = parsePattern(pattern);
    const read = parsed.segments.map((part) => (part.kind === 'literal' ? part.text : `:${part.name}`));
    assert.deepEqual(read, segments, pattern);
    assert.equal(parsed.wildcard, wildcard, pattern);
  }
  assert.deepEqual(paramNames(parsePattern('/:a/x/:b_2/*')), ['a', 'b_2']);
});

test('every spelling of a literal is one literal', () => {
  for (const pattern of ['/café', '/caf%c3%a9', '/caf%C3%A9']) {
    assert.deepEqual(parsePattern(pattern).segments, [{ kind: 'literal', text: 'caf%C3%A9' }], pattern);
  }
  assert.deepEqual(parsePattern('/a b|c').segments, [{ kind: 'literal', text: 'a%20b%7Cc' }]);
  assert.deepEqual(parsePattern('/a%2fb%25').segments, [{ kind: 'literal', text: 'a%2Fb%25' }]);
});

test('what is no pattern is refused with the reason', () => {
  const rows: { pattern: string; want: RegExp }[] = [
    { pattern: 'a', want: /begin with "\/"/ },
    { pattern: '', want: /begin with "\/"/ },
    { pattern: '/a?b=1', want: /conditions on the query/ },
    { pattern: '/a#b', want: /no "\?" or "#"/ },
    { pattern: '/a//b', want: /empty segment/ },
    { pattern: '//', want: /empty segment/ },
    { pattern: '/a/../b', want: /segment "\.\." never matches/ },
    { pattern: '/./b', want: /segment "\." never matches/ },
    { pattern: '/a*', want: /whole last segment/ },
    { pattern: '/*/b', want: /whole last segment/ },
    { pattern: '/:', want: /not a parameter/ },
    { pattern: '/:a-b', want: /not a parameter/ },
    { pattern: '/:__proto__', want: /not a parameter/ },
    { pattern: '/:a/:a', want: /there twice/ },
    { pattern: '/{id}', want: /is written ":id"/ },
    { pattern: '/a%', want: /encoded byte/ },
    { pattern: '/a%4', want: /encoded byte/ },
    { pattern: '/%zz', want: /encoded byte/ },
    { pattern: '/caf%e9', want: /must be UTF-8/ },
    { pattern: '/%61', want: /write "a" instead of "%61"/ },
    { pattern: '/a%3Ab', want: /write ":" instead/ },
    { pattern: '/a%00', want: /control character/ },
    { pattern: '/a\nb', want: /control character/ },
    { pattern: '/\ud800', want: /control character/ },
    { pattern: '/a\\b', want: /backslash/ },
    { pattern: `/${'a'.repeat(2_048)}`, want: /longer than/ },
    { pattern: '/a'.repeat(129), want: /more than 128 segments/ },
  ];
  for (const { pattern, want } of rows) assert.match(patternProblem(pattern) ?? 'accepted', want, pattern);
  assert.throws(() => parsePattern('a'), TypeError);
});

test('host patterns are names in lower case, with one wildcard in front', () => {
  for (const host of ['a', 'example.com', '*.example.com', 'my_service', '127.0.0.1', '[::1]', 'xn--caf-dma.example']) {
    assert.equal(hostProblem(host), undefined, host);
  }
  const rows: { host: string; want: RegExp }[] = [
    { host: '*', want: /leaving the hosts out/ },
    { host: 'Example.com', want: /lower case/ },
    { host: 'example.com:80', want: /no port/ },
    { host: 'a.*.com', want: /first label/ },
    { host: '*a.com', want: /first label/ },
    { host: '', want: /not a host name/ },
    { host: 'a..b', want: /not a host name/ },
    { host: '-a.com', want: /not a host name/ },
    { host: 'a b', want: /not a host name/ },
    { host: '*.[::1]', want: /not a host name|first label/ },
    { host: `${'a.'.repeat(130)}b`, want: /longer than/ },
  ];
  for (const { host, want } of rows) assert.match(hostProblem(host) ?? 'accepted', want, host);
});

test('v2 and 2 are one version, and a media type is known with and without it', () => {
  assert.equal(versionKey('V2'), '2');
  assert.equal(versionKey(' v2.1 '), '2.1');
  assert.equal(versionKey('vnext'), 'vnext');
  const want = { base: 'application/vnd.acme', suffix: '+json' };
  assert.deepEqual(versionedType('application/vnd.acme+json', 'v2'), want);
  assert.deepEqual(versionedType('Application/vnd.acme.v2+json', '2'), want);
  assert.deepEqual(versionedType('application/vnd.acme', '2'), { base: 'application/vnd.acme', suffix: '' });
  const version = (by: RouteVersion['by']): RouteVersion => ({
    name: '2',
    by,
    isDefault: false,
    deprecatedAtSeconds: null,
    sunset: null,
    link: null,
  });
  assert.equal(
    versionPlace(version({ kind: 'accept', mediaType: 'application/vnd.acme.v2+json' })),
    versionPlace(version({ kind: 'accept', mediaType: 'application/vnd.acme+json' })),
  );
  assert.notEqual(versionPlace(version({ kind: 'header', header: 'x' })), versionPlace(version({ kind: 'path' })));
});
