import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { ALGORITHMS, type Algorithm, type Jwk } from '../../contract/auth.ts';
import { SigningIssuer } from '../testing.ts';
import { KeySet, secretVerifyKey, VerifyKey, verifyKeyOfJwk } from './verify-key.ts';

const ASYMMETRIC: readonly Algorithm[] = ALGORITHMS.filter((name) => !name.startsWith('HS'));

for (const algorithm of ASYMMETRIC as readonly Exclude<Algorithm, 'HS256'>[]) {
  test(`${algorithm}: its own signature verifies, no other algorithm does with the key`, () => {
    const issuer = new SigningIssuer(algorithm);
    const key = verifyKeyOfJwk(issuer.jwk, ASYMMETRIC, false);
    assert.ok(key instanceof VerifyKey);
    const signature = issuer.signature('input');
    const good = ASYMMETRIC.filter((name) => key.verify(name, Buffer.from('input'), signature));
    // RFC 9864: EdDSA over Ed25519 and Ed25519 are two names of one algorithm.
    const same = ['EdDSA', 'Ed25519'].includes(algorithm) ? ['EdDSA', 'Ed25519'] : [algorithm];
    assert.deepEqual(good, same);
    assert.equal(key.verify('HS256', Buffer.from('input'), signature), false);
    assert.equal(key.verify(algorithm, Buffer.from('other'), signature), false);
  });
}

test('an RSA key without alg takes what its issuer allows, and each signature only under its own name', () => {
  const { alg: _, ...open } = new SigningIssuer('PS256').jwk;
  const key = verifyKeyOfJwk(open, ASYMMETRIC, false) as VerifyKey;
  assert.deepEqual(key.algorithms, ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']);
  assert.deepEqual((verifyKeyOfJwk(open, ['RS256'], false) as VerifyKey).algorithms, ['RS256']);
});

const good = new SigningIssuer('ES256').jwk;
const weak = generateKeyPairSync('rsa', { modulusLength: 1_024 }).publicKey.export({ format: 'jwk' }) as unknown as Jwk;

for (const { name, jwk, want } of [
  { name: 'a key for encryption', jwk: { ...good, use: 'enc' }, want: /use "enc"/ },
  { name: 'a key that may not verify', jwk: { ...good, key_ops: ['sign'] }, want: /key_ops/ },
  { name: 'alg none', jwk: { ...good, alg: 'none' }, want: /"none" is not supported/ },
  { name: 'alg of another curve', jwk: { ...good, alg: 'ES384' }, want: /no allowed algorithm/ },
  { name: 'alg of another type', jwk: { ...good, alg: 'RS256' }, want: /no allowed algorithm/ },
  { name: 'alg HS256 on a public key', jwk: { ...good, alg: 'HS256' }, want: /no allowed algorithm/ },
  { name: 'an unknown curve', jwk: { ...good, crv: 'secp256k1' }, want: /no allowed algorithm/ },
  { name: 'a point off the curve', jwk: { ...good, y: good.x! }, want: /not a valid key/ },
  { name: 'a missing coordinate', jwk: { kty: 'EC', crv: 'P-256', x: good.x! }, want: /not a valid key/ },
  { name: 'an RSA key of 1024 bits', jwk: weak, want: /2048 bits/ },
  { name: 'a symmetric key', jwk: { kty: 'oct', k: 'AAAA' }, want: /no allowed algorithm/ },
  { name: 'null', jwk: null as unknown as Jwk, want: /not an object/ },
  { name: 'a kid that is no text', jwk: { ...good, kid: 1 as unknown as string }, want: /kid/ },
]) {
  test(`refuses ${name}`, () => {
    const result = verifyKeyOfJwk(jwk, ASYMMETRIC, false);
    assert.match(typeof result === 'string' ? result : 'accepted', want);
  });
}

test('a symmetric key counts only when the set comes from the identity service', () => {
  const jwk = { kty: 'oct', kid: 'h', k: Buffer.alloc(32, 7).toString('base64url') };
  const all: readonly Algorithm[] = [...ASYMMETRIC, 'HS256'];
  assert.match(verifyKeyOfJwk(jwk, all, false) as string, /cannot come from a published set/);
  assert.ok(verifyKeyOfJwk(jwk, all, true) instanceof VerifyKey);
  assert.equal(KeySet.ofJwks([jwk], all, 'published').keys.length, 0);
  assert.equal(KeySet.ofJwks([jwk], all, 'identity').keys.length, 1);
});

test('a private key in a published set is used as its public half', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = verifyKeyOfJwk(privateKey.export({ format: 'jwk' }) as unknown as Jwk, ASYMMETRIC, false);
  assert.ok(key instanceof VerifyKey);
});

const first = new SigningIssuer('ES256', 'one').jwk;
const second = new SigningIssuer('ES256', 'two').jwk;
const { kid: _kid, ...nameless } = new SigningIssuer('ES256').jwk;

for (const { name, keys, source, kid, want } of [
  { name: 'the key of that kid', keys: [first, second], source: 'published', kid: 'two', want: 'two' },
  { name: 'the only key, when the token names none', keys: [first], source: 'published', kid: null, want: 'one' },
  {
    name: 'nothing, when the token names none and there are two',
    keys: [first, second],
    source: 'published',
    kid: null,
    want: null,
  },
  {
    name: 'nothing, when two keys share the kid',
    keys: [first, { ...second, kid: 'one' }],
    source: 'published',
    kid: 'one',
    want: null,
  },
  { name: 'nothing for an unknown kid', keys: [first], source: 'published', kid: 'three', want: null },
  {
    name: 'nothing for a kid when the published key has none',
    keys: [nameless],
    source: 'published',
    kid: 'x',
    want: null,
  },
  {
    name: 'the configured key without kid for any kid',
    keys: [nameless],
    source: 'configuration',
    kid: 'x',
    want: 'nameless',
  },
] as const) {
  test(`chooses ${name}`, () => {
    const chosen = KeySet.ofJwks(keys, ASYMMETRIC, source).choose(kid, 'ES256');
    assert.equal(chosen === null ? null : (chosen.kid ?? 'nameless'), want);
  });
}

test('a set is cut at 64 keys, and says so; broken keys do not take good ones with them', () => {
  const many = Array.from({ length: 70 }, (_, index) => ({ ...first, kid: String(index) }));
  const set = KeySet.ofJwks([{ kty: 'EC' }, ...many], ASYMMETRIC, 'published');
  assert.equal(set.keys.length, 63);
  assert.equal(set.problems.length, 2);
});

test('a secret verifies by comparing in constant time, and only HS256', () => {
  const key = secretVerifyKey('secret', null);
  assert.deepEqual(key.algorithms, ['HS256']);
  assert.equal(key.verify('HS256', Buffer.from('x'), Buffer.alloc(32)), false);
  assert.equal(key.verify('HS256', Buffer.from('x'), Buffer.alloc(31)), false);
});
