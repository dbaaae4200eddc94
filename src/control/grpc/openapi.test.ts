import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { compile } from '../config/compile.ts';
import { loadConfig } from '../config/load.ts';
import { type Json, openApiOf } from './openapi.ts';

const PROTO = fileURLToPath(new URL('../../../test/integration/transcode/library.proto', import.meta.url));

async function documentOf(transcode: Json, route: Json = {}): Promise<Json> {
  const document = {
    services: { a: { instances: ['http://127.0.0.1:4001'], protocol: 'grpc' } },
    routes: [{ name: 'library', match: { path: '/*' }, service: 'a', auth: 'public', transcode, ...route }],
  };
  const loaded = await loadConfig({ document });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  const compiled = compile(loaded.config);
  assert.ok(compiled.ok, JSON.stringify(compiled));
  return openApiOf(compiled.snapshot.routes[0]!, '1')!;
}

function at(document: Json, ...keys: readonly string[]): unknown {
  return keys.reduce<unknown>((value, key) => (value as Json | undefined)?.[key], document);
}

test('each binding is an operation, with what path, query and body hold', async () => {
  const document = await documentOf({ proto: PROTO });
  const books = at(document, 'paths', '/v1/{parent}/books') as Json;
  const list = books['get'] as { readonly parameters: readonly Json[]; readonly tags: readonly string[] };
  assert.deepEqual(list.tags, ['Library']);
  assert.deepEqual(
    list.parameters.map(({ name, in: place }) => `${place as string} ${name as string}`),
    ['path parent', 'query pageSize', 'query filter.author', 'query filter.genres', 'query all', 'query since'],
  );
  assert.match(list.parameters[0]!['description'] as string, /shelves\/\*/);
  assert.deepEqual(at(books, 'post', 'requestBody', 'content', 'application/json', 'schema'), {
    $ref: '#/components/schemas/test.library.v1.Book',
  });
  const move = at(document, 'paths', '/v1/{name}:move', 'post', 'requestBody', 'content', 'application/json', 'schema');
  assert.deepEqual(Object.keys((move as Json)['properties'] as Json), ['otherShelf'], 'the path says the name');
  assert.equal(at(document, 'paths', '/v1/{name}', 'get', 'description'), 'One book, by its name.');
});

test('types are what ProtoJSON makes of them, and every reference leads somewhere', async () => {
  const document = await documentOf({ proto: PROTO });
  const book = at(document, 'components', 'schemas', 'test.library.v1.Book', 'properties') as Json;
  assert.deepEqual(book['pages'], { type: 'string', format: 'int64' });
  assert.deepEqual(book['publishedAt'], { type: 'string', format: 'date-time' });
  assert.deepEqual(book['tags'], { type: 'array', items: { type: 'string' } });
  assert.deepEqual(at(document, 'components', 'schemas', 'test.library.v1.Genre', 'enum'), [
    'GENRE_UNSPECIFIED',
    'NOVEL',
    'POETRY',
  ]);
  const schemas = at(document, 'components', 'schemas') as Json;
  const references = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g)];
  assert.ok(references.length > 10);
  for (const [, name = ''] of references) assert.ok(schemas[name] !== undefined, name);
  assert.deepEqual(
    Object.keys(at(document, 'paths', '/v1/books:watch', 'get', 'responses', '200', 'content') as Json),
    ['application/x-ndjson', 'text/event-stream'],
  );
});

test('what a route takes off the path stands before it, names of the file where it says so', async () => {
  const document = await documentOf(
    { proto: PROTO, names: 'proto' },
    { match: { path: '/api/*', hosts: 'api.test' }, rewrite: { stripPrefix: '/api' } },
  );
  assert.ok(at(document, 'paths', '/api/v1/isbn/{isbn}', 'get') !== undefined);
  assert.deepEqual(document['servers'], [{ url: 'https://api.test' }]);
  assert.ok(at(document, 'components', 'schemas', 'test.library.v1.Book', 'properties', 'published_at') !== undefined);
});
