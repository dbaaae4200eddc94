import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { KubernetesSettings } from './kubernetes.ts';
import { endpointSlice, instancesOf } from './kubernetes-slices.ts';

const SETTINGS: KubernetesSettings = {
  service: 'orders',
  namespace: 'shop',
  port: null,
  scheme: null,
  zones: 'hints',
  apiServer: null,
  tokenFile: null,
  caFile: null,
};

function read(slices: readonly object[], settings: Partial<KubernetesSettings> = {}) {
  const parsed = slices.map((slice, index) =>
    endpointSlice.parse({
      metadata: { name: `s${index}` },
      addressType: 'IPv4',
      ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
      ...slice,
    }),
  );
  const { instances, problem } = instancesOf(parsed, { ...SETTINGS, ...settings });
  return { urls: instances.map((instance) => instance.url), instances, problem };
}

const at = (address: string, more: object = {}) => ({ addresses: [address], ...more });

describe('EndpointSlices', () => {
  it('give ready endpoints of all slices, sorted; an absent `ready` is ready', () => {
    const { urls } = read([
      {
        endpoints: [at('10.0.0.3', { conditions: { ready: true } }), at('10.0.0.2', { conditions: { ready: false } })],
      },
      { endpoints: [at('10.0.0.1'), at('10.0.0.4', { conditions: { ready: null } })] },
    ]);
    assert.deepEqual(urls, ['http://10.0.0.1:8080', 'http://10.0.0.3:8080', 'http://10.0.0.4:8080']);
  });

  it('leave out what is terminating, unless nothing is ready', () => {
    const leaving = at('10.0.0.9', { conditions: { ready: false, serving: true, terminating: true } });
    assert.deepEqual(read([{ endpoints: [leaving, at('10.0.0.1')] }]).urls, ['http://10.0.0.1:8080']);
    assert.deepEqual(read([{ endpoints: [leaving] }]).urls, ['http://10.0.0.9:8080']);
    const dead = at('10.0.0.8', { conditions: { ready: false, serving: false, terminating: true } });
    assert.deepEqual(read([{ endpoints: [dead] }]).urls, []);
  });

  it('count an endpoint that is in two slices once', () => {
    const { urls } = read([
      { endpoints: [at('10.0.0.1', { conditions: { ready: false } })] },
      { endpoints: [at('10.0.0.1')] },
    ]);
    assert.deepEqual(urls, ['http://10.0.0.1:8080']);
  });

  it('know IPv6 addresses and host names, and use the first of several addresses', () => {
    const { urls } = read([
      { addressType: 'IPv6', endpoints: [at('2001:db8::1')] },
      { addressType: 'FQDN', endpoints: [{ addresses: ['db.example.com', 'other.example.com'] }] },
    ]);
    assert.deepEqual(urls, ['http://[2001:db8::1]:8080', 'http://db.example.com:8080']);
  });

  const ports = [
    { name: 'http', port: 8080 },
    { name: 'admin', port: 9090, protocol: 'TCP' },
    { name: 'dns', port: 53, protocol: 'UDP' },
  ];
  const several = 'there are several ports (http (8080), admin (9090)); name one with `port`';
  const portRows = [
    { name: 'a port by name', port: 'admin', want: ['http://10.0.0.1:9090'], problem: null },
    { name: 'a port by number', port: 8080, want: ['http://10.0.0.1:8080'], problem: null },
    { name: 'which of several ports, when it is not said', port: null, want: [], problem: several },
    {
      name: 'no UDP port',
      port: 'dns',
      want: [],
      problem: 'there is no TCP port dns; there are: http (8080), admin (9090)',
    },
  ];
  for (const row of portRows) {
    it(`find ${row.name}`, () => {
      const { urls, problem } = read([{ ports, endpoints: [at('10.0.0.1')] }], { port: row.port });
      assert.deepEqual([urls, problem], [row.want, row.problem]);
    });
  }

  it('may name another number for a port in each slice', () => {
    const slice = (port: number, address: string) => ({ ports: [{ name: 'web', port }], endpoints: [at(address)] });
    const { urls } = read([slice(81, '10.0.0.1'), slice(82, '10.0.0.2')], { port: 'web' });
    assert.deepEqual(urls, ['http://10.0.0.1:81', 'http://10.0.0.2:82']);
  });

  it('say nothing of ports while there are no endpoints', () => {
    assert.deepEqual(read([{ ports: [], endpoints: null }]).problem, null);
  });

  it('follow the appProtocol of the port, unless the scheme is set', () => {
    const slice = { ports: [{ port: 443, appProtocol: 'https' }], endpoints: [at('10.0.0.1')] };
    assert.deepEqual(read([slice]).urls, ['https://10.0.0.1']);
    assert.deepEqual(read([slice], { scheme: 'http' }).urls, ['http://10.0.0.1:443']);
  });

  it('take the zone from the hint, or from where the endpoint is', () => {
    const hints = (...names: string[]) => ({ forZones: names.map((name) => ({ name })) });
    const endpoints = [
      at('10.0.0.1', { zone: 'a', hints: hints('b') }),
      at('10.0.0.2', { zone: 'a', hints: hints('b', 'a') }),
      at('10.0.0.3', { zone: 'a' }),
      at('10.0.0.4'),
    ];
    const zones = (by: 'hints' | 'endpoint') => read([{ endpoints }], { zones: by }).instances.map(({ zone }) => zone);
    assert.deepEqual(zones('hints'), ['b', 'a', 'a', null]);
    assert.deepEqual(zones('endpoint'), ['a', 'a', 'a', null]);
  });

  it('name pod and node in the metadata', () => {
    const endpoint = at('10.0.0.1', {
      nodeName: 'n1',
      targetRef: { kind: 'Pod', name: 'orders-1', namespace: 'shop' },
    });
    assert.deepEqual(read([{ endpoints: [endpoint] }]).instances[0]?.metadata, { pod: 'orders-1', node: 'n1' });
  });

  it('are refused when an address could be anything but an address', () => {
    assert.throws(() => read([{ endpoints: [at('10.0.0.1/../x')] }]));
    assert.throws(() => read([{ endpoints: [{ addresses: [] }] }]));
  });
});
