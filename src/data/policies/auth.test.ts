import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FAULTS, Fault } from '../../base/errors.ts';
import { authSettings, issuerSettings, jwtSettings, SigningIssuer, secretToken } from '../auth/testing.ts';
import { AuthWorkerState } from '../auth/worker-state.ts';
import type { AuthSettings, IssuerSettings, JwtSettings } from '../contract/auth.ts';
import { auth } from './auth.ts';
import { createPolicy, RecordingExchange, runRequestPhases, type TestEnvironment, testEnvironment } from './testing.ts';

const ec = new SigningIssuer('ES256', 'ec');

function claimsAt(environment: TestEnvironment, more: Record<string, unknown> = {}): Record<string, unknown> {
  const nowSeconds = environment.clock.wallMs() / 1_000;
  return { iss: 'https://issuer.example', aud: 'api', sub: 'alice', exp: nowSeconds + 300, ...more };
}

const inline = (more: Partial<IssuerSettings> = {}, jwt: Partial<JwtSettings> = {}) =>
  jwtSettings([issuerSettings({ keys: { kind: 'inline', keys: [ec.jwk] }, ...more })], jwt);

function routeOf(settings: Partial<AuthSettings>, environment: TestEnvironment = testEnvironment()) {
  const hooks = createPolicy(auth, authSettings(settings), environment);
  const call = async (facts: ConstructorParameters<typeof RecordingExchange>[0] = {}) => {
    const exchange = new RecordingExchange(facts);
    const outcome = await runRequestPhases(hooks, exchange);
    return { exchange, outcome, fault: outcome instanceof Fault ? outcome : null, subject: exchange.identity?.subject };
  };
  const bearer = (token: string, facts: ConstructorParameters<typeof RecordingExchange>[0] = {}) =>
    call({ ...facts, headers: { ...facts.headers, authorization: `Bearer ${token}` } });
  return { hooks, call, bearer, environment };
}

describe('a good token', () => {
  test('gives the exchange its identity, synchronously, the same object for each request', async () => {
    const { hooks, environment } = routeOf({ jwt: inline() });
    const token = ec.token(claimsAt(environment, { scope: 'a b', roles: ['user'], plan: 'premium' }));
    const first = new RecordingExchange({ headers: { authorization: `Bearer ${token}` } });
    const second = new RecordingExchange({ headers: { authorization: `Bearer ${token}` } });
    assert.equal(hooks.authenticate?.(first), undefined, 'no promise');
    assert.equal(hooks.authenticate?.(second), undefined);
    assert.equal(first.identity, second.identity);
    assert.deepEqual(first.identity?.scopes, ['a', 'b']);
    assert.deepEqual(first.identity?.upstreamHeaders, {
      'x-auth-subject': 'alice',
      'x-auth-method': 'jwt',
      'x-auth-issuer': 'https://issuer.example',
      'x-auth-roles': 'user',
      'x-auth-scopes': 'a b',
      'x-auth-plan': 'premium',
    });
  });

  test('counts no longer than it lives, cached or not', async () => {
    const { bearer, environment } = routeOf({ jwt: inline() });
    const token = ec.token(claimsAt(environment, { exp: environment.clock.wallMs() / 1_000 + 10 }));
    assert.equal((await bearer(token)).subject, 'alice');
    environment.clock.advance(14_999);
    assert.equal((await bearer(token)).subject, 'alice', 'leeway of 5 s');
    environment.clock.advance(1);
    assert.equal((await bearer(token)).fault?.cause, 'expired');
  });

  test('may come with the scheme in any case and several blanks', async () => {
    const { call, environment } = routeOf({ jwt: inline() });
    const token = ec.token(claimsAt(environment));
    for (const authorization of [`bearer ${token}`, `BEARER  ${token}`]) {
      assert.equal((await call({ headers: { authorization } })).subject, 'alice');
    }
  });
});

describe('no credential', () => {
  test('is 401 with a challenge and without an error code (RFC 6750 §3.1)', async () => {
    const { call } = routeOf({ jwt: inline() });
    const { fault } = await call();
    assert.equal(fault?.kind, FAULTS.authenticationRequired);
    assert.deepEqual(fault?.headers, { 'WWW-Authenticate': 'Bearer realm="test"' });
  });

  test('passes without identity where it is optional; a bad credential never does', async () => {
    const { call, bearer } = routeOf({ jwt: inline(), optional: true });
    const { outcome, exchange } = await call();
    assert.equal(outcome, undefined);
    assert.equal(exchange.identity, null);
    for (const token of ['x', '', 'a b', 'a.b.c']) {
      assert.equal((await bearer(token)).fault?.kind, FAULTS.invalidCredentials, token);
    }
  });

  test('another scheme is no bearer token', async () => {
    const { call } = routeOf({ jwt: inline() });
    const { fault } = await call({ headers: { authorization: 'Basic YTpi' } });
    assert.equal(fault?.kind, FAULTS.authenticationRequired);
  });

  test('where something is required of an optional identity, its absence is 401', async () => {
    const requirements = { scopes: ['x'], roles: [], mfa: 'off' as const, maxAuthAgeSeconds: 0 };
    const { call } = routeOf({ jwt: inline(), optional: true, requirements });
    assert.equal((await call()).fault?.kind, FAULTS.authenticationRequired);
  });
});

describe('token sources', () => {
  const sources = [
    { in: 'authorization' },
    { in: 'header', name: 'x-token' },
    { in: 'cookie', name: 'session', trustedSites: ['https://app.example'] },
  ] as const;

  test('are tried in order; a foreign scheme does not hide the next', async () => {
    const { call, environment } = routeOf({ jwt: inline({}, { sources }) });
    const token = ec.token(claimsAt(environment));
    assert.equal((await call({ headers: { 'x-token': token } })).subject, 'alice');
    assert.equal((await call({ headers: { cookie: `a=1; session=${token}` } })).subject, 'alice');
    assert.equal((await call({ headers: { authorization: 'Basic YTpi', 'x-token': token } })).subject, 'alice');
    const bad = await call({ headers: { authorization: 'Bearer nonsense', 'x-token': token } });
    assert.equal(bad.fault?.cause, 'malformed', 'the first credential decides');
  });

  for (const { name, method, headers, passes } of [
    { name: 'reading', method: 'GET', headers: { 'sec-fetch-site': 'cross-site' }, passes: true },
    {
      name: 'writing from the same origin',
      method: 'POST',
      headers: { 'sec-fetch-site': 'same-origin' },
      passes: true,
    },
    { name: 'writing from a link typed in', method: 'POST', headers: { 'sec-fetch-site': 'none' }, passes: true },
    { name: 'writing from another site', method: 'POST', headers: { 'sec-fetch-site': 'cross-site' }, passes: false },
    { name: 'writing from a sister site', method: 'DELETE', headers: { 'sec-fetch-site': 'same-site' }, passes: false },
    {
      name: 'writing from a trusted site',
      method: 'POST',
      headers: { 'sec-fetch-site': 'cross-site', origin: 'https://app.example' },
      passes: true,
    },
    {
      name: 'writing with an older browser from here',
      method: 'PUT',
      headers: { origin: 'https://gateway.example' },
      passes: true,
    },
    {
      name: 'writing with an older browser from elsewhere',
      method: 'PUT',
      headers: { origin: 'https://evil.example' },
      passes: false,
    },
    { name: 'writing from a sandbox', method: 'PUT', headers: { origin: 'null' }, passes: false },
    { name: 'writing without a browser', method: 'POST', headers: {}, passes: true },
    {
      name: 'opening a WebSocket from elsewhere',
      method: 'GET',
      headers: { upgrade: 'websocket', origin: 'https://evil.example' },
      passes: false,
    },
  ]) {
    test(`a cookie and ${name}: ${passes ? 'passes' : 'is refused'}`, async () => {
      const { call, environment } = routeOf({ jwt: inline({}, { sources }) });
      const token = ec.token(claimsAt(environment));
      for (const round of ['first', 'cached']) {
        const { subject, fault } = await call({ method, headers: { ...headers, cookie: `session=${token}` } });
        assert.equal(subject, passes ? 'alice' : undefined, round);
        if (!passes) assert.equal(fault?.cause, 'cross_site');
      }
      const inField = await call({ method, headers: { ...headers, authorization: `Bearer ${token}` } });
      assert.equal(inField.subject, 'alice', 'a token in a field cannot be sent by another site');
    });
  }

  test('hidden credentials do not reach the upstream; other cookies do', async () => {
    const { call, environment } = routeOf({ jwt: inline({}, { sources }), hideCredentials: true });
    const token = ec.token(claimsAt(environment));
    const { exchange } = await call({
      headers: { 'x-token': token, authorization: 'Basic YTpi', cookie: `a=1; session=${token}; b="2"` },
    });
    assert.equal(exchange.upstreamHeaders.get('x-token'), undefined);
    assert.equal(exchange.upstreamHeaders.get('authorization'), undefined);
    assert.equal(exchange.upstreamHeaders.get('cookie'), 'a=1; b="2"');
  });
});

describe('keys that change', () => {
  const published = (id = 'corp'): IssuerSettings =>
    issuerSettings({
      keys: {
        kind: 'published',
        id,
        url: 'https://issuer.example/jwks',
        discovery: null,
        refreshMs: 600_000,
        maxStaleMs: 86_400_000,
        cooldownMs: 30_000,
        timeoutMs: 5_000,
      },
    });
  const far = Number.MAX_SAFE_INTEGER;

  test('no keys yet: 503 with Retry-After, because nobody can say', async () => {
    const { bearer, environment } = routeOf({ jwt: jwtSettings([published()]) });
    const { fault } = await bearer(ec.token(claimsAt(environment)));
    assert.equal(fault?.kind, FAULTS.authenticationUnavailable);
    assert.equal(fault?.retryAfterSeconds, 5);
  });

  test('an unknown kid has the keys fetched anew, once for all who wait, and the token passes', async () => {
    const { bearer, environment } = routeOf({ jwt: jwtSettings([published()]) });
    const { control } = environment;
    control.publish('auth:jwks', { corp: { keys: [new SigningIssuer('ES256', 'older').jwk], expiresAtMs: far } });
    control.answer('auth:jwks-refresh', () => {
      control.publish('auth:jwks', { corp: { keys: [ec.jwk], expiresAtMs: far } });
      return true;
    });
    const token = ec.token(claimsAt(environment));
    const answers = await Promise.all([bearer(token), bearer(token), bearer(token)]);
    assert.deepEqual(
      answers.map(({ subject }) => subject),
      ['alice', 'alice', 'alice'],
    );
    assert.deepEqual(control.asked, [{ topic: 'auth:jwks-refresh', data: { id: 'corp', kid: 'ec' } }]);
  });

  test('an invented kid is asked about once and then plainly refused', async () => {
    const { bearer, environment } = routeOf({ jwt: jwtSettings([published()]) });
    const { control, clock } = environment;
    control.publish('auth:jwks', { corp: { keys: [ec.jwk], expiresAtMs: far } });
    control.answer('auth:jwks-refresh', () => true);
    for (let index = 0; index < 20; index++) {
      const { fault } = await bearer(ec.token(claimsAt(environment), { kid: 'invented' }));
      assert.equal(fault?.cause, 'unknown_key');
    }
    assert.equal(control.asked.length, 1);
    clock.advance(10_000);
    await bearer(ec.token(claimsAt(environment), { kid: 'invented' }));
    assert.equal(control.asked.length, 2);
    assert.equal((await bearer(ec.token(claimsAt(environment)))).subject, 'alice', 'good tokens pass all the while');
  });

  test('a kid whose keys cannot be had is no bad token: 503 with Retry-After, and it passes when they came', async () => {
    const { bearer, environment } = routeOf({ jwt: jwtSettings([published()]) });
    const { control } = environment;
    control.publish('auth:jwks', { corp: { keys: [new SigningIssuer('ES256', 'older').jwk], expiresAtMs: far } });
    control.answer('auth:jwks-refresh', () => false);
    const token = ec.token(claimsAt(environment));
    const { fault } = await bearer(token);
    assert.deepEqual([fault?.kind, fault?.retryAfterSeconds], [FAULTS.authenticationUnavailable, 5]);
    control.publish('auth:jwks', { corp: { keys: [ec.jwk], expiresAtMs: far } });
    assert.equal((await bearer(token)).subject, 'alice');
  });

  test('a key that is taken back refuses tokens that were cached under it', async () => {
    const { bearer, environment } = routeOf({ jwt: jwtSettings([published()]) });
    const { control } = environment;
    control.publish('auth:jwks', { corp: { keys: [ec.jwk], expiresAtMs: far } });
    const token = ec.token(claimsAt(environment));
    assert.equal((await bearer(token)).subject, 'alice');
    control.publish('auth:jwks', { corp: { keys: [new SigningIssuer('ES256', 'new').jwk], expiresAtMs: far } });
    control.answer('auth:jwks-refresh', () => true);
    assert.equal((await bearer(token)).fault?.cause, 'unknown_key');
  });

  test('the same keys fetched again keep the cache warm', async () => {
    const { bearer, environment } = routeOf({ jwt: jwtSettings([published()]) });
    const { control } = environment;
    control.publish('auth:jwks', { corp: { keys: [ec.jwk], expiresAtMs: far } });
    const token = ec.token(claimsAt(environment));
    const first = (await bearer(token)).exchange.identity;
    control.publish('auth:jwks', { corp: { keys: [ec.jwk], expiresAtMs: far - 1 } });
    assert.equal((await bearer(token)).exchange.identity, first);
  });

  test('keys of an issuer that stays out of reach count until they are too old, also for cached tokens', async () => {
    const { bearer, environment } = routeOf({ jwt: jwtSettings([published()]) });
    const { control, clock } = environment;
    control.publish('auth:jwks', { corp: { keys: [ec.jwk], expiresAtMs: clock.wallMs() + 10_000 } });
    const token = ec.token(claimsAt(environment));
    clock.advance(9_999);
    assert.equal((await bearer(token)).subject, 'alice');
    clock.advance(1);
    assert.equal((await bearer(token)).fault?.kind, FAULTS.authenticationUnavailable);
  });

  test('symmetric keys in a published set do not count', async () => {
    const { bearer, environment } = routeOf({
      jwt: jwtSettings([{ ...published(), algorithms: ['ES256', 'HS256'] }]),
    });
    const secret = Buffer.alloc(32, 1);
    const keys = [{ kty: 'oct', kid: 'h', k: secret.toString('base64url') }];
    environment.control.publish('auth:jwks', { corp: { keys, expiresAtMs: far } });
    const { fault } = await bearer(secretToken(secret, claimsAt(environment), { kid: 'h' }));
    assert.ok(fault !== null);
  });
});

describe('the built-in identity service', () => {
  const identity = issuerSettings({ name: 'identity', issuer: null, audiences: null, keys: { kind: 'identity' } });
  const publish = (environment: TestEnvironment, keys = [ec.jwk]) =>
    environment.control.publish('identity:keys', { issuer: 'https://issuer.example', jwks: { keys }, audience: 'api' });

  test('names its issuer and audience with its keys', async () => {
    const { bearer, environment } = routeOf({ jwt: jwtSettings([identity]) });
    publish(environment);
    assert.equal((await bearer(ec.token(claimsAt(environment)))).subject, 'alice');
    const { fault } = await bearer(ec.token(claimsAt(environment, { aud: 'other' })));
    assert.equal(fault?.cause, 'wrong_audience');
    const foreign = await bearer(ec.token(claimsAt(environment, { iss: 'https://else.example' })));
    assert.equal(foreign.fault?.cause, 'unknown_issuer');
  });

  test('a revoked session or token is refused at once, cached or not; others stay cached', async () => {
    const { bearer, environment } = routeOf({ jwt: jwtSettings([identity]) });
    publish(environment);
    const inSession = (sid: string, jti: string) => ec.token(claimsAt(environment, { sid, jti }));
    const tokens = {
      a: inSession('s1', 'j1'),
      b: inSession('s1', 'j2'),
      c: inSession('s2', 'j3'),
      d: inSession('s3', 'j4'),
    };
    for (const token of Object.values(tokens)) assert.equal((await bearer(token)).subject, 'alice');
    const kept = (await bearer(tokens.d)).exchange.identity;
    environment.control.publish('identity:revoked', { sids: [['s1', 9e9]], jtis: [['j3', 9e9]] });
    for (const name of ['a', 'b', 'c'] as const) {
      assert.equal((await bearer(tokens[name])).fault?.cause, 'revoked', name);
    }
    assert.equal((await bearer(tokens.d)).exchange.identity, kept);
    assert.equal((await bearer(inSession('s1', 'j9'))).fault?.cause, 'revoked', 'never seen before');
  });

  test('a revocation that came before the route is known to it', async () => {
    const environment = testEnvironment();
    environment.control.publish('identity:revoked', { sids: ['s1'], jtis: [] });
    publish(environment);
    const { bearer } = routeOf({ jwt: jwtSettings([identity]) }, environment);
    assert.equal((await bearer(ec.token(claimsAt(environment, { sid: 's1' })))).fault?.cause, 'revoked');
  });

  test('may sign with a shared secret', async () => {
    const secret = Buffer.alloc(32, 3);
    const { bearer, environment } = routeOf({ jwt: jwtSettings([{ ...identity, algorithms: ['ES256', 'HS256'] }]) });
    const jwk = { kty: 'oct', kid: 'h', alg: 'HS256', k: secret.toString('base64url') };
    environment.control.publish('identity:keys', { issuer: 'https://issuer.example', jwks: { keys: [jwk] } });
    assert.equal((await bearer(secretToken(secret, claimsAt(environment), { kid: 'h' }))).subject, 'alice');
  });

  test('before its keys have come, nobody can say: 503, not a 401 that signs people out', async () => {
    const { bearer, environment } = routeOf({ jwt: jwtSettings([identity]) });
    const { fault } = await bearer(ec.token(claimsAt(environment)));
    assert.equal(fault?.kind, FAULTS.authenticationUnavailable);
    assert.equal(environment.control.asked.length, 0);
  });
});

test('a token bound to a certificate counts only on the connection that proved it (RFC 8705 §3), cached or not', async () => {
  const { bearer, environment } = routeOf({ jwt: inline() });
  const digest = Buffer.alloc(32, 0xab);
  const token = ec.token(claimsAt(environment, { cnf: { 'x5t#S256': digest.toString('base64url') } }));
  const holder = {
    subject: 'CN=x',
    fingerprint256: digest
      .toString('hex')
      .toUpperCase()
      .replace(/..(?=.)/g, '$&:'),
  };
  const other = { subject: 'CN=x', fingerprint256: holder.fingerprint256.replace('AB', 'AC') };
  assert.equal((await bearer(token, { clientCertificate: holder })).subject, 'alice');
  assert.equal((await bearer(token, { clientCertificate: other })).fault?.cause, 'wrong_binding');
  assert.equal((await bearer(token)).fault?.cause, 'wrong_binding');
  assert.equal((await bearer(token, { clientCertificate: holder })).subject, 'alice');
});

describe('several methods', () => {
  const mtls = {
    rules: [
      {
        subject: { CN: 'billing' },
        fingerprints: [],
        alternativeNames: [],
        identity: { from: 'cn' as const },
        roles: ['service'],
        scopes: [],
        plan: null,
      },
    ],
  };
  const billing = { subject: 'O=Example\nCN=billing', fingerprint256: 'AA:BB' };
  const stranger = { subject: 'CN=stranger', fingerprint256: 'CC:DD' };

  test('any: the first that finds a credential decides, a bad one is not made good by another', async () => {
    const { call, bearer, environment } = routeOf({ jwt: inline(), mtls });
    assert.equal((await bearer(ec.token(claimsAt(environment)), { clientCertificate: billing })).subject, 'alice');
    assert.equal((await call({ clientCertificate: billing })).subject, 'billing');
    const bad = await bearer('bad', { clientCertificate: billing });
    assert.equal(bad.fault?.kind, FAULTS.invalidCredentials);
    assert.equal((await call({ clientCertificate: stranger })).fault?.cause, 'no_rule');
    assert.equal((await call()).fault?.kind, FAULTS.authenticationRequired);
  });

  test('all: each must find a good credential, the first names the caller', async () => {
    const { call, bearer, environment } = routeOf({ jwt: inline(), mtls, mode: 'all' });
    const token = ec.token(claimsAt(environment));
    assert.equal((await bearer(token, { clientCertificate: billing })).subject, 'alice');
    assert.equal((await bearer(token)).fault?.kind, FAULTS.authenticationRequired);
    assert.equal((await call({ clientCertificate: billing })).fault?.kind, FAULTS.authenticationRequired);
    const strange = await bearer(token, { clientCertificate: stranger });
    assert.equal(strange.fault?.cause, 'no_rule');
    assert.equal(strange.exchange.identity, null);
  });

  test('all and optional: nothing passes, half is refused', async () => {
    const { call, environment } = routeOf({ jwt: inline(), mtls, mode: 'all', optional: true });
    assert.equal((await call()).outcome, undefined);
    assert.equal((await call({ clientCertificate: billing })).fault?.kind, FAULTS.authenticationRequired);
    assert.ok(environment);
  });

  test('each challenge is named', async () => {
    const { call } = routeOf({
      jwt: inline(),
      mtls,
      apiKey: {
        header: 'x-api-key',
        query: null,
        keys: null,
        askIdentity: true,
        timeoutMs: 1_000,
        cacheMs: 10_000,
        refusedCacheMs: 1_000,
        cacheEntries: 10,
      },
    });
    assert.deepEqual((await call()).fault?.headers, { 'WWW-Authenticate': 'Bearer realm="test", ApiKey realm="test"' });
  });
});

describe('a worker over reloads', () => {
  test('equal settings share one verifier, whose cache stays warm; the last user lets it go', async () => {
    const environment = testEnvironment();
    const settings = { jwt: inline() };
    const before = routeOf(settings, environment);
    const token = ec.token(claimsAt(environment));
    const identity = (await before.bearer(token)).exchange.identity;
    const after = routeOf({ ...settings, optional: true }, environment);
    before.hooks.dispose?.();
    assert.equal((await after.bearer(token)).exchange.identity, identity);
    const state = AuthWorkerState.of(environment);
    assert.equal(state.sharedCount, 1);
    after.hooks.dispose?.();
    after.hooks.dispose?.();
    assert.equal(state.sharedCount, 0);
  });

  test('equal settings share, also where each route has its own id for the same secret', () => {
    const environment = testEnvironment({
      secrets: { 'route/a': 'one secret of thirty-two bytes ok', 'route/b': 'one secret of thirty-two bytes ok' },
    });
    for (const secret of ['route/a', 'route/b']) {
      const keys = { kind: 'secret' as const, secret, kid: null };
      routeOf({ jwt: jwtSettings([issuerSettings({ algorithms: ['HS256'], keys })]) }, environment);
    }
    assert.equal(AuthWorkerState.of(environment).sharedCount, 1);
  });

  test('a changed secret under the same id is another verifier', async () => {
    const environment = testEnvironment({ secrets: { s: 'first secret of thirty-two bytes!' } });
    const jwt = jwtSettings([
      issuerSettings({ algorithms: ['HS256'], keys: { kind: 'secret', secret: 's', kid: null } }),
    ]);
    const before = routeOf({ jwt }, environment);
    const token = secretToken('first secret of thirty-two bytes!', claimsAt(environment));
    assert.equal((await before.bearer(token)).subject, 'alice');
    const changed = { ...environment, secrets: { s: 'other secret of thirty-two bytes!' } };
    const after = routeOf({ jwt }, changed);
    assert.equal((await after.bearer(token)).fault?.cause, 'bad_signature');
  });

  test('a route that cannot be made leaves nothing behind', () => {
    const environment = testEnvironment();
    const broken = authSettings({ jwt: inline(), basic: { users: 'missing', cacheMs: 1, cacheEntries: 1 } });
    assert.throws(() => createPolicy(auth, broken, environment), /user file/);
    assert.equal(AuthWorkerState.of(environment).sharedCount, 0);
  });
});

test('an issuer without a name takes only what no other claims', async () => {
  const secret = 'a secret that is long enough for HS256';
  const environment = testEnvironment({ secrets: { s: secret } });
  const jwt = jwtSettings([
    issuerSettings({
      issuer: null,
      audiences: null,
      algorithms: ['HS256'],
      keys: { kind: 'secret', secret: 's', kid: null },
    }),
    issuerSettings({ keys: { kind: 'inline', keys: [ec.jwk] } }),
  ]);
  const { bearer } = routeOf({ jwt }, environment);
  const nameless = claimsAt(environment, { iss: undefined, aud: undefined });
  assert.equal((await bearer(secretToken(secret, nameless))).subject, 'alice');
  assert.equal((await bearer(secretToken(secret, { ...nameless, iss: 'legacy' }))).subject, 'alice');
  const stolen = await bearer(secretToken(secret, claimsAt(environment)));
  assert.equal(stolen.fault?.cause, 'bad_algorithm', 'the named issuer signs with ES256');
});

test('what a route asks for: roles, scopes, a second factor, a fresh sign-in', async () => {
  const requirements = {
    scopes: ['projects:read', 'projects:write'],
    roles: ['editor', 'admin'],
    mfa: 'always' as const,
    maxAuthAgeSeconds: 300,
  };
  const { bearer, environment } = routeOf({ jwt: inline(), requirements });
  const nowSeconds = environment.clock.wallMs() / 1_000;
  const full = {
    scope: 'projects:write projects:read x',
    roles: ['admin'],
    amr: ['pwd', 'mfa'],
    auth_time: nowSeconds - 300,
  };
  const faultOf = async (more: Record<string, unknown>) =>
    (await bearer(ec.token(claimsAt(environment, { ...full, ...more })))).fault;
  assert.equal(await faultOf({}), null);
  assert.equal(await faultOf({ amr: [], mfa_verified: true }), null);
  assert.equal((await faultOf({ roles: ['user'] }))?.cause, 'role');
  const scope = await faultOf({ scope: 'projects:read' });
  assert.equal(scope?.kind, FAULTS.insufficientPermissions);
  assert.equal(
    scope?.headers?.['WWW-Authenticate'],
    'Bearer realm="test", error="insufficient_scope", scope="projects:read projects:write"',
  );
  assert.equal((await faultOf({ amr: ['otp'] }))?.kind, FAULTS.mfaRequired);
  assert.equal((await faultOf({ amr: ['pwd'], mfa_verified: 'true' }))?.kind, FAULTS.mfaRequired);
  const stale = await faultOf({ auth_time: nowSeconds - 301 });
  assert.equal(stale?.kind.status, 401);
  assert.match(stale?.headers?.['WWW-Authenticate'] ?? '', /insufficient_user_authentication", max_age=300/);
  assert.equal((await faultOf({ auth_time: undefined }))?.kind.status, 401);
});

test('the identity reaches the upstream signed, or not at all, as the route says', async () => {
  const environment = testEnvironment({ secrets: { sign: 'a shared secret of 32 bytes or more' } });
  const signed = {
    kind: 'signed' as const,
    secret: 'sign',
    signed: { algorithm: 'HS256' as const, kid: null, issuer: 'gw', audience: '', lifetimeSeconds: 60 },
  };
  const token = ec.token(claimsAt(environment));
  const inSigned = (await routeOf({ jwt: inline(), forward: signed }, environment).bearer(token)).exchange.identity;
  assert.deepEqual(Object.keys(inSigned?.upstreamHeaders ?? {}), ['x-auth-identity']);
  const inNone = (await routeOf({ jwt: inline(), forward: { kind: 'none' } }, environment).bearer(token)).exchange
    .identity;
  assert.deepEqual(inNone?.upstreamHeaders, {});
});
