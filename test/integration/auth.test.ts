/**
 * Authentication and authorization on real sockets: a whole gateway, an upstream that says what it got, an issuer that
 * publishes its keys, an introspection endpoint and an authorizer. What single parts do is tested beside their sources;
 * here it is whether they are joined rightly: what a caller sees, what a service gets, what a rotation or reload
 * changes.
 */
import assert from 'node:assert/strict';
import { argon2Sync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { encodePart, SigningIssuer, secretToken } from '../../src/data/auth/testing.ts';
import { Authority } from '../support/certificates.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, RawCaller } from '../support/raw.ts';
import { suiteScope } from '../support/scope.ts';
import { echoUpstream, httpUpstream, readAll } from '../support/upstream.ts';

const SECRET = 'a shared secret of 32 bytes or more';

async function call(
  port: number,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  method = 'GET',
): Promise<Answer> {
  const caller = new RawCaller(port);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  try {
    return await caller.send(`${method} ${path} HTTP/1.1\r\nHost: api.example\r\n${lines.join('')}\r\n`).answer(method);
  } finally {
    caller.close();
  }
}

/** Fields that the upstream got, by lower-case name; a field that came twice has two values. */
function seen(answer: Answer): Record<string, string[]> {
  const { headers } = JSON.parse(answer.body.toString()) as { headers: string[] };
  const fields: Record<string, string[]> = {};
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase();
    fields[name] = [...(fields[name] ?? []), headers[i + 1]!];
  }
  return fields;
}

/** The body of a refusal without what differs by request. */
function comparable(answer: Answer): unknown {
  const {
    timestamp: _t,
    request_id: _r,
    instance: _i,
    ...rest
  } = JSON.parse(answer.body.toString()) as Record<string, unknown>;
  return rest;
}

/** Until `check` gives something, as long as a deadline lets it. */
async function eventually<T>(check: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 5_000;
  for (;;) {
    const value = await check();
    if (value !== undefined) return value;
    assert.ok(Date.now() < deadline, 'did not happen within 5 s');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('authentication', () => {
  const scope = suiteScope();
  const old = new SigningIssuer('ES256', 'old');
  const young = new SigningIssuer('EdDSA', 'young');
  const inline = new SigningIssuer('RS256', 'rsa');
  const published: { keys: unknown[]; requests: number } = { keys: [old.jwk], requests: 0 };
  let gateway: TestGateway;
  let issuerUrl = '';
  const introspected: string[] = [];

  const claims = (more: Record<string, unknown> = {}) => ({
    iss: issuerUrl,
    aud: 'api',
    sub: 'alice',
    exp: Math.floor(Date.now() / 1_000) + 300,
    ...more,
  });
  const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

  before(async () => {
    const upstream = await echoUpstream(scope);
    const outside = await httpUpstream(scope, (request, response) => {
      const { pathname } = new URL(request.url ?? '/', 'http://x');
      if (pathname === '/.well-known/openid-configuration') {
        response.end(JSON.stringify({ issuer: issuerUrl, jwks_uri: `${issuerUrl}/jwks` }));
      } else if (pathname === '/jwks') {
        published.requests++;
        response.end(JSON.stringify({ keys: published.keys }));
      } else if (pathname === '/introspect') {
        void readAll(request).then((body) => {
          const token = new URLSearchParams(body.toString()).get('token') ?? '';
          introspected.push(token);
          response.end(
            JSON.stringify(token === 'opaque-good' ? { active: true, sub: 'olga', scope: 'read' } : { active: false }),
          );
        });
      } else if (pathname === '/authorize') {
        if (request.headers['x-forwarded-uri'] === '/outside?ok=1') response.setHeader('Remote-User', 'oscar');
        else response.statusCode = 403;
        response.end();
      } else {
        response.statusCode = 404;
        response.end();
      }
    });
    issuerUrl = outside.url;
    const salt = Buffer.alloc(16, 1);
    const hashed = argon2Sync('argon2id', {
      message: 'sesame',
      nonce: salt,
      memory: 64,
      passes: 1,
      parallelism: 1,
      tagLength: 32,
    });
    const phc = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '');
    const folder = (await Authority.create(scope)).folder;
    const users = join(folder, 'users');
    await writeFile(users, `bob:$argon2id$v=19$m=64,t=1,p=1$${phc(salt)}$${phc(hashed)} roles=staff\n`);
    const decide = join(folder, 'decide.ts');
    await writeFile(decide, 'export default (request: { query: string }) => request.query === "yes=1";\n');

    const match = (path: string) => ({ match: { path }, service: 'echo' });
    gateway = await startTestGateway(
      scope,
      {
        services: { echo: { instances: [{ url: upstream.url }] } },
        issuers: {
          corp: { issuer: issuerUrl, audience: 'api', refreshCooldown: '1s' },
          partner: { issuer: 'https://partner.example', audience: 'api', jwks: { keys: [inline.jwk] } },
          legacy: { secret: SECRET },
        },
        routes: [
          { ...match('/open'), auth: 'public' },
          match('/default'),
          { ...match('/jwt'), auth: { jwt: {}, hideCredentials: true } },
          { ...match('/scoped'), auth: { jwt: {}, scopes: ['projects:read'], roles: ['editor'] } },
          { ...match('/mfa'), auth: { jwt: {}, mfa: true } },
          { ...match('/signed'), auth: { jwt: {}, identity: { signed: { secret: SECRET } } } },
          { ...match('/key'), auth: { apiKey: {} } },
          { ...match('/basic'), auth: { basic: { users } } },
          { ...match('/opaque'), auth: { introspect: { url: `${issuerUrl}/introspect` } } },
          { ...match('/outside'), auth: { external: { url: `${issuerUrl}/authorize`, subject: 'Remote-User' } } },
          {
            ...match('/users/:userId'),
            auth: { jwt: {} },
            authorize: { owns: 'params.userId == auth.sub', ownsExcept: 'admin' },
          },
          { ...match('/decided'), auth: { jwt: {} }, authorize: { function: { file: decide } } },
          {
            ...match('/shared'),
            auth: { jwt: {} },
            cors: { origins: 'https://app.example' },
            securityHeaders: {},
            headers: {
              request: { set: { 'X-Caller': '{auth.sub}' } },
              response: { add: { 'X-Served-By': 'gateway' } },
            },
          },
        ],
      },
      { API_KEY_1: 'key123:user1:read,write:premium' },
    );
  });

  test('what a caller says of itself reaches no service, with and without authentication', async () => {
    const forged = {
      'X-Auth-Subject': 'root',
      'x-auth-roles': 'admin',
      X_Auth_Scopes: 'everything',
      'X-Auth_Plan': 'enterprise',
      'X-AUTH-IDENTITY': 'forged',
      'X-Auth-Issuer': 'https://forged.example',
    };
    const open = seen(await call(gateway.port, '/open', forged));
    assert.deepEqual(
      Object.keys(open).filter((name) => name.replaceAll('_', '-').startsWith('x-auth')),
      [],
    );
    const known = seen(await call(gateway.port, '/jwt', { ...forged, ...bearer(old.token(claims())) }));
    assert.deepEqual(known['x-auth-subject'], ['alice']);
    assert.deepEqual(known['x-auth-method'], ['jwt']);
    assert.deepEqual(known['x-auth-issuer'], [issuerUrl]);
    const others = Object.keys(known).filter((name) => name.replaceAll('_', '-').startsWith('x-auth'));
    assert.deepEqual(others.sort(), ['x-auth-issuer', 'x-auth-method', 'x-auth-subject']);
    assert.equal(known['authorization'], undefined, 'hidden');
  });

  test('a route that says nothing is closed', async () => {
    const answer = await call(gateway.port, '/default');
    assert.equal(answer.status, 401);
    assert.equal(answer.headers['www-authenticate'], 'Bearer realm="gatehouse", ApiKey realm="gatehouse"');
    assert.equal((await call(gateway.port, '/default', { 'X-API-Key': 'key123' })).status, 200);
    assert.equal((await call(gateway.port, '/default', bearer(old.token(claims())))).status, 200);
  });

  test('tokens of every issuer pass by their own keys and no other', async () => {
    const partner = { iss: 'https://partner.example' };
    assert.equal((await call(gateway.port, '/jwt', bearer(inline.token(claims(partner))))).status, 200);
    assert.equal(
      (await call(gateway.port, '/jwt', bearer(secretToken(SECRET, claims({ iss: 'legacy' }))))).status,
      200,
    );
    assert.equal((await call(gateway.port, '/jwt', bearer(old.token(claims(partner))))).status, 401);
    assert.equal((await call(gateway.port, '/jwt', bearer(inline.token(claims())))).status, 401);
    assert.equal((await call(gateway.port, '/jwt', bearer(secretToken(SECRET, claims())))).status, 401);
  });

  test('attacks all get one and the same 401', async () => {
    const good = old.token(claims());
    const [head = '', body = '', signature = ''] = good.split('.');
    const publicPem = inline.publicKey.export({ type: 'spki', format: 'pem' }).toString();
    const attacks: Record<string, string> = {
      none: `${encodePart({ alg: 'none' })}.${body}.`,
      confusion: secretToken(publicPem, claims({ iss: 'https://partner.example' }), { kid: 'rsa' }),
      'wrong kid': old.token(claims(), { kid: 'rsa' }),
      jku: old.token(claims(), { jku: `${issuerUrl}/jwks` }),
      jwk: new SigningIssuer('ES256', 'old').token(claims(), { jwk: old.jwk }),
      swapped: `${head}.${encodePart(claims({ sub: 'root' }))}.${signature}`,
      expired: old.token(claims({ exp: 1 })),
      future: old.token(claims({ nbf: 9e9 })),
      audience: old.token(claims({ aud: 'other' })),
      type: old.token(claims(), { typ: 'logout+jwt' }),
      oversized: old.token(claims({ pad: 'x'.repeat(9_000) })),
      truncated: good.slice(0, -3),
      'r = s = 0': `${head}.${body}.${Buffer.alloc(64).toString('base64url')}`,
      crit: old.token(claims(), { crit: ['x'], x: 1 }),
      base64: `${head}.${body}.${signature}==`,
      duplicate: `${Buffer.from('{"alg":"ES256","alg":"ES256","kid":"old"}').toString('base64url')}.${body}.${signature}`,
      nothing: '',
    };
    const answers = new Set<string>();
    for (const [name, token] of Object.entries(attacks)) {
      const answer = await call(gateway.port, '/jwt', bearer(token));
      assert.equal(answer.status, 401, name);
      answers.add(
        JSON.stringify([comparable(answer), answer.headers['www-authenticate'], answer.headers['content-type']]),
      );
    }
    assert.equal(answers.size, 1, [...answers].join('\n'));
    assert.match([...answers][0] ?? '', /error=\\"invalid_token\\"/);
  });

  test('a rotated key counts from the first token that names it; the old one does no more once it is gone', async () => {
    const before = published.requests;
    const token = old.token(claims());
    assert.equal((await call(gateway.port, '/jwt', bearer(token))).status, 200);
    published.keys = [young.jwk];
    // Within control's cool-down after its last fetch the new key is refused; after it, a token waits for the fetch.
    await eventually(async () => {
      const { status } = await call(gateway.port, '/jwt', bearer(young.token(claims())));
      return status === 200 ? true : undefined;
    });
    assert.ok(published.requests > before);
    assert.equal((await call(gateway.port, '/jwt', bearer(token))).status, 401, 'the old key is gone, cached or not');
    published.keys = [old.jwk, young.jwk];
  });

  test('scopes, roles and a second factor', async () => {
    const scoped = async (more: Record<string, unknown>) =>
      await call(gateway.port, '/scoped', bearer(young.token(claims(more))));
    assert.equal((await scoped({ scope: 'projects:read', roles: ['editor'] })).status, 200);
    const lacking = await scoped({ scope: 'projects:write', roles: ['editor'] });
    assert.equal(lacking.status, 403);
    assert.match(lacking.headers['www-authenticate'] ?? '', /insufficient_scope", scope="projects:read"/);
    assert.equal((await scoped({ scope: 'projects:read' })).status, 403);
    const mfa = await call(gateway.port, '/mfa', bearer(young.token(claims())));
    assert.equal(mfa.status, 403);
    assert.match(mfa.body.toString(), /MFA_REQUIRED|mfa_required/);
    assert.equal((await call(gateway.port, '/mfa', bearer(young.token(claims({ mfa_verified: true }))))).status, 200);
  });

  test('the identity can travel signed', async () => {
    const fields = seen(
      await call(gateway.port, '/signed', { 'X-Auth-Identity': 'forged', ...bearer(young.token(claims())) }),
    );
    assert.equal(fields['x-auth-identity']?.length, 1);
    const [, payload = ''] = (fields['x-auth-identity']?.[0] ?? '').split('.');
    assert.equal((JSON.parse(Buffer.from(payload, 'base64url').toString()) as { sub: string }).sub, 'alice');
    assert.equal(fields['x-auth-subject'], undefined);
  });

  test('API keys of the environment', async () => {
    const fields = seen(await call(gateway.port, '/key', { 'X-API-Key': 'key123' }));
    assert.deepEqual(
      [fields['x-auth-subject'], fields['x-auth-plan'], fields['x-auth-scopes']],
      [['user1'], ['premium'], ['read write']],
    );
    assert.equal((await call(gateway.port, '/key', { 'X-API-Key': 'key124' })).status, 401);
    assert.equal((await call(gateway.port, '/key?X-API-Key=key123')).status, 401);
  });

  test('names with passwords', async () => {
    const login = (text: string) =>
      call(gateway.port, '/basic', { Authorization: `Basic ${Buffer.from(text).toString('base64')}` });
    const fields = seen(await login('bob:sesame'));
    assert.deepEqual([fields['x-auth-subject'], fields['x-auth-roles']], [['bob'], ['staff']]);
    const [wrong, unknown] = [await login('bob:open'), await login('eve:open')];
    assert.equal(wrong.status, 401);
    assert.equal(wrong.headers['www-authenticate'], 'Basic realm="gatehouse", charset="UTF-8"');
    assert.deepEqual(comparable(wrong), comparable(unknown));
  });

  test('opaque tokens, asked for once', async () => {
    for (let round = 0; round < 3; round++) {
      const fields = seen(await call(gateway.port, '/opaque', bearer('opaque-good')));
      assert.deepEqual([fields['x-auth-subject'], fields['x-auth-method']], [['olga'], ['introspect']]);
      assert.equal((await call(gateway.port, '/opaque', bearer('opaque-bad'))).status, 401);
    }
    assert.deepEqual(introspected.sort(), ['opaque-bad', 'opaque-good']);
  });

  test('an outside authorizer', async () => {
    assert.deepEqual(seen(await call(gateway.port, '/outside?ok=1'))['x-auth-subject'], ['oscar']);
    assert.equal((await call(gateway.port, '/outside')).status, 403);
  });

  test('ownership: a stranger’s resource does not exist', async () => {
    const token = bearer(young.token(claims()));
    assert.equal((await call(gateway.port, '/users/alice', token)).status, 200);
    assert.equal((await call(gateway.port, '/users/bob', token)).status, 404);
    assert.equal(
      (await call(gateway.port, '/users/bob', bearer(young.token(claims({ roles: ['admin'] }))))).status,
      200,
    );
    assert.equal((await call(gateway.port, '/users/bob')).status, 401);
  });

  test('a function of the user’s own has the last word', async () => {
    const token = bearer(young.token(claims()));
    assert.equal((await call(gateway.port, '/decided?yes=1', token)).status, 200);
    assert.equal((await call(gateway.port, '/decided', token)).status, 403);
  });

  test('CORS, security and other fields stand on answers and on refusals', async () => {
    const origin = { Origin: 'https://app.example' };
    const good = await call(gateway.port, '/shared', { ...origin, ...bearer(young.token(claims())) });
    const bad = await call(gateway.port, '/shared', origin);
    assert.deepEqual([good.status, bad.status], [200, 401]);
    for (const { headers } of [good, bad]) {
      assert.equal(headers['access-control-allow-origin'], 'https://app.example');
      assert.match(headers['vary'] ?? '', /Origin/);
      assert.equal(headers['x-content-type-options'], 'nosniff');
      assert.equal(headers['x-served-by'], 'gateway');
      assert.equal(headers['strict-transport-security'], undefined, 'not over plain HTTP');
    }
    assert.deepEqual(seen(good)['x-caller'], ['alice']);
    const other = await call(gateway.port, '/shared', {
      Origin: 'https://evil.example',
      ...bearer(young.token(claims())),
    });
    assert.equal(other.headers['access-control-allow-origin'], undefined);
  });

  test('a preflight is answered without a token, for the route that it asks about', async () => {
    const ask = { Origin: 'https://app.example', 'Access-Control-Request-Method': 'PUT' };
    const allowed = await call(gateway.port, '/shared', ask, 'OPTIONS');
    assert.equal(allowed.status, 204);
    assert.equal(allowed.headers['access-control-allow-origin'], 'https://app.example');
    assert.match(allowed.headers['access-control-allow-methods'] ?? '', /PUT/);
    const other = await call(gateway.port, '/shared', { ...ask, Origin: 'https://evil.example' }, 'OPTIONS');
    assert.deepEqual([other.status, other.headers['access-control-allow-origin']], [204, undefined]);
    assert.equal(
      (await call(gateway.port, '/jwt', ask, 'OPTIONS')).status,
      401,
      'a route without CORS has no preflight',
    );
    assert.equal((await call(gateway.port, '/shared', {}, 'OPTIONS')).status, 401, 'OPTIONS alone is none');
  });
});

test('an issuer that is away answers 503, public routes and other methods work, and its return is noticed', async (t) => {
  const issuer = new SigningIssuer('ES256');
  let up = false;
  const outside = await httpUpstream(t, (_, response) => {
    response.statusCode = up ? 200 : 500;
    response.end(JSON.stringify({ keys: [issuer.jwk] }));
  });
  const gateway = await startTestGateway(
    t,
    {
      routes: [
        { match: { path: '/open' }, respond: { status: 200, body: 'open' }, auth: 'public' },
        {
          match: { path: '/closed' },
          respond: { status: 200, body: 'closed' },
          auth: { jwt: { issuers: [{ issuer: 'i', audience: 'api', jwks: outside.url }] }, apiKey: {} },
        },
      ],
    },
    { API_KEY_1: 'key123:user1:read' },
  );
  const token = issuer.token({ iss: 'i', aud: 'api', sub: 'a', exp: Math.floor(Date.now() / 1_000) + 60 });
  const away = await call(gateway.port, '/closed', { Authorization: `Bearer ${token}` });
  assert.equal(away.status, 503);
  assert.equal(away.headers['retry-after'], '5');
  assert.equal((await call(gateway.port, '/open')).status, 200);
  assert.equal((await call(gateway.port, '/closed', { 'X-API-Key': 'key123' })).status, 200);
  up = true;
  await eventually(async () => {
    const { status } = await call(gateway.port, '/closed', { Authorization: `Bearer ${token}` });
    return status === 200 ? true : undefined;
  });
});

test('client certificates name their holders', async (t) => {
  const authority = await Authority.create(t);
  const gatewayCert = await authority.issue('gateway', ['localhost', '127.0.0.1']);
  const billing = await authority.issue('billing', ['billing.internal']);
  const shipping = await authority.issue('shipping', ['shipping.internal']);
  const other = await authority.issue('other', ['other.internal']);
  const gateway = await startTestGateway(t, {
    gateway: {
      port: undefined,
      host: undefined,
      listeners: [
        {
          name: 'main',
          host: '127.0.0.1',
          port: 0,
          tls: {
            certificates: [{ cert: gatewayCert.cert, key: gatewayCert.key }],
            clientCertificate: 'optional',
            clientCa: join(authority.folder, 'ca.crt'),
          },
        },
      ],
    },
    routes: [
      {
        match: { path: '/*' },
        respond: { status: 200, body: 'in' },
        auth: {
          mtls: {
            certificates: [
              { subject: { CN: 'billing.internal' }, roles: 'service' },
              { san: 'DNS:shipping.internal', as: { name: 'shipping' }, roles: 'service' },
            ],
          },
        },
        authorize: { level: 'service' },
      },
    ],
  });
  const status = (certificate?: { certPem: string; keyPem: string }) =>
    new Promise<number>((resolve, reject) => {
      const identity = certificate === undefined ? {} : { cert: certificate.certPem, key: certificate.keyPem };
      const asked = httpsRequest(
        { host: '127.0.0.1', port: gateway.port, path: '/', agent: false, ca: authority.ca.certPem, ...identity },
        (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        },
      );
      asked.on('error', reject);
      asked.end();
    });
  assert.equal(await status(billing), 200);
  assert.equal(await status(shipping), 200);
  assert.equal(await status(other), 401);
  assert.equal(await status(), 401);
});

for (const { name, routes, want } of [
  {
    name: 'a route that needs authentication where nothing could give it',
    routes: [{ match: { path: '/' }, respond: { status: 200 } }],
    want: /nothing is configured that could authenticate/,
  },
  {
    name: 'a mistyped expression',
    routes: [
      {
        match: { path: '/' },
        respond: { status: 200 },
        auth: { mtls: {} },
        authorize: { owns: 'params.x = auth.sub' },
      },
    ],
    want: /unexpected "=" at character 10/,
  },
  {
    name: 'an issuer without an audience',
    routes: [
      { match: { path: '/' }, respond: { status: 200 }, auth: { jwt: { issuers: [{ issuer: 'https://a.example' }] } } },
    ],
    want: /audience/,
  },
]) {
  test(`the start is refused for ${name}`, async (t) => {
    await assert.rejects(
      startTestGateway(t, { routes }),
      (error: Error) => want.test(error.message) || assert.fail(error.message),
    );
  });
}

test('what the gateway asks of everybody who is known closes no public route', async (t) => {
  const gateway = await startTestGateway(t, {
    gateway: {
      auth: { apiKey: { keys: [{ subject: 'ada', key: 'ada-key-of-enough-characters' }] } },
      authorize: { roles: ['member'] },
    },
    services: {},
    routes: [
      { match: { path: '/open' }, respond: { status: 200, body: 'open' }, auth: 'public' },
      { match: { path: '/freed' }, respond: { status: 200, body: 'freed' }, authorize: 'off' },
      { match: { path: '/members' }, respond: { status: 200, body: 'members' } },
    ],
  });
  const status = async (path: string, key?: string): Promise<number> => {
    const answer = await fetch(`${gateway.url}${path}`, key === undefined ? {} : { headers: { 'x-api-key': key } });
    return answer.status;
  };
  assert.equal(await status('/open'), 200);
  assert.equal(await status('/health'), 200);
  assert.deepEqual([await status('/freed'), await status('/freed', 'ada-key-of-enough-characters')], [401, 200]);
  assert.deepEqual([await status('/members'), await status('/members', 'ada-key-of-enough-characters')], [401, 403]);
});
