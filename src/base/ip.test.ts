import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CidrSet, canonicalAddress } from './ip.ts';

const SPELLINGS: Readonly<Record<string, readonly string[]>> = {
  '192.0.2.7': [
    '192.0.2.7',
    '::ffff:192.0.2.7',
    '::FFFF:192.0.2.7',
    '0:0:0:0:0:ffff:192.0.2.7',
    '::ffff:c000:207',
    '0000:0000:0000:0000:0000:FFFF:C000:0207',
    '::ffff:192.0.2.7%eth0',
  ],
  '2001:db8::1': ['2001:db8::1', '2001:DB8::1', '2001:0db8:0:0:0:0:0:1', '2001:db8:0::0:1', '2001:db8::0.0.0.1'],
  'fe80::1': ['fe80::1', 'fe80::1%eth0', 'FE80:0::1%25'],
  '::1': ['::1', '0:0:0:0:0:0:0:1'],
  '::ffff:ffff:c000:207': ['::ffff:ffff:192.0.2.7'],
};

test('an address has one text, however it is written', () => {
  for (const [canonical, spellings] of Object.entries(SPELLINGS))
    for (const spelling of spellings) assert.equal(canonicalAddress(spelling), canonical, spelling);
});

test('what is no address has none', () => {
  for (const text of ['', 'a', '1.2.3', '1.2.3.04', '1.2.3.4%eth0', '::g', '[::1]', '::1]', '::1/8', '1::2::3'])
    assert.equal(canonicalAddress(text), undefined, text);
});

test('a set of blocks knows each spelling by its one text', () => {
  const set = new CidrSet(['192.0.2.0/24', '2001:db8::/32']);
  for (const text of [...SPELLINGS['192.0.2.7']!, ...SPELLINGS['2001:db8::1']!])
    assert.equal(set.has(canonicalAddress(text)!), true, text);
});
