import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as z from 'zod';
import type { PolicyOptionsDefinition } from '../../../data/contract/options.ts';
import { definePolicyOptions } from '../../../data/contract/options.ts';
import { loadConfig } from '../load.ts';
import { Compilation } from './context.ts';
import { compilePolicies } from './policies.ts';

const limitSchema = z.strictObject({ max: z.int() });
const auth = definePolicyOptions({
  key: 'auth',
  schema: z.strictObject({ scopes: z.array(z.string()).prefault([]) }),
  levels: ['route'],
  policy: 'auth-jwt',
  whenAbsent: () => ({}),
});
const limit = definePolicyOptions({ key: 'limit', schema: limitSchema, levels: ['gateway', 'service', 'route'] });
const count = definePolicyOptions({ key: 'count', schema: limitSchema, levels: ['gateway', 'route'], combine: 'all' });
const keyed = definePolicyOptions({
  key: 'keyed',
  schema: z.strictObject({ secret: z.string() }),
  levels: ['route'],
  compile: ({ secret }, context) => [{ name: 'keyed', options: { key: context.secret('key', secret) } }],
});

/** Levels as they are after checking, which needs a catalogue and is not what is tested here. */
async function policiesOf(
  levels: { gateway?: object; service?: object; route?: object },
  ...definitions: readonly PolicyOptionsDefinition[]
) {
  const loaded = await loadConfig({
    document: {
      services: { a: { instances: ['http://127.0.0.1:1'] } },
      routes: [{ match: { path: '/a' }, service: 'a' }],
    },
  });
  assert.ok(loaded.ok);
  const { document } = loaded.config;
  const compilation = new Compilation({
    ...loaded.config,
    document: {
      gateway: { ...document.gateway, ...levels.gateway },
      services: { a: { ...document.services['a']!, ...levels.service } },
      routes: [{ ...document.routes[0]!, ...levels.route }],
    },
  });
  const policies = compilePolicies(compilation, 0, { id: 'r', services: ['a'] }, definitions);
  return { policies, secrets: compilation.secrets };
}

test('a route that says nothing about authentication is as closed as one that asks for it', async () => {
  const { policies } = await policiesOf({}, auth);
  assert.deepEqual(policies, [{ name: 'auth-jwt', options: { scopes: [] } }]);
});

test('a route that says public is open', async () => {
  const { policies } = await policiesOf({ route: { auth: 'public' } }, auth);
  assert.deepEqual(policies, []);
});

test('the nearest level holds', async () => {
  const all = { gateway: { limit: { max: 1 } }, service: { limit: { max: 2 } }, route: { limit: { max: 3 } } };
  assert.deepEqual((await policiesOf(all, limit)).policies, [{ name: 'limit', options: { max: 3 } }]);
  assert.deepEqual((await policiesOf({ ...all, route: {} }, limit)).policies, [{ name: 'limit', options: { max: 2 } }]);
  assert.deepEqual((await policiesOf({ gateway: all.gateway }, limit)).policies, [
    { name: 'limit', options: { max: 1 } },
  ]);
});

test('off on a nearer level ends the wider one', async () => {
  const { policies } = await policiesOf({ gateway: { limit: { max: 1 } }, route: { limit: 'off' } }, limit);
  assert.deepEqual(policies, []);
});

test('off on a nearer level ends the wider ones of a policy that combines them', async () => {
  const { policies } = await policiesOf({ gateway: { count: { max: 1 } }, route: { count: 'off' } }, count);
  assert.deepEqual(policies, []);
});

test('a policy is told whether the route is public', async () => {
  const seen: unknown[] = [];
  const asking = definePolicyOptions({
    key: 'limit',
    schema: limitSchema,
    levels: ['gateway', 'service', 'route'],
    compile: (_options, _context, route) => {
      seen.push(route.isPublic);
      return [];
    },
  });
  for (const route of [{ auth: 'public' }, {}]) await policiesOf({ gateway: { limit: {} }, route }, auth, asking);
  assert.deepEqual(seen, [true, false]);
});

test('a policy that combines all levels is there once for each', async () => {
  const { policies } = await policiesOf({ gateway: { count: { max: 1 } }, route: { count: { max: 3 } } }, count);
  assert.deepEqual(policies, [
    { name: 'count', options: { max: 1 } },
    { name: 'count', options: { max: 3 } },
  ]);
});

test('a policy that says nothing when absent is absent', async () => {
  assert.deepEqual((await policiesOf({}, limit, count)).policies, []);
});

test('a secret of a policy travels beside the snapshot under an id of the route’s own', async () => {
  const { policies, secrets } = await policiesOf({ route: { keyed: { secret: 'hush' } } }, keyed);
  assert.deepEqual(policies, [{ name: 'keyed', options: { key: 'route/r/keyed/key' } }]);
  assert.deepEqual(secrets, { 'route/r/keyed/key': 'hush' });
});
