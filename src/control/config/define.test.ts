import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type * as z from 'zod';
import type { POLICY_OPTIONS } from '../../data/catalog.ts';
import type { PolicyLevel, PolicyOptionsDefinition } from '../../data/contract/options.ts';
import type { SectionInputs } from '../sections.ts';
import type { GatehouseConfig, GatewayConfig, RouteConfig, ServiceConfig } from './define.ts';
import { defineConfig } from './define.ts';
import { loadConfig } from './load.ts';
import type { GatewayInput } from './schema/gateway.ts';
import type { RouteInput } from './schema/route.ts';
import type { ServiceInput } from './schema/service.ts';

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

test('a route names an issuer that is there, and `identity`', () => {
  const issuers = { corp: { issuer: 'https://id.example.com', audience: 'api' }, shop: { secret: 'x'.repeat(32) } };
  const routeOf = { match: { path: '/a' }, respond: { status: 200 } } as const;
  defineConfig({ issuers, routes: [{ ...routeOf, auth: { jwt: { issuers: ['corp', 'identity', 'shop'] } } }] });
  defineConfig({ issuers, gateway: { auth: { jwt: { issuers: ['shop', { secret: 'y'.repeat(32) }] } } } });
  defineConfig({ routes: [{ ...routeOf, auth: { jwt: { issuers: ['identity'] } } }] });
  // @ts-expect-error an issuer that is not there
  defineConfig({ issuers, routes: [{ ...routeOf, auth: { jwt: { issuers: ['corq'] } } }] });
  // @ts-expect-error nor on the gateway
  defineConfig({ issuers, gateway: { auth: { jwt: { issuers: ['corq'] } } } });
  const instances = ['http://127.0.0.1:1'];
  // @ts-expect-error nor on a service
  defineConfig({ issuers, services: { s: { instances, auth: { jwt: { issuers: ['corq'] } } } } });
  // @ts-expect-error nor where there are none
  defineConfig({ routes: [{ ...routeOf, auth: { jwt: { issuers: ['corp'] } } }] });
});

test('what other keys say of services and issuers is held to names that are there', () => {
  const services = { a: { instances: ['http://127.0.0.1:1'] }, b: { instances: ['http://127.0.0.1:2'] } };
  defineConfig({
    services: { ...services, c: { instances: ['http://127.0.0.1:3'], fallback: { service: 'a' } } },
    routes: [{ match: { path: '/a' }, service: 'a', mirror: { service: 'b', ratio: '10%' }, auth: 'public' }],
  });
  // @ts-expect-error the fallback of a service
  defineConfig({ services: { c: { instances: ['http://127.0.0.1:3'], fallback: { service: 'x' } } } });
  const copied = { match: { path: '/a' }, auth: 'public' } as const;
  // @ts-expect-error who gets copies
  defineConfig({ services, routes: [{ ...copied, service: 'a', mirror: { service: 'x' } }] });
});

// What is written for people says no more and no less than what the schemas take.

type Policies = (typeof POLICY_OPTIONS)[number];
type PolicyInputs<Level extends PolicyLevel> = {
  readonly [Policy in Policies as Policy extends PolicyOptionsDefinition
    ? Level extends Policy['levels'][number]
      ? Policy['key']
      : never
    : never]?: Policy extends PolicyOptionsDefinition ? z.input<Policy['schema']> : never;
};
/** As the compiler sees it where it need not know which lists are constant. */
type Loose<T> = unknown extends T
  ? // biome-ignore lint/suspicious/noExplicitAny: what a schema reads by itself has no type there
    any
  : T extends string | number | boolean | null | undefined
    ? T
    : T extends readonly (infer Item)[]
      ? Loose<Item>[]
      : { -readonly [Key in keyof T]: Loose<T[Key]> };
type Takes<Written, Schema> = Loose<Schema> extends Loose<Written> ? true : false;
type SameKeys<Written, Schema> = [Exclude<keyof Written, keyof Schema>, Exclude<keyof Schema, keyof Written>] extends [
  never,
  never,
]
  ? true
  : [Exclude<keyof Written, keyof Schema>, Exclude<keyof Schema, keyof Written>];

test('the types take what the schemas take, key by key', () => {
  const taken: [
    Takes<GatewayConfig, GatewayInput>,
    // Kinds of faults are plain texts to the compiler in the schema.
    Takes<ServiceConfig, Omit<ServiceInput, 'loadBalancing' | 'retries'>>,
    Takes<RouteConfig, Omit<RouteInput, 'auth'>>,
    Takes<GatehouseConfig, SectionInputs<'top'>>,
    Takes<GatewayConfig, SectionInputs<'gateway'> & PolicyInputs<'gateway'>>,
    Takes<ServiceConfig, SectionInputs<'service'> & PolicyInputs<'service'>>,
    Takes<Omit<RouteConfig, 'match'>, PolicyInputs<'route'>>,
  ] = [true, true, true, true, true, true, true];
  const keys: [
    SameKeys<GatewayConfig, GatewayInput & SectionInputs<'gateway'> & PolicyInputs<'gateway'>>,
    SameKeys<ServiceConfig, ServiceInput & SectionInputs<'service'> & PolicyInputs<'service'>>,
    SameKeys<RouteConfig, RouteInput & PolicyInputs<'route'>>,
  ] = [true, true, true];
  assert.ok([...taken, ...keys].every((same) => same));
});

test('editors show what a key means, its range and its default', () => {
  const types = readFileSync(new URL('written.ts', import.meta.url), 'utf8');
  const [, comment] = /\/\*\* (.*) \*\/\n\s*readonly resetTimeout\?/.exec(types) ?? [];
  assert.match(comment ?? '', /^How long .* Values: duration .*Default: `30s`\.$/);
});
