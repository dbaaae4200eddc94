import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { InstanceSettings, ServiceSettings, Snapshot } from '../../data/contract/snapshot.ts';
import { healthCheckOptions, healthCheckSettings } from './options.ts';
import { healthTargets } from './targets.ts';

const INSTANCE: InstanceSettings = {
  id: 'app/http://[::1]:81/api',
  slot: 4,
  url: 'http://[::1]:81/api',
  protocol: 'http',
  host: '[::1]',
  port: 81,
  socketPath: null,
  basePath: '/api',
  weight: 1,
  zone: null,
  healthy: false,
  metadata: {},
};

/** Only what this function reads. */
function snapshot(instance: Partial<InstanceSettings>, tls: ServiceSettings['tls'] = null): Snapshot {
  const service = { name: 'app', instances: [{ ...INSTANCE, ...instance }], tls } as unknown as ServiceSettings;
  return { services: [service] } as unknown as Snapshot;
}

const check = (input: object) => new Map([['app', healthCheckSettings(healthCheckOptions.parse(input))]]);

describe('healthTargets', () => {
  it('lists instances without a check too, with their slot and configured health', () => {
    const [target] = healthTargets(snapshot({}), {}, new Map());
    assert.deepEqual(
      [target?.instance, target?.slot, target?.configuredHealthy, target?.check],
      [INSTANCE.id, 4, false, null],
    );
  });

  it('takes http or https from the instance unless the check names a kind', () => {
    const kind = (protocol: 'http' | 'https', input: object) =>
      healthTargets(snapshot({ protocol }), {}, check(input))[0]?.kind;
    assert.deepEqual(
      [kind('http', {}), kind('https', {}), kind('https', { kind: 'tcp' }), kind('http', { kind: 'https' })],
      ['http', 'https', 'tcp', 'https'],
    );
  });

  it('takes the brackets off an IPv6 address and keeps the base path', () => {
    const address = healthTargets(snapshot({}), {}, check({}))[0]?.address;
    assert.deepEqual([address?.host, address?.port, address?.basePath], ['::1', 81, '/api']);
  });

  it('leaves the unix socket for a port of its own', () => {
    const address = (input: object) => healthTargets(snapshot({ socketPath: '/run/x' }), {}, check(input))[0]?.address;
    assert.deepEqual([address({})?.socketPath, address({})?.port], ['/run/x', 81]);
    assert.deepEqual([address({ port: 90 })?.socketPath, address({ port: 90 })?.port], [null, 90]);
  });

  it('puts the PEM texts of the service in', () => {
    const tls = { serverName: 'app.test', ca: 'ca-id', cert: null, key: 'missing', verify: true };
    const [target] = healthTargets(snapshot({}, tls), { 'ca-id': 'PEM' }, check({}));
    assert.deepEqual(target?.address.tls, { serverName: 'app.test', ca: 'PEM', cert: null, key: null, verify: true });
  });
});
