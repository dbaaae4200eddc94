import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alternativeNames, fingerprintOfThumbprint, parseDistinguishedName, plainFingerprint } from './certificate.ts';

for (const { name, text, want } of [
  {
    name: 'one attribute a line',
    text: 'C=DE\nO=Example\nCN=billing',
    want: { C: ['DE'], O: ['Example'], CN: ['billing'] },
  },
  { name: 'one attribute', text: 'CN=billing', want: { CN: ['billing'] } },
  { name: 'types in lower case', text: 'o=Example\ncn=billing', want: { O: ['Example'], CN: ['billing'] } },
  {
    name: 'an escaped comma stays in its value',
    text: 'O=Example\nCN=x\\, CN=admin',
    want: { O: ['Example'], CN: ['x, CN=admin'] },
  },
  { name: 'a comma without escape makes no second attribute', text: 'CN=x,CN=admin', want: { CN: ['x,CN=admin'] } },
  {
    name: 'an escaped line feed makes no attribute',
    text: 'O=Example\nCN=x\\0ACN=admin',
    want: { O: ['Example'], CN: ['x\nCN=admin'] },
  },
  { name: 'an escaped plus makes no attribute', text: 'CN=a\\+UID=b', want: { CN: ['a+UID=b'] } },
  { name: 'bytes in hex are UTF-8', text: 'CN=J\\C3\\BCrgen\nO=X', want: { CN: ['Jürgen'], O: ['X'] } },
  { name: 'several values of a type', text: 'OU=a\nOU=b', want: { OU: ['a', 'b'] } },
  { name: 'a line with several attributes', text: 'CN=a + UID=b\nO=X', want: { CN: ['a'], UID: ['b'], O: ['X'] } },
  { name: 'nothing', text: '', want: {} },
]) {
  test(`distinguished name: ${name}`, () => {
    assert.deepEqual(Object.fromEntries(parseDistinguishedName(text)), want);
  });
}

test('fingerprints compare in one form, whatever wrote them', () => {
  const hex = 'ab'.repeat(32);
  assert.equal(plainFingerprint(hex.toUpperCase().replace(/..(?=.)/g, '$&:')), hex);
  assert.equal(fingerprintOfThumbprint(Buffer.from(hex, 'hex').toString('base64url')), hex);
  for (const bad of ['', 'abc', `${Buffer.from(hex, 'hex').toString('base64url')}=`, 'A'.repeat(44), '!'.repeat(43)]) {
    assert.equal(fingerprintOfThumbprint(bad), null, bad);
  }
});

test('alternative names are split; a quoted one matches nothing (CVE-2021-44532)', () => {
  assert.deepEqual(alternativeNames('DNS:a.example, URI:spiffe://x/y, IP Address:192.0.2.1'), [
    'DNS:a.example',
    'URI:spiffe://x/y',
    'IP Address:192.0.2.1',
  ]);
  assert.deepEqual(alternativeNames('URI:"http://a, DNS:admin.example"'), []);
  assert.deepEqual(alternativeNames(''), []);
});
