import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type SecurityHeadersSettings, securityHeaders } from './security-headers.ts';
import { createPolicy, RecordingExchange } from './testing.ts';

const settings: SecurityHeadersSettings = {
  set: { 'X-Content-Type-Options': 'nosniff', 'Content-Security-Policy': "default-src 'none'" },
  strictTransport: 'max-age=31536000',
  remove: ['server', 'x-powered-by'],
  override: false,
};

function answer(
  more: Partial<SecurityHeadersSettings>,
  upstream: Record<string, string>,
  scheme: 'http' | 'https' = 'https',
) {
  const exchange = new RecordingExchange({ scheme });
  for (const [name, value] of Object.entries(upstream)) exchange.upstreamResponse.set(name, value);
  createPolicy(securityHeaders, { ...settings, ...more }).responseHead?.(exchange);
  return (name: string) => exchange.downstreamHeader(name);
}

test('sets what is missing and removes what tells too much', () => {
  const header = answer({}, { server: 'x/1.0', 'x-powered-by': 'y', 'content-type': 'text/html' });
  assert.equal(header('x-content-type-options'), 'nosniff');
  assert.equal(header('content-security-policy'), "default-src 'none'");
  assert.equal(header('strict-transport-security'), 'max-age=31536000');
  assert.equal(header('server'), null);
  assert.equal(header('x-powered-by'), null);
  assert.equal(header('content-type'), 'text/html');
});

test('the upstream knows its page better, unless the configuration insists', () => {
  const own = { 'content-security-policy': "default-src 'self'", 'strict-transport-security': 'max-age=1' };
  assert.equal(answer({}, own)('content-security-policy'), "default-src 'self'");
  assert.equal(answer({}, own)('strict-transport-security'), 'max-age=1');
  assert.equal(answer({ override: true }, own)('content-security-policy'), "default-src 'none'");
  assert.equal(answer({ override: true }, own)('strict-transport-security'), 'max-age=31536000');
});

test('Strict-Transport-Security is not sent over plain HTTP (RFC 6797 §7.2)', () => {
  assert.equal(answer({}, {}, 'http')('strict-transport-security'), null);
  assert.equal(answer({ strictTransport: null }, {})('strict-transport-security'), null);
});
