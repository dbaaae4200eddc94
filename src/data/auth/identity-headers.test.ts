import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, verify } from 'node:crypto';
import { test } from 'node:test';
import { FakeClock } from '../../base/clock.ts';
import { encodeFieldText, IDENTITY_HEADERS, noHeaders, plainHeaders, signedHeaders } from './identity-headers.ts';

const facts = {
  method: 'jwt',
  subject: 'alice@example.com',
  roles: ['admin', 'a,b'],
  scopes: ['projects:read', 'a b'],
  plan: 'premium',
};

test('plain headers hold every fact, lists keep their separators', () => {
  assert.deepEqual(plainHeaders(facts), {
    'x-auth-subject': 'alice@example.com',
    'x-auth-method': 'jwt',
    'x-auth-roles': 'admin,a%2Cb',
    'x-auth-scopes': 'projects:read a%20b',
    'x-auth-plan': 'premium',
  });
});

test('what is not known has no header', () => {
  const bare = { method: 'basic', subject: 'bob', roles: [], scopes: [], plan: null };
  assert.deepEqual(Object.keys(plainHeaders(bare)), ['x-auth-subject', 'x-auth-method']);
  assert.deepEqual(noHeaders(facts), {});
});

test('no text can end the line or start another field, and decoding gives it back', () => {
  for (const text of ['a\r\nX-Auth-Roles: admin', 'ü', '名前', 'a\0b', '100%', 'a,b', ' ', '\x7f', '\u2028', '😀']) {
    const encoded = encodeFieldText(text);
    assert.match(encoded, /^[\x21-\x7e]*$/);
    assert.doesNotMatch(encoded, /,/);
    assert.equal(decodeURIComponent(encoded), text);
  }
  assert.equal(encodeFieldText('user|42@x.example/~"<>'), 'user|42@x.example/~"<>');
});

test('every name that is sent is reserved', () => {
  const sent = [...Object.keys(plainHeaders({ ...facts, issuer: 'https://issuer.example' })), 'x-auth-identity'];
  assert.deepEqual([...sent].sort(), [...IDENTITY_HEADERS].sort());
});

const settings = { kid: 'gw-1', issuer: 'https://gateway.example', audience: 'internal', lifetimeSeconds: 60 } as const;

function parts(token: string) {
  const [header = '', payload = '', signature = ''] = token.split('.');
  const read = (text: string): Record<string, unknown> => JSON.parse(Buffer.from(text, 'base64url').toString());
  return {
    header: read(header),
    payload: read(payload),
    input: `${header}.${payload}`,
    signature: Buffer.from(signature, 'base64url'),
  };
}

test('the signed header is a JWT that an upstream can verify', () => {
  const clock = new FakeClock();
  const nowSeconds = clock.wallMs() / 1_000;
  const elliptic = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const edwards = generateKeyPairSync('ed25519');
  const pem = (key: typeof elliptic.privateKey) => key.export({ type: 'pkcs8', format: 'pem' }).toString();
  const rows = [
    {
      algorithm: 'ES256' as const,
      key: pem(elliptic.privateKey),
      good: (input: string, signature: Buffer) =>
        verify('sha256', Buffer.from(input), { key: elliptic.publicKey, dsaEncoding: 'ieee-p1363' }, signature),
    },
    {
      algorithm: 'EdDSA' as const,
      key: pem(edwards.privateKey),
      good: (input: string, signature: Buffer) => verify(null, Buffer.from(input), edwards.publicKey, signature),
    },
    {
      algorithm: 'HS256' as const,
      key: 'a shared secret of 32 bytes or more',
      good: (input: string, signature: Buffer) =>
        createHmac('sha256', 'a shared secret of 32 bytes or more').update(input).digest().equals(signature),
    },
  ];
  for (const { algorithm, key, good } of rows) {
    const made = signedHeaders({ ...settings, algorithm }, key, clock)(facts);
    assert.deepEqual(Object.keys(made), ['x-auth-identity']);
    const { header, payload, input, signature } = parts(made['x-auth-identity'] ?? '');
    assert.deepEqual(header, { alg: algorithm, typ: 'gatehouse-identity+jwt', kid: 'gw-1' });
    assert.deepEqual(payload, {
      iss: 'https://gateway.example',
      aud: 'internal',
      sub: 'alice@example.com',
      iat: nowSeconds,
      exp: nowSeconds + 60,
      method: 'jwt',
      roles: ['admin', 'a,b'],
      scope: 'projects:read a b',
      plan: 'premium',
    });
    assert.ok(good(input, signature), algorithm);
  }
});

test('a key that does not fit its algorithm stops the start', () => {
  const pem = generateKeyPairSync('ec', { namedCurve: 'P-384' })
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString();
  assert.throws(() => signedHeaders({ ...settings, algorithm: 'ES256' }, pem, new FakeClock()), TypeError);
  assert.throws(() => signedHeaders({ ...settings, algorithm: 'EdDSA' }, pem, new FakeClock()), TypeError);
  assert.throws(() => signedHeaders({ ...settings, algorithm: 'ES256' }, 'no key', new FakeClock()));
});
