import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cacheStatus, statusName } from './cache-status.ts';
import { invalidates, sameOriginTarget } from './invalidation.ts';

test('RFC 9211 §2: the members of Cache-Status', () => {
  assert.equal(cacheStatus('gw', { ttl: 376 }), 'gw; hit; ttl=376');
  assert.equal(
    cacheStatus('gw', { fwd: 'uri-miss', fwdStatus: 200, stored: true, collapsed: true }),
    'gw; fwd=uri-miss; fwd-status=200; stored; collapsed',
  );
  assert.equal(cacheStatus('gw', { fwd: 'bypass', detail: 'too_large' }), 'gw; fwd=bypass; detail=too_large');
});

test('RFC 9211 §2: the name is a token', () => {
  assert.equal(statusName('Edge 1, "north"'), 'Edge1north');
  assert.equal(statusName('1'), 'gatehouse');
});

test('RFC 9111 §4.4: unsafe and unknown methods invalidate when they succeed', () => {
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'M-SEARCH', 'WHATEVER'])
    assert.equal(invalidates(method, 204), true);
  assert.equal(invalidates('POST', 303), true);
  assert.equal(invalidates('POST', 404), false);
  assert.equal(invalidates('POST', 500), false);
  for (const method of ['GET', 'HEAD', 'OPTIONS']) assert.equal(invalidates(method, 200), false);
});

test('RFC 9111 §4.4: Location and Content-Location of the same origin only', () => {
  const origin = 'http://a.example:8080';
  assert.equal(sameOriginTarget('/x?y', origin, '/p'), '/x?y');
  assert.equal(sameOriginTarget('x', origin, '/p/q'), '/p/x');
  assert.equal(sameOriginTarget('http://A.example:8080/z', origin, '/'), '/z');
  assert.equal(sameOriginTarget('http://a.example/z', origin, '/'), null);
  assert.equal(sameOriginTarget('https://a.example:8080/z', origin, '/'), null);
  assert.equal(sameOriginTarget('http://[', origin, '/'), null);
  assert.equal(sameOriginTarget(null, origin, '/'), null);
});
