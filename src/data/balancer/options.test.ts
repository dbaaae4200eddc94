import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { OptionContext } from '../contract/options.ts';
import { consistentHashOptions } from './algorithms/consistent-hash.options.ts';
import { customOptions } from './algorithms/custom.options.ts';
import { BALANCERS } from './index.ts';
import { BALANCER_OPTIONS } from './options.ts';

function context(files: Record<string, string> = {}): OptionContext {
  return {
    path: ['services', 'svc', 'loadBalancing'],
    env: {},
    resolve: (file) => `/etc/gateway/${file.replace(/^\.\//, '')}`,
    readText: (file) => files[file],
    secret: (id) => id,
    problem: () => {},
    warning: () => {},
  };
}

describe('options of the balancing algorithms', () => {
  it('are there for every algorithm, and for no other', () => {
    const names = [...BALANCERS.map((definition) => definition.name), 'custom'].sort();
    assert.deepEqual(
      BALANCER_OPTIONS.map((definition) => definition.algorithm),
      names,
    );
  });

  it('of consistent-hash become what the algorithm takes', () => {
    const compiled = (input: unknown): unknown =>
      consistentHashOptions.compile?.(consistentHashOptions.schema.parse(input), context());
    assert.deepEqual(compiled({ by: 'user' }), { by: 'user', name: '', loadFactor: 1.25 });
    assert.deepEqual(compiled({ by: { header: 'X-Tenant' } }), { by: 'header', name: 'x-tenant', loadFactor: 1.25 });
    assert.deepEqual(compiled({ by: { cookie: 'Basket' }, loadFactor: 2 }), {
      by: 'cookie',
      name: 'Basket',
      loadFactor: 2,
    });
    assert.deepEqual(compiled({ by: { query: 'id' }, loadFactor: 'off' }), { by: 'query', name: 'id', loadFactor: 0 });
  });

  it('of consistent-hash refuse what would not work', () => {
    for (const input of [
      {},
      { by: 'moon' },
      { by: { header: 'a b' } },
      { by: { query: 'a=b' } },
      { by: 'path', loadFactor: 1 },
    ]) {
      assert.equal(consistentHashOptions.schema.safeParse(input).success, false, JSON.stringify(input));
    }
  });

  it('of custom name a file that can be read', () => {
    const options = customOptions.schema.parse({ file: './pick.ts', options: { prefer: 'gpu' } });
    assert.deepEqual(customOptions.compile?.(options, context({ './pick.ts': 'export {}' })), {
      file: '/etc/gateway/pick.ts',
      options: { prefer: 'gpu' },
    });
    assert.equal(customOptions.compile?.(options, context()), undefined);
    assert.equal(customOptions.schema.safeParse({ file: './pick.json' }).success, false);
  });
});
