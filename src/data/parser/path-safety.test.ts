/** Which paths are always refused, which with `strict`, and what each opt-in of a route lets through. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PathSafety } from '../contract/snapshot.ts';
import { pathProblem, readTarget, Target } from './target.ts';

const STRICT: PathSafety = {
  strict: true,
  allowDotSegments: false,
  allowEncodedSlash: false,
  allowEncodedBackslash: false,
  allowEncodedDot: false,
  allowDoubleSlash: false,
};
const LAX: PathSafety = {
  strict: true,
  allowDotSegments: true,
  allowEncodedSlash: true,
  allowEncodedBackslash: true,
  allowEncodedDot: true,
  allowDoubleSlash: true,
};
const USUAL: PathSafety = { ...STRICT, strict: false };

const SAFE = [
  '/',
  '*',
  '/a/b/',
  '/.well-known/x',
  '/...',
  '/a..b/.c./d.',
  '/caf%C3%A9/%E2%82%AC',
  '/a%20b%22',
  '/bob%40example.com%3A%2C',
  '/100%25',
  '/%7Euser',
  '/%2520',
  '/a;b=1',
  "/!$&'()*+,=:@",
];

const UNSAFE: { path: string; want: RegExp; opt?: Partial<PathSafety> }[] = [
  { path: '/../a', want: /dot segment/, opt: { allowDotSegments: true } },
  { path: '/a/..', want: /dot segment/, opt: { allowDotSegments: true } },
  { path: '/a/.', want: /dot segment/, opt: { allowDotSegments: true } },
  { path: '/a/./b', want: /dot segment/, opt: { allowDotSegments: true } },
  { path: '/a/..;/b', want: /dot segment/, opt: { allowDotSegments: true } },
  { path: '/a/.;x=1/b', want: /dot segment/, opt: { allowDotSegments: true } },
  { path: '/a/..%3b/b', want: /dot segment/, opt: { allowDotSegments: true } },
  { path: '/a/%2e%2e/b', want: /dot segment/, opt: { allowDotSegments: true, allowEncodedDot: true } },
  { path: '/a/%2E', want: /dot segment/, opt: { allowDotSegments: true, allowEncodedDot: true } },
  { path: '/a/.%2e', want: /dot segment/, opt: { allowDotSegments: true, allowEncodedDot: true } },
  { path: '/a%2eb', want: /encoded dot/, opt: { allowEncodedDot: true } },
  { path: '/a%252eb', want: /encoded dot/, opt: { allowEncodedDot: true } },
  { path: '/a%2fb', want: /encoded slash/, opt: { allowEncodedSlash: true } },
  { path: '/a%2Fb', want: /encoded slash/, opt: { allowEncodedSlash: true } },
  { path: '/a%252fb', want: /encoded slash/, opt: { allowEncodedSlash: true } },
  { path: '/a%5cb', want: /encoded backslash/, opt: { allowEncodedBackslash: true } },
  { path: '/a%255Cb', want: /encoded backslash/, opt: { allowEncodedBackslash: true } },
  { path: '//a', want: /double slash/, opt: { allowDoubleSlash: true } },
  { path: '/a//b', want: /double slash/, opt: { allowDoubleSlash: true } },
  { path: '/a//', want: /double slash/, opt: { allowDoubleSlash: true } },
];

const NEVER: { path: string; want: RegExp }[] = [
  { path: '/a\\b', want: /backslash/ },
  { path: '/a%00', want: /control/ },
  { path: '/a%0d%0ab', want: /control/ },
  { path: '/a%7F', want: /control/ },
  { path: '/a%2500', want: /control/ },
  { path: '/%61dmin', want: /needs no encoding/ },
  { path: '/a%2Db', want: /needs no encoding/ },
  { path: '/a%5Fb', want: /needs no encoding/ },
  { path: '/%39', want: /needs no encoding/ },
  { path: '/%c0%af', want: /overlong/ },
  { path: '/%e0%80%af', want: /overlong/ },
  { path: '/%e9', want: /not UTF-8/ },
  { path: '/%ed%a0%80', want: /not UTF-8/ },
  { path: '/%C3', want: /not UTF-8/ },
  { path: '/%', want: /encoded byte/ },
  { path: '/%4', want: /encoded byte/ },
  { path: '/%4z', want: /encoded byte/ },
  { path: '', want: /begin with a slash/ },
  { path: 'a', want: /begin with a slash/ },
  { path: '/a?b', want: /must be percent-encoded/ },
  { path: '/a b', want: /must be percent-encoded/ },
  { path: '/é', want: /must be percent-encoded/ },
];

test('a path with one reading is safe', () => {
  for (const path of SAFE) assert.equal(pathProblem(path, false, STRICT), undefined, path);
});

test('a path with two readings is refused unless the route opts in to that very form', () => {
  for (const { path, want, opt } of UNSAFE) {
    assert.match(pathProblem(path, false, STRICT) ?? 'safe', want, path);
    assert.equal(pathProblem(path, false, { ...STRICT, ...opt }), undefined, path);
    const others = Object.fromEntries(Object.keys(LAX).map((key) => [key, key === 'strict' || !(key in (opt ?? {}))]));
    assert.notEqual(pathProblem(path, false, others as unknown as PathSafety), undefined, path);
  }
});

test('no opt-in lets through what is never right', () => {
  for (const { path, want } of NEVER) assert.match(pathProblem(path, false, LAX) ?? 'safe', want, path);
});

test('a target that calls its path not suspicious has a path without problem', () => {
  const target = new Target();
  for (const path of [...SAFE, ...UNSAFE.map((row) => row.path), ...NEVER.map((row) => row.path)]) {
    if (readTarget(path, 'GET', target) !== undefined || target.isSuspicious) continue;
    assert.equal(pathProblem(target.path, false, STRICT), undefined, path);
  }
});

test('without `strict` only what no service should ever read is refused', () => {
  const refused = [
    ...['/../a', '/a/..;/b', '/a/.;x=1/b', '/a/..%3b/b', '/a/%2e%2e/b', '/a/.%2e', '/a/%2E'],
    ...['/a%00', '/a%0d%0ab', '/a%7F', '/a%2500', '/a\\b', '/a b', '/é', '/%', '/%4z', 'a', ''],
    ...['/%c0%af', '/%C1%9C', '/%e0%80%af', '/%E0%9f%bf', '/%f0%80%80%af', '/%f0%8f%bf%bf'],
  ];
  for (const path of refused) assert.notEqual(pathProblem(path, false, USUAL), undefined, path);
  const passing = [
    ...[...SAFE, '/a%2fb', '/@scope%2Fname', '/a%252fb', '/a%5cb', '/a//b', '//a', '/a%2eb', '/%61dmin', '/a%2Db'],
    ...['/%e9', '/%ed%a0%80', '/%C3', '/%C0', '/%C0%20', '/%E0', '/caf%E9'],
  ];
  for (const path of passing) assert.equal(pathProblem(path, false, USUAL), undefined, path);
});

test('bytes that came unencoded are refused with `strict` only', () => {
  assert.match(pathProblem('/a%7Cb', true, STRICT) ?? '', /must be percent-encoded/);
  assert.equal(pathProblem('/a%7Cb', true, USUAL), undefined);
});
