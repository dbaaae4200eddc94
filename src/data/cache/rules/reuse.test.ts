import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCacheControl } from './directives.ts';
import { isErrorStatus, mayUseOnError, reuseOf, type StoredTerms } from './reuse.ts';
import { IS_IMMUTABLE, NEEDS_VALIDATION, NEVER_STALE } from './storing.ts';

const STORED: StoredTerms = { bornMs: 0, freshUntilMs: 60_000, staleWhileRevalidateS: 10, staleIfErrorS: 30, flags: 0 };
const decide = (nowMs: number, request = '', stored: Partial<StoredTerms> = {}): string =>
  reuseOf({ ...STORED, ...stored }, parseCacheControl(request), nowMs);

test('RFC 9111 §4.2: fresh until its lifetime is over, then validated', () => {
  assert.equal(decide(59_999), 'hit');
  assert.equal(decide(60_000, '', { staleWhileRevalidateS: 0 }), 'validate');
  assert.equal(decide(1, '', { flags: NEEDS_VALIDATION }), 'validate');
});

test('RFC 5861 §3: stale-while-revalidate serves what is stale for so long', () => {
  assert.equal(decide(60_000), 'stale');
  assert.equal(decide(69_999), 'stale');
  assert.equal(decide(70_000), 'validate');
});

test('RFC 9111 §5.2.1: a request asks for more than a fresh response', () => {
  assert.equal(decide(30_000, 'no-cache'), 'validate');
  assert.equal(decide(30_000, 'max-age=29'), 'validate');
  assert.equal(decide(30_000, 'max-age=30'), 'hit');
  assert.equal(decide(30_000, 'min-fresh=31'), 'validate');
  assert.equal(decide(30_000, 'min-fresh=30'), 'hit');
});

test('RFC 8246 §2: a reload of what is immutable is a hit while it is fresh, unless the client insists', () => {
  const flags = IS_IMMUTABLE;
  assert.equal(decide(30_000, 'max-age=0', { flags }), 'hit');
  assert.equal(decide(30_000, 'max-age=0'), 'validate');
  assert.equal(decide(30_000, 'max-age=1', { flags }), 'validate');
  assert.equal(decide(30_000, 'no-cache', { flags }), 'validate');
  assert.equal(decide(60_000, 'max-age=0', { flags }), 'validate');
});

test('RFC 9111 §5.2.1.2: max-stale takes what is stale, unless the response forbids it', () => {
  assert.equal(decide(100_000, 'max-stale=40'), 'hit');
  assert.equal(decide(100_001, 'max-stale=40'), 'validate');
  assert.equal(decide(1e9, 'max-stale'), 'hit');
  assert.equal(decide(100_000, 'max-stale', { flags: NEVER_STALE, staleWhileRevalidateS: 0 }), 'validate');
});

test('RFC 5861 §4: stale-if-error of the response or the request, within what may be stale', () => {
  const none = parseCacheControl(null);
  assert.equal(mayUseOnError(STORED, none, 89_999), true);
  assert.equal(mayUseOnError(STORED, none, 90_000), false);
  assert.equal(mayUseOnError(STORED, parseCacheControl('stale-if-error=60'), 100_000), true);
  assert.equal(mayUseOnError({ ...STORED, flags: NEVER_STALE }, none, 61_000), false);
  assert.deepEqual([500, 501, 502, 503, 504, 404].map(isErrorStatus), [true, false, true, true, true, false]);
});
