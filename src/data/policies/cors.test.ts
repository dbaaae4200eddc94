import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULTS, Fault } from '../../base/errors.ts';
import type { Reply } from '../contract/policy.ts';
import { type CorsSettings, cors } from './cors.ts';
import { createPolicy, RecordingExchange } from './testing.ts';

const settings: CorsSettings = {
  allowedSites: ['https://app.example', 'https://*.tenant.example', 'http://localhost:3000'],
  methods: ['GET', 'POST'],
  headers: ['content-type', 'authorization'],
  exposedHeaders: ['x-request-id'],
  credentials: true,
  maxAgeSeconds: 600,
  privateNetwork: false,
  refuseOthers: false,
};

function preflight(more: Partial<CorsSettings>, headers: Record<string, string>): Reply {
  const hooks = createPolicy(cors, { ...settings, ...more });
  return hooks.preflight?.(new RecordingExchange({ method: 'OPTIONS', headers })) as Reply;
}

function answerTo(more: Partial<CorsSettings>, headers: Record<string, string>, upstream: Record<string, string> = {}) {
  const hooks = createPolicy(cors, { ...settings, ...more });
  const exchange = new RecordingExchange({ headers });
  for (const [name, value] of Object.entries(upstream)) exchange.upstreamResponse.set(name, value);
  hooks.responseHead?.(exchange);
  return (name: string) => exchange.downstreamHeader(name);
}

const ask = { origin: 'https://app.example', 'access-control-request-method': 'POST' };

test('a preflight of an allowed site is answered without authentication', () => {
  assert.deepEqual(preflight({}, ask), {
    status: 204,
    headers: {
      'Access-Control-Allow-Origin': 'https://app.example',
      'Access-Control-Allow-Credentials': 'true',
      'Access-Control-Allow-Methods': 'GET, POST',
      'Access-Control-Allow-Headers': 'content-type, authorization',
      'Access-Control-Max-Age': '600',
      Vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
    },
    body: '',
  });
});

test('a preflight of another site gets no CORS field, and a cache keeps the two apart', () => {
  assert.deepEqual(preflight({}, { ...ask, origin: 'https://evil.example' }), {
    status: 204,
    headers: { Vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers' },
    body: '',
  });
});

for (const { site, allowed } of [
  { site: 'https://app.example', allowed: true },
  { site: 'http://app.example', allowed: false },
  { site: 'https://app.example:8443', allowed: false },
  { site: 'https://app.example.evil.example', allowed: false },
  { site: 'https://evil-app.example', allowed: false },
  { site: 'HTTPS://APP.EXAMPLE', allowed: false },
  { site: 'https://a.tenant.example', allowed: true },
  { site: 'https://a.b.tenant.example', allowed: true },
  { site: 'https://tenant.example', allowed: false },
  { site: 'https://.tenant.example', allowed: false },
  { site: 'https://eviltenant.example', allowed: false },
  { site: 'https://evil.example/.tenant.example', allowed: false },
  { site: 'https://user@a.tenant.example', allowed: false },
  { site: 'https://evil.example:443.tenant.example', allowed: false },
  { site: 'http://localhost:3000', allowed: true },
  { site: 'http://localhost:3001', allowed: false },
  { site: 'null', allowed: false },
  { site: '', allowed: false },
]) {
  test(`site ${JSON.stringify(site)} is ${allowed ? 'allowed' : 'not allowed'}, on preflight and on answer alike`, () => {
    const granted = allowed ? site : undefined;
    assert.equal(preflight({}, { ...ask, origin: site }).headers['Access-Control-Allow-Origin'], granted);
    assert.equal(answerTo({}, { origin: site })('access-control-allow-origin') ?? undefined, granted);
  });
}

test('an answer to an allowed site is shared, whoever made it', () => {
  const answer = answerTo({}, { origin: 'https://app.example' });
  assert.equal(answer('access-control-allow-origin'), 'https://app.example');
  assert.equal(answer('access-control-allow-credentials'), 'true');
  assert.equal(answer('access-control-expose-headers'), 'x-request-id');
  assert.equal(answer('vary'), 'Origin');
});

test('what the upstream says about CORS is replaced, also where nothing is granted', () => {
  const upstream = { 'access-control-allow-origin': '*', 'access-control-allow-credentials': 'true', vary: 'Accept' };
  const shared = answerTo({ credentials: false }, { origin: 'https://app.example' }, upstream);
  assert.equal(shared('access-control-allow-origin'), 'https://app.example');
  assert.equal(shared('access-control-allow-credentials'), null);
  assert.equal(shared('vary'), 'Accept, Origin');
  const kept = answerTo({}, { origin: 'https://evil.example' }, upstream);
  assert.equal(kept('access-control-allow-origin'), null);
  assert.equal(kept('access-control-allow-credentials'), null);
});

test('a request without Origin varies too, since its answer may be cached for one with', () => {
  assert.equal(answerTo({}, {})('vary'), 'Origin');
});

test('a preflight, once answered, is not decorated again', () => {
  const hooks = createPolicy(cors, settings);
  const exchange = new RecordingExchange({ method: 'OPTIONS', headers: ask });
  hooks.preflight?.(exchange);
  hooks.responseHead?.(exchange);
  assert.equal(exchange.downstreamHeaders.size, 0);
});

test('Vary is not said twice', () => {
  assert.equal(answerTo({}, {}, { vary: 'accept, ORIGIN' })('vary'), 'accept, ORIGIN');
  assert.equal(answerTo({}, {}, { vary: '*' })('vary'), '*');
  assert.equal(answerTo({}, {}, { vary: 'X-Origin' })('vary'), 'X-Origin, Origin');
});

test('any site, without credentials: one answer for all', () => {
  const any = { allowedSites: ['*'], credentials: false };
  const answer = answerTo(any, { origin: 'https://x.example' });
  assert.equal(answer('access-control-allow-origin'), '*');
  assert.equal(answer('vary'), null);
  // A cache may have it from a request without Origin, and gives it to pages then.
  assert.equal(answerTo(any, {})('access-control-allow-origin'), '*');
  assert.equal(preflight(any, ask).headers['Access-Control-Allow-Origin'], '*');
  assert.doesNotMatch(preflight(any, ask).headers['Vary'] ?? '', /^Origin/);
});

test('a wildcard of headers echoes what is asked for, never Authorization, never nonsense', () => {
  const any = { headers: ['*'], methods: ['*'], allowedSites: ['*'], credentials: false };
  const names = (requested: string) =>
    preflight(any, { ...ask, 'access-control-request-headers': requested }).headers['Access-Control-Allow-Headers'];
  assert.equal(names('X-A,x-b , Authorization'), 'x-a, x-b');
  assert.equal(names('x-a\u0000'), undefined);
  assert.equal(names('x'.repeat(2_000)), undefined);
  const withAuthorization = { ...any, headers: ['*', 'authorization'] };
  const reply = preflight(withAuthorization, { ...ask, 'access-control-request-headers': 'authorization' });
  assert.equal(reply.headers['Access-Control-Allow-Headers'], 'authorization');
  assert.equal(preflight(any, ask).headers['Access-Control-Allow-Methods'], 'POST');
});

test('a private network is opened only where that is configured and asked', () => {
  const asks = { ...ask, 'access-control-request-private-network': 'true' };
  assert.equal(preflight({}, asks).headers['Access-Control-Allow-Private-Network'], undefined);
  assert.equal(preflight({ privateNetwork: true }, ask).headers['Access-Control-Allow-Private-Network'], undefined);
  assert.equal(preflight({ privateNetwork: true }, asks).headers['Access-Control-Allow-Private-Network'], 'true');
});

test('requests of other sites are refused only where that is wanted; the own site and other programs pass', () => {
  assert.equal(createPolicy(cors, settings).authenticate, undefined);
  const hooks = createPolicy(cors, { ...settings, refuseOthers: true });
  const outcome = (headers: Record<string, string>) => hooks.authenticate?.(new RecordingExchange({ headers }));
  const refused = outcome({ origin: 'https://evil.example' });
  assert.equal(refused instanceof Fault && refused.kind, FAULTS.insufficientPermissions);
  for (const headers of [{}, { origin: 'https://app.example' }, { origin: 'https://gateway.example' }]) {
    assert.equal(outcome(headers as Record<string, string>), undefined);
  }
  assert.ok(outcome({ origin: 'null' }) instanceof Fault);
});
