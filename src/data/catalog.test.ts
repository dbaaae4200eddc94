import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { BALANCERS } from './balancer/index.ts';
import { BALANCER_OPTIONS, POLICY_OPTIONS } from './catalog.ts';
import type { PolicyOptionsDefinition } from './contract/options.ts';
import { POLICIES } from './policies/index.ts';

const definitions = POLICY_OPTIONS as readonly PolicyOptionsDefinition[];
/** Two keys may be one policy: `validate` and `openapi`. */
const named = [...new Set(definitions.map(({ key, policy }) => policy ?? key))].sort();

test('every policy that a configuration can name exists, and every policy can be named', () => {
  assert.deepEqual(named, POLICIES.map(({ name }) => name).sort());
});

test('a policy and its options are in files of its name', () => {
  for (const name of named) {
    for (const file of [`./policies/${name}.ts`, `./policies/${name}.options.ts`]) {
      assert.ok(existsSync(new URL(file, import.meta.url)), file);
    }
  }
});

test('the lists are sorted and name nothing twice', () => {
  const keys = definitions.map(({ key }) => key);
  const algorithms = BALANCER_OPTIONS.map(({ algorithm }) => algorithm);
  for (const list of [keys, algorithms]) assert.deepEqual(list, [...new Set(list)].sort());
});

test('every balancing algorithm can be named, and custom is the one without a file of the project’s', () => {
  const algorithms = BALANCER_OPTIONS.map(({ algorithm }): string => algorithm).filter((name) => name !== 'custom');
  assert.deepEqual(algorithms, BALANCERS.map(({ name }) => name).sort());
});

test('no file that worker threads load imports zod', () => {
  const loaded = new Set<string>();
  const follow = (url: URL): void => {
    if (loaded.has(url.href)) return;
    loaded.add(url.href);
    const text = readFileSync(url, 'utf8');
    for (const [, clause = '', path = ''] of text.matchAll(/^(?:import|export)\s+([^'";]*?)\s*from\s*'([^']+)'/gms)) {
      if (clause.startsWith('type ')) continue;
      assert.notEqual(path, 'zod', url.pathname);
      if (path.startsWith('.')) follow(new URL(path, url));
    }
  };
  follow(new URL('./worker.ts', import.meta.url));
  assert.ok(loaded.size > 20, `${loaded.size} files`);
});
