import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inputSchema, keysAt, placesOf } from './json-schema.ts';
import { sharedDefinitions } from './shared-definitions.ts';

/** The schema with every reference to a shared definition written out again. */
function writtenOut(value: unknown, definitions: Record<string, unknown>, own: ReadonlySet<string>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((inner) => writtenOut(inner, definitions, own));
  const name = /^#\/\$defs\/(.*)$/.exec(String((value as { $ref?: unknown }).$ref))?.[1];
  if (name !== undefined && !own.has(name)) return writtenOut(definitions[name], definitions, own);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, writtenOut(inner, definitions, own)]));
}

test('sharing definitions makes the schema smaller and changes nothing in what it means', () => {
  const schema = inputSchema() as { $defs?: Record<string, unknown> };
  const own = new Set(Object.keys(schema.$defs ?? {}));
  const shared = sharedDefinitions(schema);
  const { $defs: definitions = {}, ...rest } = shared;
  const before = { ...schema };
  const kept = Object.fromEntries(Object.entries(definitions).filter(([name]) => own.has(name)));
  const after = writtenOut({ ...rest, ...(own.size === 0 ? {} : { $defs: kept }) }, definitions, own);
  assert.deepEqual(after, before);
  assert.ok(JSON.stringify(shared).length <= JSON.stringify(schema).length);
});

test('what occurs once stays where it is', () => {
  const schema = { type: 'object', properties: { a: { type: 'string', description: 'x'.repeat(400) } } };
  assert.deepEqual(sharedDefinitions(schema), { ...schema, $defs: {} });
});

test('the keys that are possible at a place come from all alternatives there', () => {
  assert.ok(keysAt(['routes', 0, 'match', 'headers', 'x-a']).includes('regex'));
  assert.deepEqual(keysAt(['services', 'a', 'fallback']), ['service', 'respond']);
  assert.deepEqual(keysAt(['nowhere', 'at', 'all']), []);
});

test('a key that stands in one other place is found there', () => {
  assert.deepEqual(placesOf('circuitBreaker'), ['services.<name>.circuitBreaker']);
  assert.deepEqual(placesOf('nothing'), []);
});
