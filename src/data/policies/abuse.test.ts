import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULTS, Fault, type FaultKind } from '../../base/errors.ts';
import { ABUSE_RULES_TOPIC, type AbuseRule, type AbuseRules, BANS_TOPIC, TRIP_TOPIC } from '../contract/limits.ts';
import type { Identity } from '../contract/policy.ts';
import { allocateLimits } from '../limiter/table.ts';
import { WorkerAbuse } from '../limiter/worker-abuse.ts';
import { abuseOptions } from './abuse.options.ts';
import { abuse } from './abuse.ts';
import { RecordingExchange, testEnvironment } from './testing.ts';

const perMinute = (limit: number) => ({ limit, windowMs: 60_000, algorithm: 'gcra', burst: limit }) as const;

const rules: readonly AbuseRule[] = [
  { name: 'guessing', events: ['unauthorized', 'forbidden'], by: 'address', limit: perMinute(3) },
  { name: 'greedy', events: ['tooMany'], by: 'user', limit: perMinute(2) },
  { name: 'leaked', events: ['forbidden'], by: 'key', limit: perMinute(1) },
  { name: 'scanning', events: ['scan'], by: 'address', limit: perMinute(1) },
  { name: 'nonsense', events: ['malformed'], by: 'address', limit: perMinute(2) },
];

function bench(more: Partial<AbuseRules> = {}) {
  const fake = testEnvironment();
  const environment = { ...fake, shared: { ...fake.shared, limits: allocateLimits(64 * 1024, fake.clock) } };
  fake.control.publish(ABUSE_RULES_TOPIC, {
    rules,
    exempt: ['10.0.0.0/8'],
    scanPaths: ['/.env', '/wp-login'],
    ...more,
  });
  const hooks = abuse.create({}, environment);
  const end = (
    status: number,
    facts: { address?: string; identity?: Identity; path?: string } = {},
    fault?: FaultKind,
  ): void => {
    const exchange = new RecordingExchange(facts);
    exchange.status = status;
    if (fault !== undefined) exchange.fault = new Fault(fault);
    hooks.finish?.(exchange);
  };
  const trips = () => fake.control.told.filter(({ topic }) => topic === TRIP_TOPIC).map(({ data }) => data);
  return { ...fake, hooks, end, trips, watch: WorkerAbuse.of(environment) };
}

const identity = (more: Partial<Identity> = {}): Identity => ({
  method: 'jwt',
  subject: 'ada',
  roles: [],
  scopes: [],
  plan: null,
  claims: {},
  upstreamHeaders: {},
  ...more,
});

test('more failed attempts than are borne are told to control, once', () => {
  const { clock, end, trips } = bench();
  for (let i = 0; i < 3; i++) end(401);
  assert.deepEqual(trips(), []);
  end(403);
  for (let i = 0; i < 20; i++) end(401);
  assert.deepEqual(trips(), [{ rule: 'guessing', kind: 'address', subject: '192.0.2.1' }]);
  clock.advance(2_000);
  end(401);
  assert.equal(trips().length, 2, 'it goes on, so it is told again');
});

test('events count by address, IPv6 by /64, by user and by key', () => {
  const { end, trips } = bench();
  for (let i = 0; i < 4; i++) end(401, { address: `2001:db8:0:1::${i}` });
  for (let i = 0; i < 3; i++) end(429, { identity: identity(), address: `192.0.2.${i}` });
  const key = identity({ method: 'apiKey', claims: { key_id: 'k1' } });
  for (let i = 0; i < 2; i++) end(403, { identity: key, address: `198.51.100.${i}` });
  assert.deepEqual(trips(), [
    { rule: 'guessing', kind: 'address', subject: '2001:db8:0:1::/64' },
    { rule: 'greedy', kind: 'user', subject: 'ada' },
    { rule: 'leaked', kind: 'key', subject: 'k1' },
  ]);
});

test('paths of scanners, refused heads, and requests that no route took count too', () => {
  const { end, trips, watch } = bench();
  end(404, { path: '/projects/7' });
  end(404, { path: '/.ENV' });
  end(404, { path: '/blog/wp-login.php' });
  for (let i = 0; i < 3; i++) watch.refused('192.0.2.9');
  const unrouted = new RecordingExchange({ path: '/.env', address: '192.0.2.8' });
  unrouted.fault = new Fault(FAULTS.routeNotFound);
  watch.ended(unrouted);
  watch.ended(unrouted);
  assert.deepEqual(trips(), [
    { rule: 'scanning', kind: 'address', subject: '192.0.2.1' },
    { rule: 'nonsense', kind: 'address', subject: '192.0.2.9' },
    { rule: 'scanning', kind: 'address', subject: '192.0.2.8' },
  ]);
});

test('a sign-in that fails is an event of its own', () => {
  const signIn: AbuseRule = { name: 'passwords', events: ['failedLogin'], by: 'address', limit: perMinute(1) };
  const { trips, watch } = bench({ rules: [signIn] });
  const header = (): null => null;
  const answer = { address: '192.0.2.5', header, identity: null, path: '/api/auth/login', status: 401, fault: null };
  for (let i = 0; i < 5; i++) watch.ended({ ...answer, method: 'GET', routeId: 'builtin:identity/api/auth' });
  for (let i = 0; i < 5; i++) watch.ended({ ...answer, method: 'POST', routeId: 'orders' });
  assert.deepEqual(trips(), []);
  for (let i = 0; i < 2; i++) watch.ended({ ...answer, method: 'POST', routeId: 'builtin:identity/api/auth' });
  assert.deepEqual(trips(), [{ rule: 'passwords', kind: 'address', subject: '192.0.2.5' }]);
});

test('a gRPC call counts by what its own status means', () => {
  const { trips, watch } = bench({
    rules: [{ name: 'keys', events: ['unauthorized'], by: 'address', limit: perMinute(1) }],
  });
  const call = { address: '192.0.2.6', header: () => null, identity: null, path: '/a.B/C', status: 200, fault: null };
  for (let i = 0; i < 5; i++) watch.ended({ ...call, outcome: 200, method: 'POST', routeId: 'calls' });
  assert.deepEqual(trips(), []);
  for (let i = 0; i < 2; i++) watch.ended({ ...call, outcome: 401, method: 'POST', routeId: 'calls' });
  assert.deepEqual(trips(), [{ rule: 'keys', kind: 'address', subject: '192.0.2.6' }]);
});

test('nothing counts against exempt addresses, nor a refusal because of a ban', () => {
  const { end, trips, watch } = bench();
  for (let i = 0; i < 10; i++) end(401, { address: '10.1.2.3' });
  for (let i = 0; i < 10; i++) end(403, {}, FAULTS.banned);
  for (let i = 0; i < 10; i++) end(200);
  assert.deepEqual(trips(), []);
  assert.deepEqual(watch.counts().events, {});
});

test('two workers count together', () => {
  const fake = testEnvironment();
  const shared = { ...fake.shared, limits: allocateLimits(64 * 1024, fake.clock) };
  fake.control.publish(ABUSE_RULES_TOPIC, { rules, exempt: [], scanPaths: [] });
  const workers = [0, 1].map(() => {
    const things = testEnvironment();
    return WorkerAbuse.of({ ...things, clock: fake.clock, control: fake.control, shared });
  });
  for (let i = 0; i < 4; i++) workers[i % 2]?.observe('unauthorized', '192.0.2.1', null);
  assert.equal(fake.control.told.length, 1);
});

test('banned addresses, users and keys are refused until the ban is over', () => {
  const { control, hooks, watch } = bench();
  const outcome = (phase: 'authenticate' | 'authorize', facts: { address?: string; identity?: Identity } = {}) => {
    const found = hooks[phase]?.(new RecordingExchange(facts));
    return found instanceof Fault ? found.kind.reason : undefined;
  };
  assert.equal(outcome('authenticate'), undefined);
  control.publish(BANS_TOPIC, { addresses: ['192.0.2.0/24', '2001:db8:0:1::/64'], users: ['ada'], keys: ['k1'] });
  assert.equal(outcome('authenticate'), 'banned');
  assert.equal(outcome('authenticate', { address: '2001:db8:0:1:2::3' }), 'banned');
  assert.equal(outcome('authenticate', { address: '192.0.3.1' }), undefined);
  assert.ok(watch.isBanned('192.0.2.77'));
  assert.equal(outcome('authorize', { identity: identity() }), 'banned');
  assert.equal(outcome('authorize', { identity: identity({ subject: 'bob' }) }), undefined);
  const key = { method: 'apiKey', subject: 'bob', claims: { key_id: 'k1' } };
  assert.equal(outcome('authorize', { identity: identity(key) }), 'banned');
  assert.equal(outcome('authorize', { identity: identity({ ...key, method: 'jwt' }) }), undefined);
  assert.equal(watch.counts().refused, 5);
  control.publish(BANS_TOPIC, { addresses: [], users: [], keys: [] });
  assert.equal(outcome('authenticate'), undefined);
});

test('a route that says nothing is watched', () => {
  const written = abuseOptions.schema.parse(abuseOptions.whenAbsent?.());
  assert.equal(written, 'on');
});
