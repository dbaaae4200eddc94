import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FieldPath } from '../contract/transform.ts';
import { FieldTree, omitted, picked, putAt, renamed } from './field-tree.ts';

const pathsOf = (...pointers: string[]): FieldPath[] => pointers.map((each) => each.split('/').slice(1));
const ORDER = '{"id":1,"items":[{"sku":"a","cost":3},{"sku":"b","cost":4}],"by":{"name":"Ann","mail":"a@b"}}';
const order = (): unknown => JSON.parse(ORDER);
const shows = (made: unknown, text: string): void => assert.equal(JSON.stringify(made), text);

test('pick keeps what is named, through lists and in the order of the body', () => {
  shows(
    picked(order(), FieldTree.of(pathsOf('/by/name', '/items/*/sku'))),
    '{"items":[{"sku":"a"},{"sku":"b"}],"by":{"name":"Ann"}}',
  );
  shows(picked(order(), FieldTree.of(pathsOf('/items/1'))), '{"items":[{"sku":"b","cost":4}]}');
  shows(picked(order(), FieldTree.of(pathsOf('/*/name', '/id'))), '{"id":1,"items":[],"by":{"name":"Ann"}}');
  shows(picked(order(), FieldTree.of(pathsOf('/nothing'))), '{}');
  assert.equal(picked('text', FieldTree.of(pathsOf('/a'))), undefined);
});

test('what holds for all holds for one that is named as well', () => {
  shows(
    picked(order(), FieldTree.of(pathsOf('/items/*/sku', '/items/0/cost'))),
    '{"items":[{"sku":"a","cost":3},{"sku":"b"}]}',
  );
  shows(
    omitted(order(), FieldTree.of(pathsOf('/items/*/cost', '/items/1/sku', '/by'))),
    '{"id":1,"items":[{"sku":"a"},{}]}',
  );
});

test('omit takes out members and items, and nothing that is inherited', () => {
  shows(
    omitted(order(), FieldTree.of(pathsOf('/items/0', '/by/mail'))),
    '{"id":1,"items":[{"sku":"b","cost":4}],"by":{"name":"Ann"}}',
  );
  shows(omitted([[1, 2], [3]], FieldTree.of(pathsOf('/*/0'))), '[[2],[]]');
  const strange = JSON.parse('{"__proto__":{"a":1},"constructor":2}');
  shows(omitted(strange, FieldTree.of(pathsOf('/toString', '/constructor'))), '{"__proto__":{"a":1}}');
  assert.equal(omitted(order(), FieldTree.of([[]])), undefined);
});

test('rename keeps the place, replaces a member of the new name, and goes into what it renames', () => {
  const names = [
    [['items'], 'lines'],
    [['items', '*', 'cost'], 'price'],
    [['by', 'mail'], 'name'],
  ] as const;
  shows(
    renamed(order(), FieldTree.renaming(names)),
    '{"id":1,"lines":[{"sku":"a","price":3},{"sku":"b","price":4}],"by":{"name":"a@b"}}',
  );
  shows(renamed(JSON.parse('{"a":1,"__proto__":2}'), FieldTree.renaming([[['a'], 'b']])), '{"b":1,"__proto__":2}');
});

test('put makes objects on the way, stays inside of lists, and puts a thing into itself but once', () => {
  const body = order() as { by: object };
  putAt(body, ['source', 'name'], 'web');
  putAt(body, ['items', '*', 'cur'], 'EUR');
  putAt(body, ['items', '7', 'cur'], 'none');
  putAt(body, ['id', 'deeper'], 'none');
  putAt(body, ['by', 'self'], body.by);
  shows(
    body,
    '{"id":1,"items":[{"sku":"a","cost":3,"cur":"EUR"},{"sku":"b","cost":4,"cur":"EUR"}],"by":{"name":"Ann","mail":"a@b","self":{"name":"Ann","mail":"a@b"}},"source":{"name":"web"}}',
  );
});
