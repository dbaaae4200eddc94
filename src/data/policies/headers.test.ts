import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PreparedIdentity } from '../auth/identity.ts';
import { noHeaders } from '../auth/identity-headers.ts';
import { type HeaderChanges, headers } from './headers.ts';
import { createPolicy, type ExchangeFacts, RecordingExchange } from './testing.ts';

const none: HeaderChanges = { rename: {}, remove: [], set: {}, add: {} };

function request(changes: Partial<HeaderChanges>, facts: ExchangeFacts) {
  const exchange = new RecordingExchange(facts);
  createPolicy(headers, { request: { ...none, ...changes }, response: null }).requestHead?.(exchange);
  return Object.fromEntries(exchange.upstreamHeaders);
}

function response(changes: Partial<HeaderChanges>, upstream: Record<string, string>) {
  const exchange = new RecordingExchange();
  for (const [name, value] of Object.entries(upstream)) exchange.upstreamResponse.set(name, value);
  createPolicy(headers, { request: null, response: { ...none, ...changes } }).responseHead?.(exchange);
  return (name: string) => exchange.downstreamHeader(name);
}

test('request: rename, remove, set, add, in this order', () => {
  const changes = {
    rename: { 'x-old': 'X-New' },
    remove: ['x-debug'],
    set: { 'X-Old': 'again', 'X-Via': 'gateway' },
    add: { 'X-Tags': 'b' },
  };
  const headers = { 'x-old': '1', 'x-new': 'forged', 'x-debug': '1', 'x-via': 'forged', 'x-tags': 'a' };
  assert.deepEqual(request(changes, { headers }), {
    host: 'gateway.example',
    'x-new': '1',
    'x-old': 'again',
    'x-via': 'gateway',
    'x-tags': 'a, b',
  });
});

test('request: a field that is absent is not renamed, and nobody can send it under the new name', () => {
  assert.deepEqual(request({ rename: { 'x-old': 'X-New' } }, { headers: { 'x-new': 'forged' } }), {
    host: 'gateway.example',
  });
});

test('request: placeholders are filled in; one without a value takes the field away', () => {
  const identity = new PreparedIdentity(
    { method: 'jwt', subject: 'älice', roles: [], scopes: [], plan: null },
    { sub: 'älice' },
    noHeaders,
  );
  const set = { 'X-User': '{auth.sub}', 'X-Path': '{request.path}', 'X-Plan': 'plan {auth.plan}' };
  const facts = { path: '/a', headers: { 'x-plan': 'forged' }, identity };
  assert.deepEqual(request({ set }, facts), { host: 'gateway.example', 'x-user': '%C3%A4lice', 'x-path': '/a' });
});

test('response: rename, remove, set, add, in this order', () => {
  const header = response(
    {
      rename: { 'x-upstream': 'X-Service' },
      remove: ['server'],
      set: { 'Cache-Control': 'no-store', 'X-Request': '{request.id}' },
      add: { Link: '</a>; rel="next"' },
    },
    { 'x-upstream': 'v1', server: 'x', 'cache-control': 'public', link: '</b>; rel="prev"' },
  );
  assert.equal(header('x-service'), 'v1');
  assert.equal(header('x-upstream'), null);
  assert.equal(header('server'), null);
  assert.equal(header('cache-control'), 'no-store');
  assert.equal(header('x-request'), 'req-1');
  assert.equal(header('link'), '</b>; rel="prev", </a>; rel="next"');
});

test('only the sides that are configured cost a hook', () => {
  assert.deepEqual(Object.keys(createPolicy(headers, { request: null, response: none })), ['responseHead']);
  assert.deepEqual(Object.keys(createPolicy(headers, { request: none, response: null })), ['requestHead']);
});
