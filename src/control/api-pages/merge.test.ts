import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compile } from '../config/compile.ts';
import { loadConfig } from '../config/load.ts';
import type { ApiSource, Mapping } from '../openapi-document.ts';
import { type Merged, mergeApis } from './merge.ts';

const OPTIONS = { title: 'All', version: '1', description: '', servers: [], listUndescribed: false };
const issuers = { own: { secret: 'a-secret-that-is-at-least-32-bytes-long' } };
const instances = [{ url: 'http://127.0.0.1:4001' }];

async function merged(
  routes: readonly object[],
  sources: readonly Partial<ApiSource>[],
  options = {},
): Promise<Merged> {
  const services = Object.fromEntries(['pets', 'orders'].map((name) => [name, { instances }]));
  const loaded = await loadConfig({
    document: { services, routes, issuers, gateway: { dataDir: '/nonexistent' } },
    env: {},
  });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  const compiled = compile(loaded.config);
  assert.ok(compiled.ok, JSON.stringify(compiled));
  const whole = sources.map(
    (source): ApiSource => ({
      service: 'pets',
      from: 'pets.yaml',
      paths: 'upstream',
      basePath: null,
      route: null,
      document: {},
      ...source,
    }),
  );
  return mergeApis(compiled.snapshot, whole, { ...OPTIONS, ...options });
}

const api = (paths: readonly string[], more: Mapping = {}): Mapping => ({
  openapi: '3.1.0',
  paths: Object.fromEntries(paths.map((path) => [path, { get: { operationId: 'show', responses: {} } }])),
  ...more,
});
const pathsOf = (result: Merged, audience: 'public' | 'signed-in' | 'admin' = 'admin') =>
  Object.keys(result.forAudience(audience)['paths'] as object);
const operationAt = (result: Merged, path: string) =>
  ((result.forAudience('admin')['paths'] as Record<string, { get: Mapping }>)[path] ?? { get: {} }).get;

const open = (path: string, more: object = {}) => ({ match: { path }, service: 'pets', auth: 'public', ...more });

describe('merging API documents', () => {
  it('undoes prefixes that were taken off, put before, or written as a template', async () => {
    const stripped = await merged(
      [open('/api/pets/*', { rewrite: { stripPrefix: '/api/pets', addPrefix: '/v1' } })],
      [{ document: api(['/v1/cats/{id}', '/elsewhere']) }],
    );
    assert.deepEqual(pathsOf(stripped), ['/api/pets/cats/{id}']);
    assert.deepEqual(stripped.problems, ['pets.yaml: no route leads to /elsewhere']);
    const template = await merged(
      [open('/shop/:shop/pets/*', { rewrite: { path: '/internal/:shop/*' } })],
      [{ document: api(['/internal/{store}/cats/{id}', '/internal']) }],
    );
    assert.deepEqual(pathsOf(template), ['/shop/{store}/pets/cats/{id}']);
    assert.deepEqual(template.problems, ['pets.yaml: no route leads to /internal']);
  });

  it('does not publish a template where the route has a literal, nor what another route takes', async () => {
    const result = await merged(
      [open('/pets/mine'), open('/pets/:id', { service: 'orders' })],
      [{ document: api(['/pets/{id}', '/pets/mine']) }],
    );
    assert.deepEqual(pathsOf(result), ['/pets/mine']);
  });

  it('says when a rewrite by regular expression cannot be undone', async () => {
    const regex = { rewrite: { regex: { pattern: '/a/(.*)', replacement: '/b/$1' } } };
    const result = await merged([open('/a/*', regex)], [{ document: api(['/b/c']) }]);
    assert.deepEqual(pathsOf(result), []);
    assert.match(result.problems.join(), /rewrite\.regex cannot be undone/);
  });

  it('reports an operation that two documents describe, and keeps the first', async () => {
    const two = [
      { document: api(['/pets/{id}'], { info: {} }), from: 'one.yaml' },
      { document: api(['/pets/{name}']), from: 'two.yaml' },
    ];
    const result = await merged([open('/pets/*')], two);
    assert.deepEqual(pathsOf(result), ['/pets/{id}']);
    assert.deepEqual(result.problems, ['two.yaml: GET /pets/{name} is described by one.yaml already']);
  });

  it('keeps different components of one name apart, with their references, and operation ids unique', async () => {
    const withPet = (path: string, type: string): Mapping => ({
      openapi: '3.1.0',
      components: { schemas: { Pet: { type, items: { $ref: '#/components/schemas/Pet' } } } },
      paths: {
        [path]: {
          get: {
            operationId: 'show',
            responses: {
              200: {
                description: '',
                content: { 'application/json': { schema: { $ref: '#/components/schemas/Pet' } } },
              },
            },
          },
        },
      },
    });
    const result = await merged(
      [open('/pets'), open('/orders', { service: 'orders' })],
      [
        { document: withPet('/pets', 'array') },
        { service: 'orders', from: 'orders.yaml', document: withPet('/orders', 'string') },
      ],
    );
    const { components } = result.forAudience('public') as { components: { schemas: Record<string, Mapping> } };
    assert.equal(components.schemas['Pet']?.['type'], 'array');
    assert.deepEqual(components.schemas['orders_Pet'], {
      type: 'string',
      items: { $ref: '#/components/schemas/orders_Pet' },
    });
    assert.equal(operationAt(result, '/pets')['operationId'], 'show');
    assert.equal(operationAt(result, '/orders')['operationId'], 'orders_show');
    assert.match(JSON.stringify(operationAt(result, '/orders')), /orders_Pet/);
  });

  it('adds what the route says: credentials, limits, errors; and takes what the service says of these away', async () => {
    const result = await merged(
      [
        {
          match: { path: '/pets' },
          service: 'pets',
          auth: { jwt: {}, scopes: ['pets:read'] },
          rateLimit: { by: 'ip', limits: ['60/1m'] },
        },
      ],
      [{ document: api(['/pets'], { security: [{ theirs: [] }] }) }],
    );
    const operation = operationAt(result, '/pets');
    assert.deepEqual(operation['security'], [{ bearer: ['pets:read'] }]);
    assert.match(String(operation['description']), /60\/1m by ip/);
    assert.deepEqual(Object.keys(operation['responses'] as object), ['401', '403', '429', '502', '503', '504']);
    assert.deepEqual(pathsOf(result, 'public'), []);
    assert.deepEqual(pathsOf(result, 'signed-in'), ['/pets']);
  });

  it('leaves operations marked for administrators to them, with components that only they use', async () => {
    const document: Mapping = {
      openapi: '3.1.0',
      components: { schemas: { Secret: { type: 'string' } } },
      paths: {
        '/pets': { get: { responses: {} } },
        '/pets/audit': {
          get: {
            'x-internal': true,
            parameters: [{ name: 'a', in: 'query', schema: { $ref: '#/components/schemas/Secret' } }],
          },
        },
      },
    };
    const result = await merged([open('/pets/*')], [{ document }]);
    assert.deepEqual(pathsOf(result, 'signed-in'), ['/pets']);
    assert.doesNotMatch(JSON.stringify(result.forAudience('signed-in')), /Secret|x-internal/);
    assert.match(JSON.stringify(result.forAudience('admin')), /Secret/);
  });

  it('lists routes that nobody described, with a name for the rest of the path', async () => {
    const routes = [
      open('/files/:rest/*', { match: { path: '/files/:rest/*', methods: ['GET'] } }),
      { match: { path: { regex: '/x/[0-9]+' } }, service: 'orders', auth: 'public' },
    ];
    const result = await merged(routes, [], { listUndescribed: true });
    assert.deepEqual(pathsOf(result), ['/files/{rest}/{rest_}']);
    assert.match(result.problems.join(), /regular expression has no place/);
  });
});
