import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULTS, Fault } from '../../base/errors.ts';
import type { KeyPath, OptionContext } from '../contract/options.ts';
import { allocateLimits } from '../limiter/table.ts';
import { ipFilterOptions } from './ip-filter.options.ts';
import { type IpFilterSettings, ipFilter } from './ip-filter.ts';
import { RecordingExchange, testEnvironment } from './testing.ts';

function compile(written: object, path: KeyPath = ['routes', 0, 'ipFilter'], files: Record<string, string> = {}) {
  const secrets: Record<string, string> = {};
  const problems: string[] = [];
  const context: OptionContext = {
    path,
    env: {},
    resolve: (file) => file,
    readText: (file) => files[file],
    secret: (id, text) => {
      secrets[id] = text;
      return id;
    },
    problem: (message) => problems.push(message),
    warning: () => {},
  };
  const options = ipFilterOptions.schema.parse(written);
  const [policy] = ipFilterOptions.compile?.(options, context, { id: 'r', services: [] }) ?? [];
  return { settings: policy?.options as IpFilterSettings, secrets, problems };
}

function filterOf(written: object, path?: KeyPath, files?: Record<string, string>) {
  const { settings, secrets, problems } = compile(written, path, files);
  assert.deepEqual(problems, []);
  const fake = testEnvironment({ secrets });
  const environment = { ...fake, shared: { ...fake.shared, limits: allocateLimits(4_096, fake.clock) } };
  const hooks = ipFilter.create(settings, environment);
  const passes = (address: string): boolean => {
    const outcome = (hooks.arrival ?? hooks.authenticate)?.(new RecordingExchange({ address }));
    if (outcome instanceof Fault) assert.equal(outcome.kind, FAULTS.addressDenied);
    return outcome === undefined;
  };
  return { hooks, passes, again: () => ipFilter.create(settings, environment) };
}

test('deny refuses what it lists, allow refuses what it does not list, and deny wins', () => {
  const { passes } = filterOf({ allow: ['10.0.0.0/8', '2001:db8::/32'], deny: ['10.1.0.0/16'] });
  assert.deepEqual(['10.0.0.1', '10.1.0.1', '192.0.2.1', '2001:db8::1', '2001:db9::1'].map(passes), [
    true,
    false,
    false,
    true,
    false,
  ]);
  const deny = filterOf({ deny: ['192.0.2.0/24'] });
  assert.deepEqual(['192.0.2.1', '192.0.3.1', '::1'].map(deny.passes), [false, true, true]);
  assert.deepEqual(['192.0.2.1'].map(filterOf({ allow: [] }).passes), [false], 'an empty list lets nobody in');
});

test('on the gateway it acts on arrival with one hook for all routes, elsewhere before authentication', () => {
  const gateway = filterOf({ deny: ['192.0.2.1'] }, ['gateway', 'ipFilter']);
  assert.ok(gateway.hooks.arrival !== undefined && gateway.hooks.authenticate === undefined);
  assert.equal(gateway.again().arrival, gateway.hooks.arrival);
  const route = filterOf({ deny: ['192.0.2.1'] });
  assert.ok(route.hooks.arrival === undefined && route.hooks.authenticate !== undefined);
});

test('lists come from files too, with comments and empty lines', () => {
  const files = { 'bad.txt': '# known scanners\n192.0.2.1\r\n\n2001:DB8::/32  # a lab\n' };
  const { passes } = filterOf({ deny: ['198.51.100.0/24'], denyFile: 'bad.txt' }, undefined, files);
  assert.deepEqual(['192.0.2.1', '2001:db8::5', '198.51.100.9', '192.0.2.2'].map(passes), [false, false, false, true]);
});

test('a long list is not in the options', () => {
  const { settings, secrets } = compile({ deny: ['192.0.2.1', '::ffff:192.0.2.2'] });
  assert.deepEqual(settings, { allow: null, deny: 'deny', phase: 'authenticate' });
  assert.deepEqual(secrets, { deny: '192.0.2.1\n192.0.2.2' });
});

test('what is no list is refused', () => {
  assert.deepEqual(compile({}).problems, ['lists nothing']);
  assert.match(
    compile({ denyFile: 'x' }, undefined, { x: '1.2.3.4\nnonsense' }).problems.join(),
    /^line 2 of x: "nonsense" is not/,
  );
  assert.equal(ipFilterOptions.schema.safeParse({ deny: ['10.0.0.0/40'] }).success, false);
});
