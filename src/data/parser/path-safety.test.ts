/** Which paths are refused by default, and what each opt-in of a route lets through. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PathSafety } from '../contract/snapshot.ts';
import { pathProblem, readTarget, Target } from './target.ts';

const STRICT: PathSafety = {
  allowDotSegments: false,
  allowEncodedSlash: false,
  allowEncodedBackslash: false,
  allowEncodedDot: false,
  allowDoubleSlash: false,
};
const LAX: PathSafety = {
  allowDotSegments: true,
  allowEncodedSlash: true,
  allowEncodedBackslash: true,
  allowEncodedDot: true,
  allowDoubleSlash: true,
};

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
  { path: '/%c0%af', want: /not UTF-8/ },
  { path: '/%e0%80%af', want: /not UTF-8/ },
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
  for (const path of SAFE) assert.equal(pathProblem(path, STRICT), undefined, path);
});

test('a path with two readings is refused unless the route opts in to that very form', () => {
  for (const { path, want, opt } of UNSAFE) {
    assert.match(pathProblem(path, STRICT) ?? 'safe', want, path);
    assert.equal(pathProblem(path, { ...STRICT, ...opt }), undefined, path);
    const others = Object.fromEntries(Object.keys(LAX).map((key) => [key, !(key in (opt ?? {}))]));
    assert.notEqual(pathProblem(path, others as unknown as PathSafety), undefined, path);
  }
});

test('no opt-in lets through what is never right', () => {
  for (const { path, want } of NEVER) assert.match(pathProblem(path, LAX) ?? 'safe', want, path);
});

test('a target that calls its path not suspicious has a path without problem', () => {
  const target = new Target();
  for (const path of [...SAFE, ...UNSAFE.map((row) => row.path), ...NEVER.map((row) => row.path)]) {
    if (readTarget(path, 'GET', target) !== undefined || target.isSuspicious) continue;
    assert.equal(pathProblem(target.path, STRICT), undefined, path);
  }
});
