import assert from 'node:assert/strict';
import { test } from 'node:test';
import { normalisedValue, varyNames } from './vary.ts';

const same = (name: string, ...values: string[]): void => {
  const [first, ...others] = values.map((value) => normalisedValue(name, value));
  for (const other of others) assert.equal(other, first);
};
const differ = (name: string, a: string | null, b: string | null): void =>
  assert.notEqual(normalisedValue(name, a), normalisedValue(name, b));

test('RFC 9111 §4.1: the names of Vary, in one order', () => {
  assert.deepEqual(varyNames('Foo, bar ,FOO,,'), ['bar', 'foo']);
  assert.deepEqual(varyNames(null), []);
});

test('RFC 9111 §4.1: a field that is absent is not an empty one', () => {
  differ('foo', null, '');
  differ('accept-encoding', null, '');
  same('foo', '1');
});

test('RFC 9110 §12.5.3: Accept-Encoding is what can be sent', () => {
  same('accept-encoding', 'gzip, br', 'br;q=1.0 , GZIP;q=0.5', 'br, x-gzip', 'gzip, deflate, br', 'gzip;q=0.1,br');
  differ('accept-encoding', 'gzip', 'gzip, br');
  differ('accept-encoding', 'gzip', 'gzip;q=0');
  same('accept-encoding', 'identity', 'deflate', '', 'gzip;q=0', 'br;q=2');
  same('accept-encoding', '*', 'gzip, br, zstd');
  differ('accept-encoding', 'gzip', 'gzip, identity;q=0');
});

test('RFC 9110 §12.5.4: Accept-Language: order, case and white space do not count, weights do', () => {
  same('accept-language', 'en, de', 'de, en', 'eN,  De', ' en ,de;q=1');
  same('accept-language', 'de, en;q=0.8', 'en;q=0.80, de;q=1.0');
  differ('accept-language', 'de, en;q=0.8', 'en, de;q=0.8');
});

test('other fields: white space around commas does not count, in quotes it does', () => {
  same('foo', '1,2', ' 1 ,  2');
  differ('foo', '1,2', '2,1');
  differ('foo', 'a b', 'ab');
  differ('foo', '"1, 2"', '"1,2"');
  same('foo', '"1, 2" , 3', '"1, 2",3');
});
