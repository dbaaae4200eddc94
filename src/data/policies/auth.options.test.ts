import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, test } from 'node:test';
import { SigningIssuer } from '../auth/testing.ts';
import type { AuthSettings } from '../contract/auth.ts';
import type { KeyPath, OptionContext, PolicyOptionsDefinition, ProblemDetail } from '../contract/options.ts';
import { authOptions } from './auth.options.ts';
import { issuerSchema } from './auth-issuers.options.ts';
import { authorizeOptions } from './authorize.options.ts';
import type { AuthorizeSettings } from './authorize.ts';
import { corsOptions } from './cors.options.ts';
import type { CorsSettings } from './cors.ts';
import { headersOptions } from './headers.options.ts';
import { securityHeadersOptions } from './security-headers.options.ts';
import type { SecurityHeadersSettings } from './security-headers.ts';

interface Issue {
  readonly code?: string | undefined;
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly errors?: unknown;
}

/** Every complaint of every branch of a union. */
function linesOf(issues: readonly Issue[], at: readonly PropertyKey[] = []): string[] {
  return issues.flatMap((issue) => {
    const path = [...at, ...issue.path];
    if (issue.code === 'invalid_union') return (issue.errors as Issue[][]).flatMap((branch) => linesOf(branch, path));
    return [`${path.map(String).join('.')}: ${issue.message}`];
  });
}

interface Given {
  readonly env?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
  readonly document?: Readonly<Record<string, unknown>>;
  readonly path?: KeyPath;
  readonly isPublic?: boolean;
}

/** Parses and compiles one key as the configuration does, and gathers what it says. */
function compile(definition: PolicyOptionsDefinition, written: unknown, given: Given = {}) {
  const problems: string[] = [];
  const secrets: Record<string, string> = {};
  const say = (message: string, detail: ProblemDetail = {}): void => {
    problems.push(
      `${(detail.at ?? []).join('.')}: ${message}${detail.expected === undefined ? '' : ` (${detail.expected})`}`,
    );
  };
  const context: OptionContext = {
    path: given.path ?? ['routes', 0, definition.key],
    env: given.env ?? {},
    document: given.document ?? {},
    resolve: (file) => `/etc/gatehouse/${file}`,
    readText: (file, detail) => {
      const text = given.files?.[file];
      if (text === undefined) say('the file cannot be read', detail);
      return text;
    },
    secret: (id, text) => {
      secrets[`route/${id}`] = text;
      return `route/${id}`;
    },
    problem: say,
    warning: say,
  };
  const parsed = definition.schema.safeParse(written);
  if (!parsed.success) {
    problems.push(...linesOf(parsed.error.issues));
    return { policies: [], settings: undefined as never, problems, secrets };
  }
  const policies = definition.compile!(parsed.data as never, context, {
    id: 'r',
    services: [],
    isPublic: given.isPublic ?? false,
  });
  return { policies, settings: policies[0]?.options as AuthSettings, problems, secrets };
}

const SECRET = 'x'.repeat(32);
const issuers = (more: Record<string, unknown> = {}) => ({
  corp: issuerSchema.parse({ issuer: 'https://login.example', audience: 'api', ...more }),
});
const compileAuth = (written: unknown, given: Given = {}) => compile(authOptions as never, written, given);

describe('what a route offers', () => {
  test('public has no policy', () => assert.deepEqual(compileAuth('public').policies, []));

  test('a route that says nothing gets what the configuration offers', () => {
    assert.deepEqual(authOptions.whenAbsent?.(), {});
    const tokens = compileAuth({}, { env: { JWT_SECRET: SECRET } });
    assert.deepEqual(tokens.problems, []);
    assert.equal(tokens.settings.apiKey, null);
    assert.deepEqual(
      tokens.settings.jwt?.issuers.map(({ name, issuer, algorithms }) => [name, issuer, algorithms]),
      [['JWT_SECRET', null, ['HS256']]],
    );
    const keys = compileAuth({}, { env: { API_KEY_1: 'key123:user1:read,write:premium' } });
    assert.equal(keys.settings.jwt, null);
    assert.equal(keys.settings.apiKey?.askIdentity, false);
    const identity = compileAuth({}, { document: { identity: { enabled: true }, issuers: issuers() } });
    assert.deepEqual(
      identity.settings.jwt?.issuers.map(({ name }) => name),
      ['identity', 'corp'],
    );
    assert.equal(identity.settings.apiKey?.askIdentity, true);
  });

  test('where nothing could authenticate, the configuration is refused', () => {
    const { problems, policies } = compileAuth({ scopes: ['a'] });
    assert.deepEqual(policies, []);
    assert.match(problems[0] ?? '', /nothing is configured that could authenticate.*`public`/);
    assert.match(compileAuth({ jwt: {} }).problems[0] ?? '', /^jwt: nothing is configured that could verify a token/);
    assert.match(compileAuth({ apiKey: {} }).problems[0] ?? '', /^apiKey: there is no API key/);
  });

  test('methods and general things come from the gateway, requirements never do', () => {
    const gateway = authOptions.schema.parse({
      basic: { users: 'u' },
      scopes: ['wide'],
      optional: true,
      realm: 'r',
      hideCredentials: true,
    });
    const files = { u: `a:${PASSWORD}` };
    const inherited = compileAuth({ roles: ['admin'] }, { document: { gateway: { auth: gateway } }, files });
    assert.deepEqual(inherited.problems, []);
    const { settings } = inherited;
    assert.ok(settings.basic !== null);
    assert.deepEqual([settings.realm, settings.hideCredentials, settings.optional], ['r', true, false]);
    assert.deepEqual([settings.requirements.roles, settings.requirements.scopes], [['admin'], []]);
    const own = compileAuth({ jwt: {} }, { document: { gateway: { auth: gateway } }, env: { JWT_SECRET: SECRET } });
    assert.deepEqual([own.settings.basic, own.settings.realm], [null, 'r']);
  });

  test('REQUIRE_MFA asks tokens for a second factor unless the route decides', () => {
    const env = { JWT_SECRET: SECRET, REQUIRE_MFA: 'true' };
    assert.equal(compileAuth({}, { env }).settings.requirements.mfa, 'tokens');
    assert.equal(compileAuth({ mfa: false }, { env }).settings.requirements.mfa, 'off');
    assert.equal(compileAuth({ mfa: true }, { env }).settings.requirements.mfa, 'always');
    assert.equal(compileAuth({}, { env: { JWT_SECRET: SECRET } }).settings.requirements.mfa, 'off');
  });
});

const PASSWORD = `$argon2id$v=19$m=19456,t=2,p=1$${'A'.repeat(22)}$${'B'.repeat(43)}`;

describe('secrets', () => {
  test('none is in the settings, each is beside them', () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const written = {
      jwt: {
        issuers: [
          { secret: `${SECRET}-jwt`, issuer: 'a' },
          { issuer: 'b', audience: 'any', publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString() },
        ],
      },
      introspect: { url: 'https://op.example/introspect', clientId: 'gw', clientSecret: 'introspect-password' },
      apiKey: { keys: [{ key: 'the-api-key-of-somebody', subject: 's' }] },
      basic: { users: 'users' },
      external: { url: 'https://user:external-password@authz.example/check' },
      identity: { signed: { algorithm: 'ES256', key: pem } },
    };
    const { settings, problems, secrets } = compileAuth(written, {
      files: { users: `a:${PASSWORD}` },
      env: { API_KEY_2: 'environment-key:u:s' },
    });
    assert.deepEqual(problems, []);
    const text = JSON.stringify(settings);
    for (const secret of [
      SECRET,
      'introspect-password',
      'the-api-key',
      'environment-key',
      PASSWORD,
      'external-password',
      'PRIVATE KEY',
    ]) {
      assert.equal(text.includes(secret), false, secret);
    }
    assert.equal(Object.keys(secrets).length, 6);
    const keys = JSON.parse(secrets[settings.apiKey?.keys ?? ''] ?? '') as { id: string; digest: string }[];
    assert.deepEqual(
      keys.map(({ id }) => id),
      ['API_KEY_2', 'key-1'],
    );
    assert.equal(JSON.stringify(keys).includes('environment-key'), false, 'keys are kept as digests');
  });

  test('a private key among the published ones does not reach the snapshot', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const jwk = privateKey.export({ format: 'jwk' });
    const { settings, problems } = compileAuth({
      jwt: { issuers: [{ issuer: 'a', audience: 'x', jwks: { keys: [jwk] } }] },
    });
    assert.deepEqual(problems, []);
    assert.equal(JSON.stringify(settings).includes(jwk.d ?? '-'), false);
  });

  test('equal endpoints have equal ids on every route, different ones do not', () => {
    const idOf = (url: string, clientSecret: string) =>
      compileAuth({ introspect: { url, clientId: 'a', clientSecret } }).settings.introspect?.id;
    assert.equal(idOf('https://a.example/', 'x'), idOf('https://a.example/', 'x'));
    assert.notEqual(idOf('https://a.example/', 'x'), idOf('https://a.example/', 'y'));
  });
});

const jwk = new SigningIssuer('ES256', 'k').jwk;

describe('issuers', () => {
  const issuerOf = (written: Record<string, unknown>, given: Given = {}) => {
    const { settings, problems } = compileAuth({ jwt: { issuers: [written] } }, given);
    return { issuer: settings?.jwt?.issuers[0], problems: problems.join('\n') };
  };

  test('keys come from metadata unless something else is said', () => {
    const { issuer } = issuerOf({ issuer: 'https://login.example', audience: 'api' });
    assert.equal(issuer?.keys.kind === 'published' && issuer.keys.discovery, 'https://login.example');
    assert.deepEqual(issuer?.types, ['at+jwt', 'jwt', '']);
    assert.equal(issuer?.algorithms.includes('HS256'), false);
    const { issuer: byUrl } = issuerOf({ issuer: 'x', audience: 'api', jwks: 'https://login.example/keys' });
    assert.equal(byUrl?.keys.kind === 'published' && byUrl.keys.url, 'https://login.example/keys');
  });

  test('keys come from a file, in place, or from PEM with a key id', () => {
    const files = { 'keys.json': JSON.stringify({ keys: [jwk] }) };
    assert.equal(issuerOf({ issuer: 'x', audience: 'a', jwks: 'keys.json' }, { files }).issuer?.keys.kind, 'inline');
    const pem = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString();
    const { issuer } = issuerOf(
      { issuer: 'x', audience: 'a', publicKey: 'key.pem', keyId: 'k1' },
      { files: { 'key.pem': pem } },
    );
    assert.equal(issuer?.keys.kind === 'inline' && issuer.keys.keys[0]?.kid, 'k1');
  });

  for (const { name, written, want, given } of [
    { name: 'no audience', written: { issuer: 'https://a.example' }, want: /audience: must say for whom/ },
    {
      name: 'no issuer',
      written: { audience: 'x', jwks: 'https://a.example/k' },
      want: /issuer: an issuer needs its name/,
    },
    { name: 'a short secret', written: { secret: 'short' }, want: /secret: too short for HS256/ },
    {
      name: 'two kinds of keys',
      written: { issuer: 'x', secret: SECRET, jwks: { keys: [jwk] } },
      want: /jwks says already|secret/,
    },
    {
      name: 'HS256 with public keys',
      written: { issuer: 'x', audience: 'a', jwks: { keys: [jwk] }, algorithms: ['HS256'] },
      want: /HS256 and its kind need a shared secret/,
    },
    {
      name: 'ES256 with a secret',
      written: { secret: SECRET, algorithms: ['ES256'] },
      want: /signs with HS256, HS384 and HS512 only/,
    },
    { name: 'alg none', written: { secret: SECRET, algorithms: ['none'] }, want: /algorithms.0/ },
    {
      name: 'metadata of a name that is no URL',
      written: { issuer: 'corp', audience: 'a' },
      want: /metadata cannot be fetched/,
    },
    {
      name: 'plain http',
      written: { issuer: 'http://login.example', audience: 'a' },
      want: /plain http to another machine/,
    },
    {
      name: 'keys over plain http',
      written: { issuer: 'x', audience: 'a', jwks: 'http://login.example/k' },
      want: /plain http/,
    },
    {
      name: 'a file that is no set',
      written: { issuer: 'x', audience: 'a', jwks: 'f' },
      want: /not a JWK set/,
      given: { files: { f: '{}' } },
    },
    {
      name: 'a file that is no JSON',
      written: { issuer: 'x', audience: 'a', jwks: 'f' },
      want: /not JSON/,
      given: { files: { f: '<html>' } },
    },
    { name: 'a missing file', written: { issuer: 'x', audience: 'a', jwks: 'f' }, want: /cannot be read/ },
    {
      name: 'a weak key',
      written: { issuer: 'x', audience: 'a', jwks: { keys: [{ kty: 'RSA', n: 'AQAB', e: 'AQAB' }] } },
      want: /RSA|valid key/,
    },
    {
      name: 'a symmetric key in a set',
      written: { issuer: 'x', audience: 'a', jwks: { keys: [{ kty: 'oct', k: 'AAAA' }] } },
      want: /no allowed algorithm/,
    },
    {
      name: 'no PEM',
      written: { issuer: 'x', audience: 'a', publicKey: '-----BEGIN nonsense' },
      want: /not a public key in PEM/,
    },
    { name: 'a longer leeway than five minutes', written: { secret: SECRET, leeway: '6m' }, want: /leeway/ },
  ] as readonly { name: string; written: Record<string, unknown>; want: RegExp; given?: Given }[]) {
    test(`refuses ${name}`, () => assert.match(issuerOf(written, given).problems, want));
  }

  test('are named, and a wrong name is told from the right ones', () => {
    const document = { issuers: issuers() };
    assert.equal(compileAuth({ jwt: { issuers: ['corp'] } }, { document }).settings.jwt?.issuers[0]?.name, 'corp');
    const problemIn = (inDocument: object): string =>
      compileAuth({ jwt: { issuers: ['crop'] } }, { document: { ...document, ...inDocument } }).problems[0] ?? '';
    assert.match(problemIn({}), /jwt.issuers.0: there is no such issuer \(one of corp\)/);
    assert.match(problemIn({ identity: { enabled: true } }), /there is no such issuer \(one of identity, corp\)/);
    assert.match(compileAuth({ jwt: { issuers: ['identity'] } }, { document }).problems[0] ?? '', /not enabled/);
  });

  test('a route can ask for its own audience', () => {
    const { settings } = compileAuth(
      { jwt: { audience: 'orders' } },
      { document: { identity: { enabled: true }, issuers: issuers() } },
    );
    assert.deepEqual(
      settings.jwt?.issuers.map(({ audiences }) => audiences),
      [['orders'], ['orders']],
    );
  });

  test('two that take the same tokens are refused', () => {
    const twice = { jwt: { issuers: [{ secret: SECRET }, { secret: `${SECRET}2` }] } };
    assert.match(compileAuth(twice).problems[0] ?? '', /takes the same tokens/);
  });

  test('JWT_SECRET is the identity service’s where that runs', () => {
    const { settings } = compileAuth({}, { env: { JWT_SECRET: SECRET }, document: { identity: { enabled: true } } });
    assert.deepEqual(
      settings.jwt?.issuers.map(({ name }) => name),
      ['identity'],
    );
    assert.match(compileAuth({}, { env: { JWT_SECRET: 'short' } }).problems[0] ?? '', /JWT_SECRET is too short/);
  });
});

describe('other methods', () => {
  for (const { name, written, want, given } of [
    {
      name: 'a broken API_KEY_n, without its value',
      written: { apiKey: {} },
      given: { env: { API_KEY_1: 'only-a-key' } },
      want: /^apiKey: API_KEY_1 must read key:user/,
    },
    {
      name: 'one key for two',
      written: {
        apiKey: {
          keys: [
            { key: 'k'.repeat(16), subject: 'a' },
            { key: 'k'.repeat(16), subject: 'b' },
          ],
        },
      },
      want: /stands for two callers/,
    },
    {
      name: 'a user file with clear passwords',
      written: { basic: { users: 'u' } },
      given: { files: { u: 'a:password' } },
      want: /^basic.users: line 1: the hash/,
    },
    {
      name: 'certificates where no listener asks for them',
      written: { mtls: {} },
      want: /no listener asks for client certificates/,
    },
    {
      name: 'an authorizer over plain http',
      written: { external: { url: 'http://authz.example' } },
      want: /plain http/,
    },
    {
      name: 'an authorizer that says who the gateway says',
      written: { external: { url: 'https://a.example', copyHeaders: ['X-Auth-Subject'] } },
      want: /writes this field itself/,
    },
    {
      name: 'a name without password at the endpoint',
      written: { introspect: { url: 'https://a.example', clientId: 'x' } },
      want: /go together/,
    },
    { name: 'a cache of a minute', written: { jwt: { cacheTtl: '1m' } }, want: /cacheTtl/ },
    { name: 'a scope with a quote', written: { jwt: {}, scopes: ['a"b'] }, want: /scopes/ },
    { name: 'a realm with a quote', written: { realm: 'a"b' }, want: /realm/ },
    { name: 'an unknown key', written: { jtw: {} }, want: /[Uu]nrecognized|jtw/ },
    {
      name: 'a signed identity without a key',
      written: { jwt: {}, identity: { signed: { algorithm: 'ES256' } } },
      want: /ES256 needs a key/,
    },
  ] as readonly { name: string; written: Record<string, unknown>; want: RegExp; given?: Given }[]) {
    test(`refuses ${name}`, () => {
      const { problems } = compileAuth(written, given);
      assert.match(problems.join('\n'), want);
      assert.doesNotMatch(problems.join('\n'), /only-a-key|a:password/);
    });
  }

  test('certificates: rules, or any certificate by its common name', () => {
    const document = { gateway: { listeners: [{ tls: { clientCertificate: 'required' } }] } };
    const any = compileAuth({ mtls: {} }, { document }).settings.mtls;
    assert.deepEqual(any?.rules, [
      {
        subject: {},
        fingerprints: [],
        alternativeNames: [],
        identity: { from: 'cn' },
        roles: [],
        scopes: [],
        plan: null,
      },
    ]);
    const fingerprint = 'AB:'.repeat(31).concat('AB');
    const written = {
      mtls: {
        certificates: [{ subject: { CN: 'x' }, fingerprint, san: 'DNS:x', as: { name: 'billing' }, roles: 'service' }],
      },
    };
    const [rule] = compileAuth(written, { document }).settings.mtls?.rules ?? [];
    assert.deepEqual(rule?.fingerprints, ['ab'.repeat(32)]);
    assert.deepEqual([rule?.identity, rule?.roles], [{ fixed: 'billing' }, ['service']]);
  });
});

describe('authorize', () => {
  const compileAuthorize = (written: unknown, given: Given = {}) => compile(authorizeOptions as never, written, given);

  test('compiles claims, hours and expressions', () => {
    const written = {
      claims: { tenant: 'acme', 'org.tier': ['gold', 1] },
      owns: 'params.userId == auth.sub',
      hours: { spans: { days: ['mon', 'fri'], from: '07:00', to: '20:30' }, timeZone: 'Europe/Berlin' },
      topics: 'Horror',
    };
    const { policies, problems } = compileAuthorize(written);
    assert.deepEqual(problems, []);
    const settings = policies[0]?.options as AuthorizeSettings;
    assert.deepEqual(settings.claims, [
      { paths: [['tenant']], values: ['acme'] },
      { paths: [['org.tier'], ['org', 'tier']], values: ['gold', 1] },
    ]);
    assert.deepEqual(settings.hours, {
      timeZone: 'Europe/Berlin',
      for: 'children',
      spans: [{ days: [1, 5], from: 420, to: 1_230 }],
    });
    assert.deepEqual([settings.level, settings.topics, settings.unknownAge], ['user', ['horror'], 'refuse']);
  });

  for (const { name, written, want, given } of [
    {
      name: 'a mistyped expression',
      written: { owns: 'params.id = auth.sub' },
      want: /owns: unexpected "=" at character 11/,
    },
    { name: 'an unknown path', written: { when: 'user.id == 1' }, want: /"user.id" is not known/ },
    {
      name: 'a span that ends before it begins',
      written: { hours: { spans: { from: '20:00', to: '07:00' } } },
      want: /not after from/,
    },
    {
      name: 'a time zone that is none',
      written: { hours: { spans: { from: '07:00', to: '20:00' }, timeZone: 'Mars/Base' } },
      want: /not a time zone/,
    },
    {
      name: 'a public route',
      written: {},
      given: { isPublic: true },
      want: /a public route knows no caller/,
    },
    { name: 'a missing function', written: { function: { file: 'check.ts' } }, want: /cannot be read/ },
  ] as readonly { name: string; written: Record<string, unknown>; want: RegExp; given?: Given }[]) {
    test(`refuses ${name}`, () => assert.match(compileAuthorize(written, given).problems.join('\n'), want));
  }

  test('of the gateway or a service is not asked on a public route, unless it asks for nobody', () => {
    for (const path of [
      ['gateway', 'authorize'],
      ['services', 'stories', 'authorize'],
    ]) {
      const { policies, problems } = compileAuthorize({ roles: ['member'] }, { isPublic: true, path });
      assert.deepEqual([policies, problems], [[], []]);
    }
    const open = { level: 'public', when: "request.method == 'GET'" };
    assert.equal(compileAuthorize(open, { isPublic: true, path: ['gateway', 'authorize'] }).policies.length, 1);
  });
});

describe('cors', () => {
  const problemsOf = (written: unknown) => compile(corsOptions as never, written).problems.join('\n');

  for (const site of [
    'https://app.example',
    'http://localhost:3000',
    'https://*.example.com',
    'http://[::1]:8080',
    '*',
  ]) {
    test(`takes ${site}`, () => assert.equal(problemsOf({ origins: site }), ''));
  }
  for (const site of [
    'https://app.example/',
    'app.example',
    'https://App.example',
    'https://*',
    'https://a.*.example',
    'null',
    'ftp://x',
    '',
  ]) {
    test(`refuses ${JSON.stringify(site)}`, () => assert.notEqual(problemsOf({ origins: site }), ''));
  }

  test('any site together with credentials is refused', () => {
    assert.match(problemsOf({ origins: '*', credentials: true }), /every page act as its visitor/);
  });

  test('compiles to seconds and lower case', () => {
    const { policies } = compile(corsOptions as never, {
      origins: 'https://a.example',
      methods: 'get',
      headers: 'X-A',
      maxAge: '1h',
    });
    const settings = policies[0]?.options as CorsSettings;
    assert.deepEqual([settings.methods, settings.headers, settings.maxAgeSeconds], [['GET'], ['x-a'], 3_600]);
  });
});

describe('headers', () => {
  const compileHeaders = (written: unknown) => compile(headersOptions as never, written);

  for (const { name, written } of [
    { name: 'framing', written: { request: { set: { 'Content-Length': '1' } } } },
    { name: 'framing of the answer', written: { response: { remove: ['Transfer-Encoding'] } } },
    { name: 'who the caller is', written: { request: { set: { 'X-Auth-Subject': 'root' } } } },
    { name: 'who the caller is, with underscores', written: { request: { set: { X_Auth_Subject: 'root' } } } },
    { name: 'where the request came from', written: { request: { remove: ['X-Forwarded-For'] } } },
    { name: 'a new name that is reserved', written: { request: { rename: { 'X-User': 'X-Auth-Subject' } } } },
    { name: 'a line end', written: { response: { set: { 'X-A': 'a\r\nb' } } } },
    { name: 'a placeholder that is unknown', written: { request: { set: { 'X-A': '{nothing}' } } } },
    { name: 'a name with a blank', written: { response: { set: { 'X A': 'b' } } } },
  ]) {
    test(`refuses ${name}`, () => assert.notDeepEqual(compileHeaders(written).problems, []));
  }

  test('takes names in any case', () => {
    const written = {
      request: { rename: { 'X-Old': 'X-New' }, remove: 'X-B', set: { 'X-A': '{request.id}' } },
      response: { add: { Link: 'x' } },
    };
    assert.deepEqual(compileHeaders(written).policies[0]?.options, {
      request: { rename: { 'x-old': 'X-New' }, remove: ['x-b'], set: { 'X-A': '{request.id}' }, add: {} },
      response: { rename: {}, remove: [], set: {}, add: { Link: 'x' } },
    });
  });
});

test('securityHeaders: good ones by default, each can be changed or left out', () => {
  const defaults = compile(securityHeadersOptions as never, {}).policies[0]?.options;
  assert.deepEqual(defaults, {
    set: {
      'X-Content-Type-Options': 'nosniff',
      'X-Frame-Options': 'DENY',
      'Referrer-Policy': 'strict-origin-when-cross-origin',
      'Cross-Origin-Opener-Policy': 'same-origin',
    },
    strictTransport: 'max-age=31536000; includeSubDomains',
    remove: ['server', 'x-powered-by'],
    override: false,
  });
  const changed = { strictTransportSecurity: 'off', frameOptions: 'off', contentSecurityPolicy: "default-src 'none'" };
  const { set, strictTransport } = compile(securityHeadersOptions as never, changed).policies[0]!
    .options as SecurityHeadersSettings;
  assert.equal(strictTransport, null);
  assert.equal(set['X-Frame-Options'], undefined);
  assert.equal(set['Content-Security-Policy'], "default-src 'none'");
});
