import assert from 'node:assert/strict';
import { test } from 'node:test';
import { responseHead } from './head.suite.ts';
import {
  IS_200,
  mayStore,
  NEEDS_VALIDATION,
  NEVER_STALE,
  type Storing,
  type StoringRequest,
  type StoringRules,
} from './storing.ts';

const NOW = Date.UTC(2026, 10, 29, 12);
const RULES: StoringRules = {
  targets: ['cdn-cache-control'],
  defaultSeconds: new Map(),
  heuristicShare: 0,
  staleWhileRevalidateS: 0,
  staleIfErrorS: 0,
  storesSetCookie: false,
};
const GET: StoringRequest = { method: 'GET', hasCredentials: false, noStore: false, isPerUser: false };

const decide = (
  status: number,
  lines: string[],
  request: Partial<StoringRequest> = {},
  rules: Partial<StoringRules> = {},
) => mayStore({ ...GET, ...request }, responseHead(status, ...lines), { ...RULES, ...rules }, NOW, NOW);

function stored(...of: Parameters<typeof decide>): Storing {
  const outcome = decide(...of);
  assert.equal(typeof outcome, 'object', String(outcome));
  return outcome as Storing;
}

test('RFC 9111 §4.2.2: a share of the time since the last change, where told, of what may be guessed at, a day at most', () => {
  const changed = (days: number): string => `Last-Modified: ${new Date(NOW - days * 86_400_000).toUTCString()}`;
  const rules = { heuristicShare: 0.1 };
  assert.equal(stored(200, [changed(5)], {}, rules).freshUntilMs, NOW + 43_200_000);
  assert.equal(stored(200, [changed(500)], {}, rules).freshUntilMs, NOW + 86_400_000);
  assert.equal(stored(404, [changed(5), 'Cache-Control: public'], {}, rules).freshUntilMs, NOW + 43_200_000);
  assert.equal(stored(599, [changed(5), 'Cache-Control: public'], {}, rules).freshUntilMs, NOW + 43_200_000);
  assert.equal(decide(599, [changed(5)], {}, rules), 'no_lifetime');
  assert.equal(decide(503, [changed(5)], {}, rules), 'no_lifetime');
  // What is said counts, and so does a default lifetime.
  assert.equal(stored(200, [changed(5), 'Cache-Control: max-age=7'], {}, rules).freshUntilMs, NOW + 7_000);
  const both = { ...rules, defaultSeconds: new Map([[200, 60]]) };
  assert.equal(stored(200, [changed(5)], {}, both).freshUntilMs, NOW + 60_000);
  // Without it, or from the future, it is validated at each use.
  for (const lines of [['ETag: "x"'], [changed(-5)]]) assert.equal(stored(200, lines, {}, rules).freshUntilMs, NOW);
  assert.equal(stored(200, [changed(5)]).flags & NEEDS_VALIDATION, NEEDS_VALIDATION);
});

test('RFC 9111 §3: what says how long it is fresh is stored, of every final status', () => {
  for (const status of [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 503, 599]) {
    const { freshUntilMs, flags } = stored(status, ['Cache-Control: max-age=60']);
    assert.equal(freshUntilMs, NOW + 60_000);
    assert.equal(flags, status === 200 ? IS_200 : 0);
  }
  assert.equal(stored(200, [`Expires: ${new Date(NOW + 9_000).toUTCString()}`]).freshUntilMs, NOW + 9_000);
});

test('RFC 9111 §3: only GET; neither 206 nor 304 nor 1xx', () => {
  assert.equal(decide(200, ['Cache-Control: max-age=60'], { method: 'HEAD' }), 'method');
  assert.equal(decide(200, ['Cache-Control: max-age=60'], { method: 'POST' }), 'method');
  assert.equal(decide(206, ['Cache-Control: max-age=60']), 'partial');
  assert.equal(decide(304, ['Cache-Control: max-age=60']), 'status');
  assert.equal(decide(103, ['Cache-Control: max-age=60']), 'status');
});

test('RFC 9111 §5.2.1.5, §5.2.2.5: no-store of the request or the response', () => {
  assert.equal(decide(200, ['Cache-Control: max-age=60'], { noStore: true }), 'request_no_store');
  assert.equal(decide(200, ['Cache-Control: no-store, max-age=60']), 'no_store');
});

test('RFC 9111 §5.2.2.3: must-understand: a status that is understood outweighs no-store, another is not stored', () => {
  assert.ok(stored(200, ['Cache-Control: must-understand, no-store, max-age=60']));
  assert.equal(decide(599, ['Cache-Control: must-understand, max-age=60']), 'status');
});

test('RFC 9111 §5.2.2.7: private is not shared; where each user has a key of their own it is stored', () => {
  assert.equal(decide(200, ['Cache-Control: private, max-age=60']), 'private');
  assert.ok(stored(200, ['Cache-Control: private, max-age=60'], { isPerUser: true }));
  assert.deepEqual(stored(200, ['Cache-Control: private="x", max-age=60']).withheld, ['x']);
});

test('RFC 9111 §3.5: with Authorization only public, s-maxage and must-revalidate are shared', () => {
  const asked = { hasCredentials: true };
  assert.equal(decide(200, ['Cache-Control: max-age=60'], asked), 'authorization');
  assert.equal(decide(200, [`Expires: ${new Date(NOW + 9_000).toUTCString()}`], asked), 'authorization');
  assert.equal(decide(200, ['Cache-Control: proxy-revalidate, max-age=60'], asked), 'authorization');
  for (const allows of ['public, max-age=60', 's-maxage=60', 'must-revalidate, max-age=60'])
    assert.ok(stored(200, [`Cache-Control: ${allows}`], asked), allows);
  assert.ok(stored(200, ['Cache-Control: max-age=60'], { ...asked, isPerUser: true }));
});

test('a response that sets a cookie is not shared unless that is configured', () => {
  assert.equal(decide(200, ['Cache-Control: max-age=60', 'Set-Cookie: a=b']), 'set_cookie');
  assert.ok(stored(200, ['Cache-Control: max-age=60', 'Set-Cookie: a=b'], {}, { storesSetCookie: true }));
});

test('RFC 9111 §4.1: Vary with * anywhere is never matched, so it is not stored', () => {
  for (const vary of ['*', 'a, *', '*, a', 'a,*,b'])
    assert.equal(decide(200, ['Cache-Control: max-age=60', `Vary: ${vary}`]), 'vary_star');
  assert.ok(stored(200, ['Cache-Control: max-age=60', 'Vary: a*b']));
});

test('RFC 9111 §4.2.2: no heuristics: without a lifetime only what can be validated, to be validated each time', () => {
  assert.equal(decide(200, ['Content-Type: text/plain']), 'no_lifetime');
  assert.equal(stored(200, ['ETag: "a"']).flags, IS_200 | NEEDS_VALIDATION);
  assert.equal(decide(302, ['ETag: "a"']), 'no_lifetime');
  assert.equal(stored(200, ['Cache-Control: no-cache, max-age=9', 'ETag: "a"']).flags, IS_200 | NEEDS_VALIDATION);
  assert.equal(decide(200, ['Cache-Control: no-cache, max-age=9']), 'no_lifetime');
  assert.equal(decide(200, ['Cache-Control: max-age=0']), 'no_lifetime');
});

test('default lifetimes and negative caching only when told, and only for responses that say nothing', () => {
  const rules = {
    defaultSeconds: new Map([
      [200, 30],
      [404, 5],
    ]),
  };
  assert.equal(stored(200, [], {}, rules).freshUntilMs, NOW + 30_000);
  assert.equal(stored(404, [], {}, rules).freshUntilMs, NOW + 5_000);
  assert.equal(decide(500, [], {}, rules), 'no_lifetime');
  assert.equal(stored(200, ['Cache-Control: max-age=7'], {}, rules).freshUntilMs, NOW + 7_000);
  assert.equal(decide(200, ['Cache-Control: no-store'], {}, rules), 'no_store');
});

test('RFC 9111 §4.2.4: must-revalidate, proxy-revalidate and s-maxage are never stale', () => {
  const rules = { staleWhileRevalidateS: 10, staleIfErrorS: 20 };
  for (const strict of ['must-revalidate, max-age=1', 'proxy-revalidate, max-age=1', 's-maxage=1']) {
    const terms = stored(200, [`Cache-Control: ${strict}, stale-if-error=9, stale-while-revalidate=9`], {}, rules);
    assert.equal(terms.flags & NEVER_STALE, NEVER_STALE, strict);
    assert.equal(terms.staleIfErrorS, 0);
    assert.equal(terms.staleWhileRevalidateS, 0);
  }
});

test('RFC 5861: what the response says, else what is configured', () => {
  const rules = { staleWhileRevalidateS: 10, staleIfErrorS: 20 };
  const said = stored(200, ['Cache-Control: max-age=1, stale-while-revalidate=3, stale-if-error=4'], {}, rules);
  assert.deepEqual([said.staleWhileRevalidateS, said.staleIfErrorS], [3, 4]);
  const silent = stored(200, ['Cache-Control: max-age=1'], {}, rules);
  assert.deepEqual([silent.staleWhileRevalidateS, silent.staleIfErrorS], [10, 20]);
});

test('RFC 9111 §4.2.3: what came old is that much less long fresh', () => {
  const { bornMs, freshUntilMs } = stored(200, [
    'Cache-Control: max-age=60',
    'Age: 20',
    `Date: ${new Date(NOW).toUTCString()}`,
  ]);
  assert.equal(bornMs, NOW - 20_000);
  assert.equal(freshUntilMs, NOW + 40_000);
  assert.equal(decide(200, ['Cache-Control: max-age=60', 'Age: 61']), 'no_lifetime');
});
