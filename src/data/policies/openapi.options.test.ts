import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RequestCheck } from '../content/request-check.ts';
import type { ValidateSettings } from '../contract/validation.ts';
import { compileDocument, openapiOptions } from './openapi.options.ts';

function compiled(document: unknown): {
  settings: ValidateSettings | undefined;
  problems: string[];
  warnings: string[];
} {
  const text = typeof document === 'string' ? document : JSON.stringify(document);
  const options = openapiOptions.schema.parse({ file: './a.yaml' });
  assert.ok(typeof options === 'object');
  const problems: string[] = [];
  const warnings: string[] = [];
  const settings = compileDocument(
    text,
    options,
    (message, at) => void problems.push(`${at} ${message}`),
    (message) => void warnings.push(message),
  );
  return { settings, problems, warnings };
}

const paths = (operation: object, path = '/a', more: object = {}) => ({
  openapi: '3.1.0',
  paths: { [path]: { post: operation } },
  ...more,
});
const body = (schema: object) => ({ requestBody: { content: { 'application/json': { schema } } } });

describe('a document that cannot be kept to is refused, with the place', () => {
  const REFUSED: readonly (readonly [what: string, document: unknown, expected: RegExp])[] = [
    ['no YAML', 'a: [', /cannot be used/],
    ['Swagger 2', { swagger: '2.0', paths: {} }, /version 3\.0 or 3\.1 is expected, not "2\.0"/],
    ['no paths', { openapi: '3.1.0' }, /there are no paths/],
    ['a path without slash', paths({}, 'a'), /paths\/a .*begins with \//],
    ['a parameter of the path that is not described', paths({}, '/{id}'), /\{id\} is not described/],
    ['another document', paths(body({ $ref: 'other.yaml#/A' })), /only references inside/],
    ['nothing at a reference', paths(body({ $ref: '#/components/schemas/A' })), /there is nothing at/],
    ['an unknown keyword', paths(body({ typo: 1 })), /the keyword is not supported/],
    ['a pattern that can be made slow', paths(body({ pattern: '^(a|a)*$' })), /exponential/],
    [
      'an object in the query',
      paths({ parameters: [{ name: 'f', in: 'query', schema: { type: 'object' } }] }),
      /an object as a parameter/,
    ],
    [
      'a style that is not supported',
      paths({ parameters: [{ name: 'f', in: 'query', style: 'deepObject', schema: {} }] }),
      /deepObject/,
    ],
    ['a reference to itself', { ...paths({}), paths: { '/a': { $ref: '#/paths/~1a' } } }, /only references/],
  ];
  for (const [what, document, expected] of REFUSED) {
    test(what, () => {
      const { settings, problems } = compiled(document);
      assert.equal(settings, undefined);
      assert.match(problems.join(), expected);
    });
  }
});

test('formats that only the document knows are notes, and said', () => {
  const { settings, warnings } = compiled(paths(body({ type: 'string', format: 'phone' })));
  assert.ok(settings);
  assert.match(warnings.join(), /phone/);
});

test('3.1: type lists, const and $ref beside other keywords', async () => {
  const { settings } = compiled(
    paths(body({ $ref: '#/components/schemas/A', required: ['b'] }), '/a', {
      components: { schemas: { A: { type: ['object', 'null'], properties: { a: { const: 1 } } } } },
    }),
  );
  const check = await RequestCheck.prepare(settings!);
  const found = check.find('POST', '/a');
  assert.ok('operation' in found);
  const type = check.bodyType(found.operation, 'application/json; charset=utf-8');
  const fits = (value: unknown) => check.checkBody(type!, Buffer.from(JSON.stringify(value))).length === 0;
  assert.deepEqual(
    [fits({ a: 1, b: 1 }), fits(null), fits({ a: 1 }), fits({ a: 2, b: 1 })],
    [true, true, false, false],
  );
});

test('a megabyte with circular references is loaded and compiled within 2 s', async () => {
  const schemas: Record<string, object> = {};
  const all: Record<string, object> = {};
  const words = 'a description that is as long as descriptions are '.repeat(32);
  for (let i = 0; i < 400; i++) {
    const next = { $ref: `#/components/schemas/S${i % 40 === 39 ? i - 39 : i + 1}` };
    schemas[`S${i}`] = {
      type: 'object',
      description: words,
      properties: { id: { type: 'integer' }, next, list: { type: 'array', items: next } },
    };
    all[`/s${i}/{id}`] = {
      parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'integer' } }],
      put: { description: words, ...body({ $ref: `#/components/schemas/S${i}` }) },
    };
  }
  const text = JSON.stringify({ openapi: '3.0.3', paths: all, components: { schemas } });
  assert.ok(text.length > 1_000_000);
  const startMs = performance.now();
  const { settings, problems } = compiled(text);
  assert.deepEqual(problems, []);
  const loadedMs = performance.now() - startMs;
  assert.equal(settings?.operations.length, 400);
  await RequestCheck.prepare(settings);
  console.log(
    `loaded in ${Math.round(loadedMs)} ms, compiled in ${Math.round(performance.now() - startMs - loadedMs)} ms`,
  );
  assert.ok(loadedMs < 2_000);
});
