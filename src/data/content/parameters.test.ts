import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OperationTable } from './operation-table.ts';
import { readQuery, readValue } from './parameters.ts';
import type { Violation } from './violation.ts';

test('a query has one reading: blanks by +, names decoded, what is no UTF-8 said', () => {
  const found: Violation[] = [];
  const read = readQuery('a=1+2&b&%61=%33&&c=%2B&=x', found);
  assert.deepEqual(Object.fromEntries(read), { a: ['1 2', '3'], b: [''], c: ['+'], '': ['x'] });
  assert.deepEqual(found, []);
  readQuery('a=%&b=%c3', found);
  assert.equal(found.length, 1);
});

test('a text is a number only in the one way that JSON writes numbers', () => {
  const read = (text: string) => readValue({ kind: 'scalar', types: ['number', 'boolean'] }, [text], 'f', []);
  for (const [text, value] of [
    ['0', 0],
    ['-1.5', -1.5],
    ['1e3', 1_000],
    ['true', true],
  ] as const)
    assert.equal(read(text), value);
  for (const text of ['', ' 1', '01', '+1', '0x1', '1_0', 'Infinity', 'NaN', '1e', '.5', 'TRUE'])
    assert.equal(read(text), text);
});

test('lists by repetition or separator; a name that stands twice is no list of separators', () => {
  const found: Violation[] = [];
  assert.deepEqual(readValue({ kind: 'list', separator: null, types: ['number'] }, ['1', 'x'], 'f', found), [1, 'x']);
  assert.deepEqual(readValue({ kind: 'list', separator: ',', types: ['string'] }, ['a,b'], 'f', found), ['a', 'b']);
  assert.deepEqual(readValue({ kind: 'list', separator: '|', types: ['string'] }, [''], 'f', found), []);
  assert.equal(found.length, 0);
  assert.equal(readValue({ kind: 'list', separator: ',', types: ['string'] }, ['a', 'b'], 'f', found), undefined);
  assert.equal(found.length, 1);
});

test('the concrete template goes first, whatever the order (OpenAPI 3.1 §4.8.8.2)', () => {
  const table = new OperationTable<string>();
  for (const path of ['/pets/{id}', '/pets/mine', '/{any}/mine', '/pets/{id}.json', '/']) table.add('GET', path, path);
  const find = (path: string, method = 'GET') => table.find(method, path);
  assert.deepEqual(find('/pets/mine'), { operation: '/pets/mine', params: {} });
  assert.deepEqual(find('/pets/7'), { operation: '/pets/{id}', params: { id: '7' } });
  assert.deepEqual(find('/cats/mine'), { operation: '/{any}/mine', params: { any: 'cats' } });
  assert.deepEqual(find('/pets/a%20b'), { operation: '/pets/{id}', params: { id: 'a b' } });
  assert.deepEqual(find('/'), { operation: '/', params: {} });
  assert.deepEqual(find('/pets/7', 'POST'), ['GET']);
  assert.deepEqual(find('/pets/7', 'HEAD'), { operation: '/pets/{id}', params: { id: '7' } });
  assert.deepEqual(find('/pets'), []);
  assert.deepEqual(find('/pets/'), []);
  assert.deepEqual(find('/pets/%ff'), []);
});
