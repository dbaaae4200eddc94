import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bareDurationWarnings } from './bare-durations.ts';
import { inputSchema, type JsonSchema } from './json-schema.ts';
import { loadConfig } from './load.ts';
import { formatKey, formatProblem } from './problems.ts';
import { valueSource } from './source.ts';
import { allVariables } from './variables.ts';

type Path = readonly (string | number)[];

/** Where a duration may stand, anywhere in a document. */
function durationPlaces(): Path[] {
  const places = new Map<string, Path>();
  const walk = (schema: JsonSchema, path: Path): void => {
    if (schema['x-unit']?.startsWith('duration') === true) places.set(formatKey(path), path);
    for (const branch of [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])])
      walk(branch, path);
    for (const [key, inner] of Object.entries(schema.properties ?? {})) walk(inner, [...path, key]);
    if (typeof schema.additionalProperties === 'object') walk(schema.additionalProperties, [...path, 'any']);
    if (schema.items !== undefined) walk(schema.items, [...path, 0]);
  };
  walk(inputSchema(), []);
  return [...places.values()].filter((path) => !String(path.at(-1)).endsWith('Ms'));
}

function documentWith(path: Path, value: unknown): unknown {
  return path.reduceRight<unknown>((inner, part) => (typeof part === 'number' ? [inner] : { [part]: inner }), value);
}

function warnedKeys(document: unknown): string[] {
  return bareDurationWarnings(document, valueSource(document)).map(({ key }) => key);
}

test('5 without a unit is warned of wherever a duration may stand, 5s, 0 and 100 are not', () => {
  const places = durationPlaces();
  assert.ok(places.length > 100, `${places.length} places`);
  for (const path of places) {
    assert.deepEqual(warnedKeys(documentWith(path, 5)), [formatKey(path)]);
    assert.deepEqual(warnedKeys(documentWith(path, '5')), [formatKey(path)]);
    for (const clear of ['5s', '5ms', 0, 100, '100', 'off'])
      assert.deepEqual(warnedKeys(documentWith(path, clear)), []);
  }
});

test('numbers that are no durations, or name their unit, are not warned of', () => {
  const document = {
    gateway: { port: 80, workers: 4, rateLimit: { windowMs: 50 } },
    services: { a: { instances: [{ url: 'http://a', weight: 5 }], retries: { attempts: 3 } } },
  };
  assert.deepEqual(warnedKeys(document), []);
});

test('the line of the file is named, and the configuration is taken', async () => {
  const result = await loadConfig({ document: { routes: [], services: { a: { instances: [], timeout: 5 } } } });
  assert.ok(result.ok);
  assert.deepEqual(result.config.problems.map(formatProblem), [
    'warning: services.a.timeout: is 5 milliseconds; write a unit, such as 5s where seconds are meant',
  ]);
});

test('variables that stand for a duration are warned of below a second', async () => {
  const durations = new Set(durationPlaces().map(formatKey));
  const variables = allVariables().filter(({ path }) => durations.has(formatKey(path)));
  assert.ok(variables.some(({ name }) => name === 'SERVICE_TIMEOUT'));
  for (const { name, path } of variables)
    for (const [text, warns] of [
      // OpenTelemetry says milliseconds itself.
      ['300', !name.startsWith('OTEL_')],
      ['300ms', false],
      ['3s', false],
      ['3000', false],
    ] as const) {
      const result = await loadConfig({ document: { routes: [] }, env: { [name]: text } });
      const problems = result.ok ? result.config.problems : result.problems;
      const warned = problems.filter(({ key, message }) => key === formatKey(path) && message.includes('write a unit'));
      assert.equal(warned.length, warns ? 1 : 0, `${name}=${text}`);
    }
});
