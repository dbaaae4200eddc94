import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '../../base/clock.ts';
import { FAULTS, Fault } from '../../base/errors.ts';
import type { LimitBlock, LimitPhase, RateLimitSettings } from '../contract/limits.ts';
import { PLANS_TOPIC, parseLimit } from '../contract/limits.ts';
import type { Identity, PolicyEnvironment, PolicyHooks } from '../contract/policy.ts';
import { allocateLimits } from '../limiter/table.ts';
import { WorkerLimits } from '../limiter/worker-limits.ts';
import { rateLimit } from './rate-limit.ts';
import { type ExchangeFacts, HandheldControl, RecordingExchange, testEnvironment } from './testing.ts';

const limit = (text: string) => {
  const rule = parseLimit(text);
  assert.ok(typeof rule !== 'string', String(rule));
  return rule;
};

const block = (more: Partial<LimitBlock> & { phase?: LimitPhase } = {}): RateLimitSettings['blocks'][number] => ({
  by: [{ kind: 'ip' }],
  rules: [],
  plan: false,
  methods: [],
  cost: 1,
  costHeader: null,
  scope: 'route:r',
  phase: 'limit',
  ...more,
});

const settings = (...blocks: RateLimitSettings['blocks']): RateLimitSettings => ({
  blocks,
  legacyHeaders: true,
  standardHeaders: true,
});

interface Bench {
  readonly clock: FakeClock;
  readonly control: HandheldControl;
  readonly environment: PolicyEnvironment;
  make(options: RateLimitSettings): PolicyHooks;
}

function bench(): Bench {
  const clock = new FakeClock();
  const control = new HandheldControl();
  const limits = allocateLimits(64 * 1024, clock);
  const fake = testEnvironment({ clock });
  const environment = { ...fake, control, shared: { ...fake.shared, limits } };
  control.publish(PLANS_TOPIC, {
    defaultPlan: 'standard',
    plans: {
      standard: { limits: [limit('2/1m'), limit('3/1h')], occasions: [] },
      premium: {
        limits: [limit('4/1m')],
        occasions: [
          { name: 'launch', startMs: clock.wallMs() + 600_000, endMs: clock.wallMs() + 1_200_000, factor: 2, extra: 1 },
        ],
      },
    },
  });
  return { clock, control, environment, make: (options) => rateLimit.create(options, environment) };
}

const identity = (subject: string, more: Partial<Identity> = {}): Identity => ({
  method: 'jwt',
  subject,
  roles: [],
  scopes: [],
  plan: null,
  claims: {},
  upstreamHeaders: {},
  notes: null,
  ...more,
});

function send(hooks: PolicyHooks, facts: ExchangeFacts = {}, phase: LimitPhase = 'limit') {
  const exchange = new RecordingExchange(facts);
  const outcome = hooks[phase]?.(exchange);
  return { exchange, outcome, passed: outcome === undefined };
}

test('callers are told how much is left, in both dialects, also when they pass', () => {
  const { clock, make } = bench();
  const hooks = make(settings(block({ rules: [limit('60/1m'), limit('1000/1h')] })));
  const { exchange, passed } = send(hooks);
  assert.ok(passed);
  assert.equal(exchange.downstreamHeader('x-ratelimit-limit'), '60');
  assert.equal(exchange.downstreamHeader('x-ratelimit-remaining'), '59');
  assert.equal(exchange.downstreamHeader('x-ratelimit-reset'), String(clock.wallMs() / 1000 + 1));
  assert.equal(exchange.downstreamHeader('ratelimit-policy'), '"ip-1m";q=60;w=60, "ip-1h";q=1000;w=3600');
  assert.equal(exchange.downstreamHeader('ratelimit'), '"ip-1m";r=59;t=59');
});

test('the message of the 429 can be another, with the plan in it', () => {
  const { make } = bench();
  const hooks = make({ ...settings(block({ rules: [limit('1/1m')] })), message: 'slow down{plan}' });
  assert.ok(send(hooks).passed);
  const { outcome } = send(hooks);
  assert.ok(outcome instanceof Fault);
  assert.deepEqual([outcome.message, outcome.detail], ['slow down', undefined]);
});

test('above the limit the answer is 429, says when to come back and which limit it was', () => {
  const { clock, make } = bench();
  const hooks = make(settings(block({ rules: [limit('2/1m')] })));
  assert.ok(send(hooks).passed && send(hooks).passed);
  const { exchange, outcome } = send(hooks);
  assert.ok(outcome instanceof Fault);
  assert.equal(outcome.kind, FAULTS.rateLimitExceeded);
  assert.equal(outcome.retryAfterSeconds, 30);
  assert.equal(outcome.detail, 'limit ip-1m');
  assert.equal(exchange.downstreamHeader('x-ratelimit-remaining'), '0');
  assert.equal(exchange.downstreamHeader('ratelimit'), '"ip-1m";r=0;t=30');
  assert.equal(exchange.logged['limit'], 'ip-1m');
  clock.advance(30_000);
  assert.ok(send(hooks).passed);
});

test('every address has its own counter, IPv6 by /64', () => {
  const { make } = bench();
  const hooks = make(settings(block({ rules: [limit('1/1m')] })));
  assert.ok(send(hooks, { address: '192.0.2.1' }).passed);
  assert.ok(!send(hooks, { address: '192.0.2.1' }).passed);
  assert.ok(send(hooks, { address: '192.0.2.2' }).passed);
  assert.ok(send(hooks, { address: '2001:db8:0:1::1' }).passed);
  assert.ok(!send(hooks, { address: '2001:db8:0:1:ffff::2' }).passed);
  assert.ok(send(hooks, { address: '2001:db8:0:2::1' }).passed);
});

test('users, keys, headers, methods and their combinations count apart; what is missing falls back to the address', () => {
  const { make } = bench();
  const one = [limit('1/1m')];
  const byUser = make(settings(block({ by: [{ kind: 'user' }], rules: one, scope: 'a' })));
  assert.ok(send(byUser, { identity: identity('ada') }).passed);
  assert.ok(!send(byUser, { identity: identity('ada'), address: '192.0.2.9' }).passed);
  assert.ok(send(byUser, { identity: identity('bob') }).passed);
  assert.ok(send(byUser).passed);
  assert.ok(!send(byUser).passed);

  const byKey = make(settings(block({ by: [{ kind: 'apiKey' }], rules: one, scope: 'b' })));
  const key = (id: string) => identity('ada', { method: 'apiKey', claims: { key_id: id } });
  assert.ok(send(byKey, { identity: key('k1') }).passed);
  assert.ok(send(byKey, { identity: key('k2') }).passed);
  assert.ok(!send(byKey, { identity: key('k1') }).passed);
  assert.ok(send(byKey, { identity: identity('ada') }).passed, 'a token of the same user is no key');

  const byHeader = make(settings(block({ by: [{ kind: 'header', name: 'x-tenant' }], rules: one, scope: 'c' })));
  assert.ok(send(byHeader, { headers: { 'x-tenant': 'one' } }).passed);
  assert.ok(send(byHeader, { headers: { 'x-tenant': 'two' } }).passed);
  assert.ok(!send(byHeader, { headers: { 'x-tenant': 'one' } }).passed);

  const byBoth = make(settings(block({ by: [{ kind: 'user' }, { kind: 'method' }], rules: one, scope: 'd' })));
  const ada = identity('ada');
  assert.ok(send(byBoth, { identity: ada, method: 'GET' }).passed);
  assert.ok(!send(byBoth, { identity: ada, method: 'HEAD' }).passed);
  assert.ok(send(byBoth, { identity: ada, method: 'POST' }).passed);

  const all = make(settings(block({ by: [], rules: one, scope: 'e' })));
  assert.ok(send(all, { address: '192.0.2.1' }).passed);
  assert.ok(!send(all, { address: '192.0.2.2' }).passed);
});

test('a block for some methods leaves the others alone', () => {
  const { make } = bench();
  const hooks = make(
    settings(block({ rules: [limit('1/1m')], methods: ['POST'] }), block({ rules: [limit('3/1m')], scope: 'all' })),
  );
  assert.ok(send(hooks, { method: 'POST' }).passed);
  assert.ok(!send(hooks, { method: 'POST' }).passed);
  assert.ok(send(hooks, { method: 'GET' }).passed);
  assert.ok(send(hooks, { method: 'GET' }).passed);
  assert.ok(!send(hooks, { method: 'GET' }).passed);
});

test('the plan decides the limits, an unknown plan counts as the default one, and routes share its counters', () => {
  const { make, environment } = bench();
  const blocks = (scope: string) => settings(block({ by: [{ kind: 'user' }], plan: true, scope }));
  const [one, two] = [make(blocks('route:1')), make(blocks('route:2'))];
  const ada = identity('ada', { plan: 'premium' });
  for (const hooks of [one, two, one, two]) assert.ok(send(hooks, { identity: ada }).passed);
  const { outcome, exchange } = send(one, { identity: ada });
  assert.ok(outcome instanceof Fault);
  assert.equal(outcome.detail, 'rate limit exceeded for plan premium');
  assert.equal(exchange.downstreamHeader('ratelimit-policy'), '"premium-1m";q=4;w=60');
  const bob = identity('bob', { plan: 'gold' });
  assert.ok(send(one, { identity: bob }).passed && send(two, { identity: bob }).passed);
  assert.ok(!send(one, { identity: bob }).passed);
  assert.deepEqual(WorkerLimits.of(environment).counts().plans, {
    premium: { allowed: 4, refused: 1 },
    standard: { allowed: 2, refused: 1 },
  });
});

test('an occasion raises a plan between its start and its end', () => {
  const { clock, make } = bench();
  const hooks = make(settings(block({ by: [{ kind: 'user' }], plan: true })));
  const ada = identity('ada', { plan: 'premium' });
  const passes = (): number => {
    let count = 0;
    while (send(hooks, { identity: ada }).passed) count++;
    return count;
  };
  assert.equal(passes(), 4);
  clock.advance(600_000);
  assert.equal(passes(), 9);
  assert.equal(send(hooks, { identity: ada }).exchange.downstreamHeader('x-ratelimit-limit'), '9');
  clock.advance(600_000);
  assert.equal(passes(), 4);
});

test('new plans hold at once', () => {
  const { control, make } = bench();
  const hooks = make(settings(block({ by: [{ kind: 'user' }], plan: true })));
  const ada = identity('ada');
  assert.ok(send(hooks, { identity: ada }).passed);
  control.publish(PLANS_TOPIC, { defaultPlan: 'tiny', plans: { tiny: { limits: [limit('1/1h')], occasions: [] } } });
  assert.ok(send(hooks, { identity: ada }).passed);
  assert.ok(!send(hooks, { identity: ada }).passed);
});

test('what the answer says a request cost is charged afterwards', () => {
  const { make } = bench();
  const hooks = make(settings(block({ rules: [limit('10/1m')], costHeader: 'x-cost' })));
  const { exchange, passed } = send(hooks);
  assert.ok(passed);
  exchange.upstreamResponse.set('x-cost', '8');
  hooks.responseHead?.(exchange);
  assert.equal(send(hooks).exchange.downstreamHeader('x-ratelimit-remaining'), '1');
  const nonsense = send(hooks).exchange;
  nonsense.upstreamResponse.set('x-cost', '-5');
  hooks.responseHead?.(nonsense);
  assert.ok(!send(hooks).passed);
});

test('limits before and after authentication are decisions of their own', () => {
  const { make } = bench();
  const hooks = make(
    settings(
      block({ rules: [limit('3/1m')], phase: 'authenticate' }),
      block({ by: [{ kind: 'user' }], rules: [limit('1/1m')], scope: 'u' }),
    ),
  );
  const ada = { identity: identity('ada') };
  assert.ok(send(hooks, ada, 'authenticate').passed && send(hooks, ada, 'limit').passed);
  assert.ok(send(hooks, ada, 'authenticate').passed && !send(hooks, ada, 'limit').passed);
  assert.ok(send(hooks, ada, 'authenticate').passed);
  assert.ok(!send(hooks, ada, 'authenticate').passed);
});

test('equal settings give one hook, and it outlives a reload', () => {
  const { make } = bench();
  const options = settings(block({ rules: [limit('1/1m')], phase: 'arrival', scope: 'gateway' }));
  const [one, two] = [make(options), make(options)];
  assert.equal(one.arrival, two.arrival);
  const afterReload = make(options);
  one.dispose?.();
  two.dispose?.();
  assert.equal(make(options).arrival, afterReload.arrival);
});

test('headers can be left out', () => {
  const { make } = bench();
  const blocks = [block({ rules: [limit('10/1m')] })];
  const legacy = send(make({ blocks, legacyHeaders: true, standardHeaders: false })).exchange;
  assert.deepEqual(
    [...legacy.downstreamHeaders.keys()],
    ['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset'],
  );
  const standard = send(make({ blocks, legacyHeaders: false, standardHeaders: true })).exchange;
  assert.deepEqual([...standard.downstreamHeaders.keys()], ['ratelimit-policy', 'ratelimit']);
});

test('a full table answers 503, not 429: the caller did nothing', () => {
  const { make, environment } = bench();
  const hooks = make(settings(block({ rules: [limit('1/1h')] })));
  let fault: Fault | undefined;
  for (let i = 0; i < 20_000 && fault === undefined; i++) {
    const { outcome } = send(hooks, { address: `10.1.${i >> 8}.${i & 255}` });
    if (outcome instanceof Fault) fault = outcome;
  }
  assert.equal(fault?.kind, FAULTS.limiterUnavailable);
  assert.equal(fault?.retryAfterSeconds, 1);
  assert.ok(WorkerLimits.of(environment).counts().overflowed === 1);
});
