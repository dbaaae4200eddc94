import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GatehouseConfig } from './define.ts';
import { defineConfig } from './define.ts';
import { loadConfig } from './load.ts';

/** True when both types are the same; used where a wrong type must stop `tsc`. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

test('defineConfig gives back a document that loads', async () => {
  const config = defineConfig({
    gateway: { port: 0, maxRequestSize: '1mb', timeouts: { head: 'off' } },
    services: {
      echo: { instances: ['http://127.0.0.1:4001', { url: 'http://127.0.0.1:4002', weight: 2 }], retries: 3 },
    },
    routes: [{ match: { path: '/echo/*', methods: ['GET'] }, service: 'echo', auth: 'public' }],
    'x-owner': { team: 'core' },
  });
  const result = await loadConfig({ document: config });
  assert.ok(result.ok);
  assert.equal(result.config.document.gateway.maxRequestSize, 1024 ** 2);
});

test('the types know the keys, so that the compiler refuses what loading would refuse', () => {
  type Route = NonNullable<GatehouseConfig['routes']>[number];
  const names: Same<Route['service'], string | { service: string; weight?: number | undefined }[] | undefined> = true;
  assert.ok(names);
  // @ts-expect-error an unknown key
  defineConfig({ gateway: { prot: 8000 } });
  // @ts-expect-error a value of the wrong type
  defineConfig({ gateway: { workers: 'all' } });
  // @ts-expect-error a path that is no text
  defineConfig({ routes: [{ match: { path: 7 }, service: 'a' }] });
});
