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
  type Target = { readonly service: string; readonly weight?: number | undefined };
  const names: Same<Route['service'], string | readonly Target[] | undefined> = true;
  assert.ok(names);
  // @ts-expect-error an unknown key
  defineConfig({ gateway: { prot: 8000 } });
  // @ts-expect-error a value of the wrong type
  defineConfig({ gateway: { workers: 'all' } });
  // @ts-expect-error a path that is no text
  defineConfig({ routes: [{ match: { path: 7 }, service: 'a' }] });
});

test('each algorithm has its own options, and a route names a service that is there', () => {
  const instances = ['http://127.0.0.1:4001'];
  defineConfig({
    services: {
      plain: { instances, loadBalancing: { healthCheckInterval: '5s' } },
      least: { instances, loadBalancing: { algorithm: 'least-connections' } },
      hash: { instances, loadBalancing: { algorithm: 'consistent-hash', by: { header: 'X-Tenant' }, loadFactor: 2 } },
      own: { instances, loadBalancing: { algorithm: 'custom', file: './balancer.ts', options: { a: 1 } } },
    },
    routes: [
      { match: { path: '/a' }, service: 'hash', auth: 'public' },
      { match: { path: '/b' }, service: [{ service: 'own', weight: 9 }, { service: 'plain' }], auth: 'public' },
    ],
  });
  // @ts-expect-error no such algorithm
  defineConfig({ services: { s: { instances, loadBalancing: { algorithm: 'consistant-hash', by: 'path' } } } });
  // @ts-expect-error an option of another algorithm
  defineConfig({ services: { s: { instances, loadBalancing: { algorithm: 'consistent-hash', file: './x.ts' } } } });
  // @ts-expect-error a service that is not there
  defineConfig({ services: { s: { instances } }, routes: [{ match: { path: '/a' }, service: 't' }] });
  // @ts-expect-error nor in a list
  defineConfig({ services: { s: { instances } }, routes: [{ match: { path: '/a' }, service: [{ service: 't' }] }] });
});
