import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSameData } from './same-data.ts';

test('data is the same by content, at any depth and in any order of keys', () => {
  const one = { a: [1, { b: null, c: 'x' }], d: new Uint8Array([1, 2]), e: Number.NaN };
  assert.ok(isSameData(one, structuredClone(one)));
  assert.ok(isSameData({ a: 1, b: 2 }, { b: 2, a: 1 }));
});

test('what differs anywhere is not the same', () => {
  const pairs: [unknown, unknown][] = [
    [{ a: 1 }, { a: 1, b: undefined }],
    [{ a: undefined }, { b: undefined }],
    [{ a: 1 }, { a: '1' }],
    [[1, 2], [1]],
    [[], {}],
    [{}, []],
    [null, {}],
    [{ a: { b: [1, { c: 1 }] } }, { a: { b: [1, { c: 2 }] } }],
    [new Uint8Array([1]), new Uint8Array([2])],
    [new Uint8Array([1]), [1]],
    [new Map(), new Map()],
    [new Date(0), new Date(0)],
    [JSON.parse('{"__proto__": 1}'), {}],
  ];
  for (const [a, b] of pairs) assert.equal(isSameData(a, b), false, JSON.stringify([a, b]));
});

test('a large part that is known to be the same is not walked again', () => {
  const known = new WeakMap<object, object>();
  const large = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`k${i}`, i]));
  let reads = 0;
  const other = new Proxy(
    { ...large },
    {
      ownKeys(target) {
        reads++;
        return Reflect.ownKeys(target);
      },
    },
  );
  for (let i = 0; i < 5; i++) assert.ok(isSameData({ i, large }, { i, large: other }, known));
  assert.equal(reads, 1);
  assert.equal(isSameData(large, { ...large, k7: 'other' }, known), false);
});
