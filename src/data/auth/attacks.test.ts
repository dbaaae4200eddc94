/**
 * The table of attacks on tokens. Each row is run against the whole `auth` policy, as a request would meet it, and must
 * end in one and the same 401; the log's `cause` shows that it was refused for the reason meant, not by luck. A token
 * that differs only in the attack passes first.
 */
import assert from 'node:assert/strict';
import { createHmac, createPublicKey, sign } from 'node:crypto';
import { describe, test } from 'node:test';
import { FakeClock } from '../../base/clock.ts';
import { FAULTS, Fault } from '../../base/errors.ts';
import { auth } from '../policies/auth.ts';
import { createPolicy, RecordingExchange, runRequestPhases, testEnvironment } from '../policies/testing.ts';
import type { TokenProblem } from './jwt/jwt.ts';
import { authSettings, encodePart, issuerSettings, jwtSettings, SigningIssuer, secretToken } from './testing.ts';

const NOW = Math.floor(Date.UTC(2026, 0, 1) / 1_000);
const honest = new SigningIssuer('ES256', 'ec');
const rsa = new SigningIssuer('RS256', 'rsa');
const edwards = new SigningIssuer('EdDSA', 'ed');
const stranger = new SigningIssuer('ES256', 'ec');
const otherIssuer = new SigningIssuer('ES256', 'other');
const SECRET = 'a secret that is long enough for HS256';

const claims = {
  iss: 'https://issuer.example',
  aud: 'api',
  sub: 'alice',
  iat: NOW,
  exp: NOW + 300,
  scope: 'projects:read',
};

const environment = testEnvironment({ clock: new FakeClock(NOW * 1_000), secrets: { shared: SECRET } });
const hooks = createPolicy(
  auth,
  authSettings({
    jwt: jwtSettings(
      [
        issuerSettings({ keys: { kind: 'inline', keys: [honest.jwk, rsa.jwk, edwards.jwk] } }),
        issuerSettings({
          name: 'other',
          issuer: 'https://other.example',
          keys: { kind: 'inline', keys: [otherIssuer.jwk] },
        }),
        issuerSettings({
          name: 'shared',
          issuer: 'https://shared.example',
          algorithms: ['HS256'],
          keys: { kind: 'secret', secret: 'shared', kid: 'hs' },
        }),
      ],
      // Every token is judged anew, so that no row passes or fails by what an earlier one left behind.
      { cacheEntries: 0 },
    ),
  }),
  environment,
);

async function call(token: string): Promise<{ outcome: unknown; exchange: RecordingExchange }> {
  const exchange = new RecordingExchange({ headers: { authorization: `Bearer ${token}` } });
  return { outcome: await runRequestPhases(hooks, exchange), exchange };
}

/** Order of the P-256 group. */
const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
/** Order of the Ed25519 base point. */
const ED25519_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

const bytesOf = (value: bigint): Buffer => Buffer.from(value.toString(16).padStart(64, '0'), 'hex');
const numberOf = (bytes: Buffer): bigint => BigInt(`0x${bytes.toString('hex')}`);

/** The honest token with another signature. */
function withSignature(change: (signature: Buffer, input: string) => Buffer, by: SigningIssuer = honest): string {
  const token = by.token(claims);
  const end = token.lastIndexOf('.');
  const input = token.slice(0, end);
  return `${input}.${change(Buffer.from(token.slice(end + 1), 'base64url'), input).toString('base64url')}`;
}

/** Header text and payload text as they are, signed by the honest issuer. */
function rawToken(header: string, payload: string, by: SigningIssuer = honest): string {
  const input = `${encodePart(header)}.${encodePart(payload)}`;
  return `${input}.${by.signature(input).toString('base64url')}`;
}

const goodHeader = JSON.stringify({ alg: 'ES256', typ: 'JWT', kid: 'ec' });
const goodPayload = JSON.stringify(claims);
const publicPem = rsa.publicKey.export({ format: 'pem', type: 'spki' }).toString();
const publicDer = rsa.publicKey.export({ format: 'der', type: 'spki' });
const [goodHead = '', goodBody = '', goodSignature = ''] = honest.token(claims).split('.');

function hmacWith(key: string | Buffer, header: Record<string, unknown>): string {
  const input = `${encodePart(header)}.${encodePart(claims)}`;
  return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`;
}

interface Attack {
  readonly name: string;
  readonly token: string;
  readonly cause: TokenProblem;
}

const attacks: readonly Attack[] = [
  // RFC 8725 §2.1, §3.1, §3.2: the algorithm
  { name: 'alg none, no signature', token: `${encodePart({ alg: 'none' })}.${goodBody}.`, cause: 'bad_algorithm' },
  { name: 'alg none, with signature', token: honest.token(claims, { alg: 'none' }), cause: 'bad_algorithm' },
  { name: 'alg NoNe', token: honest.token(claims, { alg: 'NoNe' }), cause: 'bad_algorithm' },
  { name: 'alg missing', token: honest.token(claims, { alg: undefined }), cause: 'bad_algorithm' },
  { name: 'alg null', token: honest.token(claims, { alg: null }), cause: 'bad_algorithm' },
  { name: 'alg a list', token: honest.token(claims, { alg: ['ES256'] }), cause: 'bad_algorithm' },
  { name: 'alg in lower case', token: honest.token(claims, { alg: 'es256' }), cause: 'bad_algorithm' },
  { name: 'alg of the prototype', token: honest.token(claims, { alg: 'constructor' }), cause: 'bad_algorithm' },
  { name: 'alg ES512, unknown here', token: honest.token(claims, { alg: 'ES512' }), cause: 'bad_algorithm' },
  {
    name: 'key confusion: HS256 keyed with the RSA public key, PEM',
    token: hmacWith(publicPem, { alg: 'HS256', typ: 'JWT', kid: 'rsa' }),
    cause: 'bad_algorithm',
  },
  {
    name: 'key confusion: HS256 keyed with the RSA public key, DER',
    token: hmacWith(publicDer, { alg: 'HS256', typ: 'JWT', kid: 'rsa' }),
    cause: 'bad_algorithm',
  },
  {
    name: 'key confusion: HS256 keyed with the JWK text',
    token: hmacWith(JSON.stringify(honest.jwk), { alg: 'HS256', typ: 'JWT', kid: 'ec' }),
    cause: 'bad_algorithm',
  },
  {
    name: 'HS256 secret used where ES256 is pinned to the kid',
    token: hmacWith(SECRET, { alg: 'HS256', typ: 'JWT', kid: 'ec' }),
    cause: 'bad_algorithm',
  },
  { name: 'PS256 under a key pinned to RS256', token: rsa.token(claims, { alg: 'PS256' }), cause: 'unknown_key' },
  { name: 'RS256 under an EC kid', token: rsa.token(claims, { kid: 'ec' }), cause: 'unknown_key' },
  { name: 'ES256 under an RSA kid', token: honest.token(claims, { kid: 'rsa' }), cause: 'unknown_key' },
  { name: 'EdDSA under an EC kid', token: edwards.token(claims, { kid: 'ec' }), cause: 'unknown_key' },
  { name: 'ES384 header over an ES256 signature', token: honest.token(claims, { alg: 'ES384' }), cause: 'unknown_key' },

  // keys
  { name: 'kid that nobody has', token: honest.token(claims, { kid: 'nobody' }), cause: 'unknown_key' },
  { name: 'kid with a path', token: honest.token(claims, { kid: '../../../../dev/null' }), cause: 'unknown_key' },
  { name: 'kid with SQL', token: honest.token(claims, { kid: "ec' OR '1'='1" }), cause: 'unknown_key' },
  { name: 'kid of the prototype', token: honest.token(claims, { kid: '__proto__' }), cause: 'unknown_key' },
  { name: 'kid a number', token: honest.token(claims, { kid: 1 }), cause: 'bad_header' },
  { name: 'kid of 10,000 characters', token: honest.token(claims, { kid: 'k'.repeat(5_000) }), cause: 'bad_header' },
  { name: 'signed by a stranger with the same kid', token: stranger.token(claims), cause: 'bad_signature' },
  { name: 'jku', token: honest.token(claims, { jku: 'https://attacker.example/keys' }), cause: 'unsupported_header' },
  { name: 'x5u', token: honest.token(claims, { x5u: 'https://attacker.example/cert' }), cause: 'unsupported_header' },
  { name: 'x5c', token: honest.token(claims, { x5c: ['MIIB'] }), cause: 'unsupported_header' },
  {
    name: 'jwk: the attacker brings the key along',
    token: stranger.token(claims, { jwk: stranger.jwk }),
    cause: 'unsupported_header',
  },
  { name: "another issuer's key and kid", token: otherIssuer.token(claims), cause: 'unknown_key' },
  {
    name: "another issuer's key under our kid",
    token: new SigningIssuer('ES256', 'ec').token(claims),
    cause: 'bad_signature',
  },
  {
    name: 'HS256 of a secret issuer under the wrong kid',
    token: secretToken(SECRET, { ...claims, iss: 'https://shared.example' }, { kid: 'other' }),
    cause: 'unknown_key',
  },
  {
    name: 'HS256 with the wrong secret',
    token: secretToken(`${SECRET}!`, { ...claims, iss: 'https://shared.example' }, { kid: 'hs' }),
    cause: 'bad_signature',
  },
  {
    name: 'HS256 with an empty secret',
    token: secretToken('', { ...claims, iss: 'https://shared.example' }, { kid: 'hs' }),
    cause: 'bad_signature',
  },

  // header parameters
  { name: 'crit with a name', token: honest.token(claims, { crit: ['exp'], exp: NOW }), cause: 'critical_header' },
  { name: 'crit empty', token: honest.token(claims, { crit: [] }), cause: 'critical_header' },
  { name: 'crit null', token: honest.token(claims, { crit: null }), cause: 'critical_header' },
  { name: 'b64 false (RFC 7797)', token: honest.token(claims, { b64: false }), cause: 'unsupported_header' },
  { name: 'zip', token: honest.token(claims, { zip: 'DEF' }), cause: 'unsupported_header' },
  { name: 'enc', token: honest.token(claims, { enc: 'A128GCM' }), cause: 'unsupported_header' },
  { name: 'typ of an ID token endpoint', token: honest.token(claims, { typ: 'logout+jwt' }), cause: 'bad_type' },
  { name: 'typ dpop+jwt', token: honest.token(claims, { typ: 'application/dpop+jwt' }), cause: 'bad_type' },
  { name: 'typ a number', token: honest.token(claims, { typ: 7 }), cause: 'bad_type' },
  { name: 'cty JWT: a nested token', token: honest.token(claims, { cty: 'JWT' }), cause: 'bad_type' },

  // claims
  {
    name: 'swapped claims: the payload of another token',
    token: `${goodHead}.${encodePart({ ...claims, sub: 'root' })}.${goodSignature}`,
    cause: 'bad_signature',
  },
  { name: 'expired', token: honest.token({ ...claims, exp: NOW - 60 }), cause: 'expired' },
  {
    name: 'expired this very second, leeway included',
    token: honest.token({ ...claims, exp: NOW - 5 }),
    cause: 'expired',
  },
  { name: 'no exp', token: honest.token({ ...claims, exp: undefined }), cause: 'bad_claims' },
  { name: 'exp a text', token: honest.token({ ...claims, exp: String(NOW + 300) }), cause: 'bad_payload' },
  { name: 'exp null', token: honest.token({ ...claims, exp: null }), cause: 'bad_payload' },
  {
    name: 'exp beyond numbers',
    token: rawToken(goodHeader, goodPayload.replace(/"exp":\d+/, '"exp":1e999')),
    cause: 'bad_payload',
  },
  { name: 'exp negative', token: honest.token({ ...claims, exp: -1 }), cause: 'bad_payload' },
  { name: 'nbf in the future', token: honest.token({ ...claims, nbf: NOW + 60 }), cause: 'not_yet_valid' },
  { name: 'nbf a text', token: honest.token({ ...claims, nbf: '0' }), cause: 'bad_payload' },
  { name: 'another audience', token: honest.token({ ...claims, aud: 'billing' }), cause: 'wrong_audience' },
  { name: 'audience in another case', token: honest.token({ ...claims, aud: 'API' }), cause: 'wrong_audience' },
  { name: 'audience list without us', token: honest.token({ ...claims, aud: ['a', 'b'] }), cause: 'wrong_audience' },
  { name: 'audience list empty', token: honest.token({ ...claims, aud: [] }), cause: 'wrong_audience' },
  { name: 'audience an object', token: honest.token({ ...claims, aud: { api: 1 } }), cause: 'bad_payload' },
  { name: 'no audience', token: honest.token({ ...claims, aud: undefined }), cause: 'wrong_audience' },
  {
    name: 'an issuer that is not ours',
    token: honest.token({ ...claims, iss: 'https://evil.example' }),
    cause: 'unknown_issuer',
  },
  {
    name: 'our issuer with a slash',
    token: honest.token({ ...claims, iss: `${claims.iss}/` }),
    cause: 'unknown_issuer',
  },
  { name: 'no issuer', token: honest.token({ ...claims, iss: undefined }), cause: 'unknown_issuer' },
  { name: 'issuer a list', token: honest.token({ ...claims, iss: [claims.iss] }), cause: 'bad_payload' },
  {
    name: "a good token of another issuer's key in our name",
    token: otherIssuer.token({ ...claims, iss: claims.iss }, { kid: 'ec' }),
    cause: 'bad_signature',
  },
  { name: 'no subject', token: honest.token({ ...claims, sub: undefined }), cause: 'bad_claims' },
  { name: 'subject empty', token: honest.token({ ...claims, sub: '' }), cause: 'bad_claims' },
  { name: 'subject a number', token: honest.token({ ...claims, sub: 1 }), cause: 'bad_payload' },
  {
    name: 'subject with a lone surrogate',
    token: rawToken(goodHeader, goodPayload.replace('alice', '\\ud800')),
    cause: 'bad_payload',
  },
  { name: 'bound to a DPoP key', token: honest.token({ ...claims, cnf: { jkt: 'x' } }), cause: 'wrong_binding' },
  {
    name: 'bound to a certificate that the caller does not hold',
    token: honest.token({ ...claims, cnf: { 'x5t#S256': Buffer.alloc(32).toString('base64url') } }),
    cause: 'wrong_binding',
  },

  // form
  { name: 'oversized', token: honest.token({ ...claims, pad: 'x'.repeat(8_192) }), cause: 'oversized' },
  { name: 'truncated by one character', token: honest.token(claims).slice(0, -1), cause: 'bad_base64' },
  { name: 'a signature cut short', token: withSignature((s) => s.subarray(0, 61)), cause: 'bad_signature' },
  { name: 'no signature part', token: `${goodHead}.${goodBody}`, cause: 'malformed' },
  { name: 'empty signature', token: `${goodHead}.${goodBody}.`, cause: 'bad_signature' },
  { name: 'empty header', token: `.${goodBody}.${goodSignature}`, cause: 'malformed' },
  { name: 'empty payload', token: `${goodHead}..${goodSignature}`, cause: 'bad_payload' },
  { name: 'a fourth part', token: `${goodHead}.${goodBody}.${goodSignature}.x`, cause: 'malformed' },
  { name: 'five parts, a JWE', token: 'a.b.c.d.e', cause: 'malformed' },
  { name: 'only dots', token: '..', cause: 'malformed' },
  { name: 'no token after the scheme', token: '', cause: 'malformed' },
  { name: 'two tokens', token: `${honest.token(claims)}, ${honest.token(claims)}`, cause: 'malformed' },
  { name: 'JSON serialisation', token: '{"payload":"e30","signatures":[]}', cause: 'malformed' },
  { name: 'padding', token: `${goodHead}.${goodBody}.${goodSignature}==`, cause: 'bad_base64' },
  {
    name: 'base64 instead of base64url',
    token: `${goodHead}.${goodBody}.${goodSignature.slice(0, -1)}+`,
    cause: 'bad_base64',
  },
  { name: 'a line feed inside', token: `${goodHead}.${goodBody}.\n${goodSignature}`, cause: 'malformed' },
  { name: 'a NUL inside', token: `${goodHead}.${goodBody}.\0${goodSignature}`, cause: 'bad_base64' },
  { name: 'spare bits set in the signature', token: withSpareBits(goodSignature), cause: 'bad_base64' },
  {
    name: 'duplicate alg in the header',
    token: rawToken('{"alg":"ES256","kid":"ec","alg":"none"}', goodPayload),
    cause: 'bad_header',
  },
  {
    name: 'duplicate kid, once escaped',
    token: rawToken('{"alg":"ES256","kid":"ec","\\u006bid":"rsa"}', goodPayload),
    cause: 'bad_header',
  },
  {
    name: 'duplicate sub in the payload',
    token: rawToken(goodHeader, goodPayload.replace('"sub":"alice"', '"sub":"alice","sub":"root"')),
    cause: 'bad_payload',
  },
  { name: 'header a list', token: rawToken('["ES256"]', goodPayload), cause: 'bad_header' },
  { name: 'header not JSON', token: rawToken("{'alg':'ES256'}", goodPayload), cause: 'bad_header' },
  { name: 'header with a byte order mark', token: rawToken(`\ufeff${goodHeader}`, goodPayload), cause: 'bad_header' },
  { name: 'payload null', token: rawToken(goodHeader, 'null'), cause: 'bad_payload' },
  { name: 'payload with text after it', token: rawToken(goodHeader, `${goodPayload} {}`), cause: 'bad_payload' },
  { name: 'payload not UTF-8', token: notUtf8(), cause: 'bad_payload' },

  // ECDSA and EdDSA signatures
  { name: 'ECDSA r = s = 0', token: withSignature(() => Buffer.alloc(64)), cause: 'bad_signature' },
  {
    name: 'ECDSA r = 0',
    token: withSignature((s) => Buffer.concat([Buffer.alloc(32), s.subarray(32)])),
    cause: 'bad_signature',
  },
  {
    name: 'ECDSA s = 0',
    token: withSignature((s) => Buffer.concat([s.subarray(0, 32), Buffer.alloc(32)])),
    cause: 'bad_signature',
  },
  {
    name: 'ECDSA r = s = 1',
    token: withSignature(() => Buffer.concat([bytesOf(1n), bytesOf(1n)])),
    cause: 'bad_signature',
  },
  {
    name: 'ECDSA r = s = n',
    token: withSignature(() => Buffer.concat([bytesOf(P256_ORDER), bytesOf(P256_ORDER)])),
    cause: 'bad_signature',
  },
  { name: 'ECDSA r and s of all ones', token: withSignature(() => Buffer.alloc(64, 0xff)), cause: 'bad_signature' },
  {
    name: 'ECDSA signature in DER',
    token: withSignature((_, input) => sign('sha256', Buffer.from(input), honest.privateKey)),
    cause: 'bad_signature',
  },
  {
    name: 'ECDSA signature with a byte more',
    token: withSignature((s) => Buffer.concat([s, Buffer.alloc(1)])),
    cause: 'bad_signature',
  },
  {
    name: 'ECDSA signature with zeros in front',
    token: withSignature((s) => Buffer.concat([Buffer.alloc(2), s])),
    cause: 'bad_signature',
  },
  {
    name: 'ECDSA halves swapped',
    token: withSignature((s) => Buffer.concat([s.subarray(32), s.subarray(0, 32)])),
    cause: 'bad_signature',
  },
  {
    name: 'ECDSA r negated',
    token: withSignature((s) => Buffer.concat([bytesOf(P256_ORDER - numberOf(s.subarray(0, 32))), s.subarray(32)])),
    cause: 'bad_signature',
  },
  { name: 'ECDSA s flipped in one bit', token: withSignature(flipLastBit), cause: 'bad_signature' },
  { name: 'RSA signature flipped in one bit', token: withSignature(flipLastBit, rsa), cause: 'bad_signature' },
  {
    name: 'RSA signature with a zero in front',
    token: withSignature((s) => Buffer.concat([Buffer.alloc(1), s]), rsa),
    cause: 'bad_signature',
  },
  { name: 'RSA signature of zeros', token: withSignature((s) => Buffer.alloc(s.length), rsa), cause: 'bad_signature' },
  { name: 'EdDSA malleable: s + order', token: withSignature(addOrder, edwards), cause: 'bad_signature' },
  { name: 'EdDSA of zeros', token: withSignature(() => Buffer.alloc(64), edwards), cause: 'bad_signature' },
];

function withSpareBits(signature: string): string {
  // 64 bytes end in two characters of which the last has four spare bits.
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const last = alphabet.indexOf(signature.at(-1) ?? '');
  return `${goodHead}.${goodBody}.${signature.slice(0, -1)}${alphabet[last + 1]}`;
}

function notUtf8(): string {
  const payload = Buffer.concat([Buffer.from('{"sub":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]);
  const input = `${goodHead}.${payload.toString('base64url')}`;
  return `${input}.${honest.signature(input).toString('base64url')}`;
}

function flipLastBit(signature: Buffer): Buffer {
  const flipped = Buffer.from(signature);
  flipped[flipped.length - 1]! ^= 1;
  return flipped;
}

function addOrder(signature: Buffer): Buffer {
  const s = numberOf(Buffer.from(signature.subarray(32)).reverse());
  return Buffer.concat([signature.subarray(0, 32), bytesOf(s + ED25519_ORDER).reverse()]);
}

test('the honest tokens pass', async () => {
  for (const [issuer, name] of [
    [honest, 'ES256'],
    [rsa, 'RS256'],
    [edwards, 'EdDSA'],
  ] as const) {
    const { outcome, exchange } = await call(issuer.token(claims));
    assert.equal(outcome, undefined, name);
    assert.equal(exchange.identity?.subject, 'alice');
  }
  const shared = secretToken(SECRET, { ...claims, iss: 'https://shared.example' }, { kid: 'hs' });
  assert.equal((await call(shared)).outcome, undefined, 'HS256');
  const other = otherIssuer.token({ ...claims, iss: 'https://other.example' });
  assert.equal((await call(other)).outcome, undefined, 'the other issuer');
  for (const payload of [
    { ...claims, exp: NOW - 4 },
    { ...claims, nbf: NOW + 5 },
    { ...claims, aud: ['x', 'api'] },
  ]) {
    assert.equal((await call(honest.token(payload))).outcome, undefined, JSON.stringify(payload));
  }
  for (const typ of ['JWT', 'jwt', 'at+jwt', 'application/at+jwt', undefined]) {
    assert.equal((await call(honest.token(claims, { typ }))).outcome, undefined, `typ ${typ}`);
  }
});

describe('attacks', () => {
  const bodies = new Set<string>();
  for (const { name, token, cause } of attacks) {
    test(`refuses ${name}`, async () => {
      const { outcome, exchange } = await call(token);
      assert.ok(outcome instanceof Fault, 'the request went through');
      assert.equal(outcome.cause, cause);
      assert.equal(outcome.kind, FAULTS.invalidCredentials);
      assert.equal(exchange.identity, null);
      // What the caller sees: everything of the fault but its cause.
      const { cause: _, ...visible } = outcome;
      bodies.add(JSON.stringify(visible));
    });
  }

  test('all of them get the same answer', () => {
    assert.equal(bodies.size, 1);
    assert.match([...bodies][0] ?? '', /Bearer realm=\\"test\\", error=\\"invalid_token\\"/);
  });
});

test('accepts both ECDSA signatures (s and n - s): half of all honest ones are the high form, RFC 7518 §3.4 bounds neither', async () => {
  for (let round = 0; round < 8; round++) {
    const twin = withSignature((s) =>
      Buffer.concat([s.subarray(0, 32), bytesOf(P256_ORDER - numberOf(s.subarray(32)))]),
    );
    assert.equal((await call(twin)).outcome, undefined);
  }
});

test('a key that is not on the curve is refused when it is published, not when it is used', () => {
  const jwk = honest.publicKey.export({ format: 'jwk' });
  assert.throws(() => createPublicKey({ key: { ...jwk, y: jwk.x! }, format: 'jwk' }));
});

test('no change of one character, anywhere in a token, passes', async () => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.';
  for (const issuer of [honest, edwards]) {
    const token = issuer.token(claims);
    for (let at = 0; at < token.length; at++) {
      const char = alphabet[(alphabet.indexOf(token[at]!) + 1 + (at % (alphabet.length - 1))) % alphabet.length]!;
      const changed = token.slice(0, at) + char + token.slice(at + 1);
      assert.notEqual(changed, token);
      const { outcome } = await call(changed);
      assert.ok(outcome instanceof Fault, `character ${at} as ${char} passes`);
    }
  }
});
