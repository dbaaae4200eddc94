import assert from 'node:assert/strict';
import { isIPv4, isIPv6 } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { readAddress } from './address-words.ts';

const out = new Int32Array(4);
const words = (text: string): string => {
  const family = readAddress(text, out);
  if (family === 0) return 'none';
  return [...out.slice(0, family === 4 ? 1 : 4)].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
};

test('IPv4 and IPv6 texts become their numbers', () => {
  assert.equal(words('192.0.2.1'), 'c0000201');
  assert.equal(words('255.255.255.255'), 'ffffffff');
  assert.equal(words('0.0.0.0'), '00000000');
  assert.equal(words('::'), '0'.repeat(32));
  assert.equal(words('::1'), `${'0'.repeat(31)}1`);
  assert.equal(words('2001:db8::1'), '20010db8000000000000000000000001');
  assert.equal(words('2001:db8:1:2:3:4:5:6'), '20010db8000100020003000400050006');
  assert.equal(words('fe80::'), `fe80${'0'.repeat(28)}`);
  assert.equal(words('::ffff:192.0.2.1'), '00000000000000000000ffffc0000201');
  assert.equal(words('1::2:3'), '00010000000000000000000000020003');
});

test('what Node calls no address is none', () => {
  const texts = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.stringMatching(/^[0-9a-f:.]{1,20}$/),
    fc.constantFrom(
      '1.2.3',
      '1.2.3.4.5',
      '01.2.3.4',
      '1.2.3.256',
      ':1',
      '1:',
      ':::',
      '1::2::3',
      '1:2:3:4:5:6:7',
      '12345::',
      '',
    ),
  );
  fc.assert(
    fc.property(texts, (text) => {
      const family = readAddress(text, out);
      assert.equal(family, isIPv4(text) ? 4 : isIPv6(text) ? 6 : 0, text);
    }),
    { numRuns: 3_000 },
  );
});
