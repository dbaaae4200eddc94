import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as z from 'zod';
import type { SectionContext } from '../config/section.ts';
import { discoveryOptions, discoverySection, discoverySettings } from './options.ts';
import { servicesWithoutRegistry } from './plan.ts';
import { hashToken, registryOptions, registrySection, registrySettings } from './registry/options.ts';

const TOKEN = 'a-token-of-some-length';

interface Said {
  readonly problems: string[];
  readonly warnings: string[];
  readonly routes: string[];
}

function context(said: Said, env: Readonly<Record<string, string>> = {}): SectionContext {
  return {
    env,
    resolve: (file: string) => `/base/${file}`,
    problem: (message: string) => said.problems.push(message),
    warning: (message: string) => said.warnings.push(message),
    addRoute: (route: { path: string; service: string }) => said.routes.push(`${route.service} ${route.path}`),
  } as unknown as SectionContext;
}

const nothing = (): Said => ({ problems: [], warnings: [], routes: [] });
const read = (input: unknown) => discoverySettings(discoveryOptions.parse(input), (file) => `/base/${file}`);

function refusals(schema: z.ZodType, input: unknown): string[] | undefined {
  return schema.safeParse(input).error?.issues.map((issue) => issue.path.join('.'));
}

describe('discovery options', () => {
  it('fill in the defaults of dns', () => {
    assert.deepEqual(read({ dns: { name: 'projects.internal', port: 4001 } }).dns, {
      name: 'projects.internal',
      type: 'A',
      port: 4001,
      scheme: 'http',
      minTtlMs: 5_000,
      maxTtlMs: 300_000,
      intervalMs: 30_000,
      timeoutMs: 2_000,
      servers: [],
      whenEmpty: 'keep',
      weight: 1,
      zone: null,
    });
  });

  it('take a file as its path or as an object, relative to the configuration', () => {
    assert.deepEqual(read({ file: 'list.yaml' }).file, { path: '/base/list.yaml', pollIntervalMs: 5_000 });
    assert.deepEqual(read({ file: { path: 'l', pollInterval: '1s' } }).file, {
      path: '/base/l',
      pollIntervalMs: 1_000,
    });
  });

  it('take `registry: true`, `false` or rules', () => {
    assert.deepEqual(read({ registry: true }).registry, { allow: [], maxInstances: 256 });
    assert.equal(read({ registry: false }).registry, null);
    assert.deepEqual(read({ registry: { allow: ['10.0.0.0/8'] } }).registry, {
      allow: ['10.0.0.0/8'],
      maxInstances: 256,
    });
  });

  it('leave to the pod what kubernetes does not say', () => {
    assert.deepEqual(
      read({ kubernetes: { service: 'orders', apiServer: 'https://k:6443/', tokenFile: 't' } }).kubernetes,
      {
        service: 'orders',
        namespace: null,
        port: null,
        scheme: null,
        zones: 'hints',
        apiServer: 'https://k:6443',
        tokenFile: '/base/t',
        caFile: null,
      },
    );
  });

  const refused = [
    { name: 'an A name without a port', input: { dns: { name: 'a' } }, path: 'dns.port' },
    { name: 'a port beside SRV', input: { dns: { name: 'a', type: 'SRV', port: 1 } }, path: 'dns.port' },
    { name: 'a name that is none', input: { dns: { name: 'a b', port: 1 } }, path: 'dns.name' },
    { name: 'bounds the wrong way round', input: { dns: { name: 'a', port: 1, minTtl: '1h' } }, path: 'dns.minTtl' },
    {
      name: 'a name server by name',
      input: { dns: { name: 'a', port: 1, servers: ['ns.test'] } },
      path: 'dns.servers',
    },
    { name: 'an unknown source', input: { consul: {} }, path: '' },
    { name: 'a block that is none', input: { registry: { allow: ['10.0.0.0/99'] } }, path: 'registry' },
    { name: 'a Kubernetes name in capitals', input: { kubernetes: { service: 'Orders' } }, path: 'kubernetes.service' },
    {
      name: 'an API server that is no URL',
      input: { kubernetes: { service: 'o', apiServer: 'k:6443' } },
      path: 'kubernetes.apiServer',
    },
  ];
  for (const { name, input, path } of refused) {
    it(`refuse ${name}`, () => assert.deepEqual(refusals(discoveryOptions, input), [path]));
  }

  it('accept name servers with and without a port, also over IPv6', () => {
    const servers = ['10.0.0.2', '10.0.0.2:5353', '[::1]:5353', '::1'];
    assert.deepEqual(read({ dns: { name: 'a', port: 1, servers } }).dns?.servers, servers);
  });

  it('describe every key for the reference page', () => {
    for (const schema of [discoveryOptions, registryOptions]) {
      const { properties } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
      for (const [key, value] of Object.entries(properties ?? {})) {
        assert.ok(typeof value === 'object' && value.description, `${key} has a description`);
      }
    }
  });
});

describe('the discovery section', () => {
  it('gives nothing for a service without it', () => {
    assert.equal(discoverySection.compile(undefined, context(nothing())), null);
  });

  it('refuses a section that names no source', () => {
    const said = nothing();
    discoverySection.compile(discoveryOptions.parse({ registry: false }), context(said));
    assert.deepEqual(said.problems, ['names no source']);
  });

  it('warns of a cluster and a file that are not here, and refuses neither', () => {
    const said = nothing();
    const options = discoveryOptions.parse({ kubernetes: { service: 'o' }, file: 'none.yaml' });
    assert.ok(discoverySection.compile(options, context(said)));
    assert.deepEqual(said.problems, []);
    assert.deepEqual(said.warnings, [
      'this is not a Kubernetes pod and no API server is named',
      'the file does not exist yet',
    ]);
    const inPod = nothing();
    discoverySection.compile(
      discoveryOptions.parse({ kubernetes: { service: 'o' } }),
      context(inPod, { KUBERNETES_SERVICE_HOST: '10.0.0.1' }),
    );
    assert.deepEqual(inPod.warnings, []);
  });
});

describe('the registry section', () => {
  it('has defaults for all but the token, and keeps no token', () => {
    const section = registrySettings(registryOptions.parse({ token: TOKEN }));
    assert.deepEqual(section, {
      tokenHashes: [hashToken(TOKEN)],
      path: '/api/v1/registry',
      settings: {
        leaseMs: { default: 30_000, min: 5_000, max: 600_000 },
        restartGraceMs: 30_000,
        damping: { after: 3, holdMs: 10_000, maxHoldMs: 300_000, windowMs: 600_000 },
      },
    });
    assert.ok(!JSON.stringify(section).includes(TOKEN));
  });

  it('takes two tokens while one replaces the other', () => {
    assert.equal(registrySettings(registryOptions.parse({ token: [TOKEN, `${TOKEN}2`] })).tokenHashes.length, 2);
  });

  it('turns damping off', () => {
    const { damping } = registrySettings(registryOptions.parse({ token: TOKEN, damping: 'off' })).settings;
    assert.equal(damping.maxHoldMs, 0);
  });

  const refused = [
    { name: 'no token', input: {}, path: 'token' },
    { name: 'a short token', input: { token: 'short' }, path: 'token' },
    {
      name: 'a default lease outside of its bounds',
      input: { token: TOKEN, lease: { default: '1s' } },
      path: 'lease.default',
    },
    { name: 'a hold longer than the longest', input: { token: TOKEN, damping: { hold: '1h' } }, path: 'damping' },
    { name: 'a path that is none', input: { token: TOKEN, path: 'registry' }, path: 'path' },
  ];
  for (const { name, input, path } of refused) {
    it(`refuses ${name}`, () => assert.deepEqual(refusals(registryOptions, input), [path]));
  }

  it('adds its route, and none when it is absent', () => {
    const said = nothing();
    registrySection.compile(registryOptions.parse({ token: TOKEN }), context(said));
    registrySection.compile(undefined, context(said));
    assert.deepEqual(said.routes, ['builtin:registry /api/v1/registry/*']);
  });

  it('names services that take registrations though there is no registry', () => {
    const section = registrySettings(registryOptions.parse({ token: TOKEN }));
    const discovery = new Map([
      ['a', read({ registry: true })],
      ['b', read({ file: 'x' })],
      ['c', null],
    ]);
    assert.deepEqual(servicesWithoutRegistry(null, discovery), ['a']);
    assert.deepEqual(servicesWithoutRegistry(section, discovery), []);
  });
});
