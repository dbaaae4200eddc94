import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { addressKey } from './guard.ts';

describe('the key under which an address is counted', () => {
  const cases = [
    { a: '2001:db8::1', b: '2001:db8:0:0:ffff::2', same: true },
    { a: '2001:db8:0:1::1', b: '2001:db8::1', same: false },
    { a: '2001:DB8::1', b: '2001:db8::2', same: true },
    { a: '192.0.2.1', b: '192.0.2.2', same: false },
  ];
  for (const { a, b, same } of cases) {
    test(`${a} and ${b} are ${same ? 'one' : 'two'}`, () => assert.equal(addressKey(a) === addressKey(b), same));
  }
});
