import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readApiDocument } from './read-document.ts';

const read = (schema: string) => {
  const result = readApiDocument(`openapi: 3.0.3\npaths: {}\ncomponents: { schemas: { A: ${schema} } }`);
  assert.ok('document' in result, JSON.stringify(result));
  return (result.document['components'] as { schemas: { A: unknown } }).schemas.A;
};

describe('reading an API document', () => {
  it('says the words of 3.0 in those of 3.1', () => {
    assert.deepEqual(read('{ type: string, nullable: true }'), { type: ['string', 'null'] });
    assert.deepEqual(read('{ $ref: "#/components/schemas/B", nullable: true }'), {
      anyOf: [{ $ref: '#/components/schemas/B' }, { type: 'null' }],
    });
    assert.deepEqual(read('{ type: number, minimum: 1, exclusiveMinimum: true }'), {
      type: 'number',
      exclusiveMinimum: 1,
    });
    assert.deepEqual(read('{ type: string, nullable: true, enum: [a] }'), {
      type: ['string', 'null'],
      enum: ['a', null],
    });
  });

  it('leaves examples alone and knows a property that is called like a keyword', () => {
    assert.deepEqual(
      read('{ example: { nullable: true }, properties: { default: { type: string, nullable: true } } }'),
      {
        example: { nullable: true },
        properties: { default: { type: ['string', 'null'] } },
      },
    );
  });

  it('refuses what it cannot stand for, and says why', () => {
    const problem = (text: string) => {
      const result = readApiDocument(text);
      return 'problem' in result ? result.problem : 'none';
    };
    assert.match(problem('swagger: "2.0"'), /3\.0 or 3\.1 is expected, not "2\.0"/);
    assert.match(problem('openapi: 3.1.0\npaths: { /a: { $ref: other.yaml } }'), /inside the document.*other\.yaml/);
    assert.match(problem('[1]'), /no mapping/);
    assert.match(problem('openapi: 3.1.0\n  paths: ['), /no mapping/);
    assert.match(problem('openapi: 3.1.0'), /no paths/);
    assert.match(problem(`{"openapi":"3.1.0","paths":${'{"a":'.repeat(300)}1${'}'.repeat(300)}}`), /deeper than 200/);
    assert.match(problem(`${'a: &a [x]\n'}${'b: [*a, *a]\n'.repeat(2)}`), /no mapping|no paths|expected/);
    assert.match(problem(' '.repeat(5 * 1_024 * 1_024 + 1)), /longer than 5 MB/);
  });

  it('refuses what grows without end as it is read: aliases, and examples nested too deep', () => {
    const problem = (text: string) => {
      const result = readApiDocument(text);
      return 'problem' in result ? result.problem : 'none';
    };
    const list = `[${'1,'.repeat(100_000)}1]`;
    const aliases = `[${'*a,'.repeat(5_000)}*a]`;
    const head = 'openapi: 3.1.0\npaths: {}\n';
    assert.match(problem(`${head}x-a: &a ${list}\nx-b: ${aliases}\n`), /more than 1000000 values/);
    assert.match(problem(`${head}example: { a: &a ${list}, b: ${aliases} }\n`), /more than 1000000 values/);
    const deep = `${'['.repeat(100_000)}{"1":2}${']'.repeat(100_000)}`;
    assert.match(problem(`{"openapi":"3.1.0","paths":{},"example":${deep}}`), /nested deeper than 200/);
    assert.match(problem(`${head}example: ${'['.repeat(20_000)}1${']'.repeat(20_000)}\n`), /no mapping|deeper/);
  });

  it('makes no prototype out of a document', () => {
    const result = readApiDocument('{"openapi":"3.1.0","paths":{"__proto__":{"get":{}}}}');
    assert.ok('document' in result);
    assert.equal(({} as Record<string, unknown>)['get'], undefined);
    assert.equal(Object.getPrototypeOf(result.document['paths']), Object.prototype);
  });
});
