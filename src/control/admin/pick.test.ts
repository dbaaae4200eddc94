import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServiceReport } from '../ops/services.ts';
import type { Override } from '../overrides.ts';
import { pick, pickServices } from './pick.ts';

const service = (name: string, ...hosts: string[]): ServiceReport =>
  ({ name, instances: hosts.map((host) => ({ id: `${name}@${host}`, url: `http://${host}` })) }) as never;
const services = [service('orders', '10.0.0.1:80', '10.0.0.2:80'), service('users', '10.0.1.1:80'), service('empty')];
const override = (more: object): Override =>
  ({ value: true, owner: 'a', reason: 'b', since: '', until: null, ...more }) as never;

test('a text is found in any case, and no more than asked for is given', () => {
  const names = ['Orders', 'orders-old', 'users'];
  assert.deepEqual(
    pick(names, { q: 'ORDERS', limit: 1 }, (name) => name),
    { found: ['Orders'], matching: 2 },
  );
  assert.equal(pick(names, { q: '', limit: 9 }, (name) => name).matching, 3);
});

test('a service is found by its name with all instances, by an instance with that one', () => {
  const shape = (q: string, limit = 100) =>
    pickServices(services, [], { q, limit }).services.map(({ name, instances, matching, total }) => [
      name,
      instances.map(({ id }) => id),
      matching,
      total,
    ]);
  assert.deepEqual(shape('order'), [['orders', ['orders@10.0.0.1:80', 'orders@10.0.0.2:80'], 2, 2]]);
  assert.deepEqual(shape('10.0.0.2'), [['orders', ['orders@10.0.0.2:80'], 1, 2]]);
  assert.deepEqual(shape('http://10.0.1.1'), [['users', ['users@10.0.1.1:80'], 1, 1]]);
  assert.equal(shape('').length, 3);
  assert.deepEqual(shape('nothing'), []);
});

test('instances over all services are no more than the limit, and what is left out is counted', () => {
  const { services: found, matching, total } = pickServices(services, [], { q: '', limit: 1 });
  assert.deepEqual(
    found.map(({ name, instances, matching: of }) => [name, instances.length, of]),
    [['orders', 1, 2]],
  );
  assert.deepEqual([matching, total], [3, 3]);
});

test('what operators changed stands with its service, also what is not there any more', () => {
  const overrides = [
    override({
      kind: 'removed',
      target: 'orders@10.0.0.3:80',
      instance: { service: 'orders', url: 'http://10.0.0.3' },
    }),
    override({ kind: 'breaker', target: 'users' }),
    override({ kind: 'drain', target: 'users@10.0.1.1:80' }),
    override({ kind: 'logLevel', target: 'gateway' }),
  ];
  const kinds = (q: string) =>
    pickServices(services, overrides, { q, limit: 100 }).services.map(({ name, byHand }) => [
      name,
      byHand.map(({ kind }) => kind),
    ]);
  assert.deepEqual(kinds('')[1], ['users', ['breaker', 'drain']]);
  assert.deepEqual(kinds('10.0.0.3'), [['orders', ['removed']]], 'one that was taken out is found too');
});
