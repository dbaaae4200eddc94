/**
 * Control and two workers joined by a bus in memory: what is configured reaches the workers, and what they tell has
 * its effect.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { FakeClock } from '../../base/clock.ts';
import { Fault } from '../../base/errors.ts';
import { createLogger } from '../../base/log.ts';
import type { ControlLink, Identity, PolicyEnvironment } from '../../data/contract/policy.ts';
import { allocateLimits } from '../../data/limiter/table.ts';
import { WorkerLimits } from '../../data/limiter/worker-limits.ts';
// The data plane's half, which only a test may hold against control's.
import { abuse } from '../../data/policies/abuse.ts';
import { quota, quotaBook } from '../../data/policies/quota.ts';
import { rateLimit } from '../../data/policies/rate-limit.ts';
import { RecordingExchange, testEnvironment } from '../../data/policies/testing.ts';
import type { ControlBus } from '../bus.ts';
import type { SectionContext } from '../config/section.ts';
import { storesSection } from '../store/stores-section.ts';
import { abuseSchema, abuseSection } from './bans/abuse-options.ts';
import { type CompiledLimits, LimitsFeature } from './feature.ts';
import { limitsOptions, limitsSection, plansSection } from './options.ts';
import { quotasOptions, quotasSection } from './quotas/quota-options.ts';

const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** Both ends of the line, without threads. */
class MemoryBus implements ControlBus, ControlLink {
  readonly published = new Map<string, unknown>();
  readonly #subscribers = new Map<string, ((data: unknown) => void)[]>();
  readonly #listeners = new Map<string, ((data: unknown) => void)[]>();
  readonly #answers = new Map<string, (data: unknown) => unknown>();

  publish(topic: string, data: unknown): void {
    const copy: unknown = structuredClone(data);
    this.published.set(topic, copy);
    for (const subscriber of this.#subscribers.get(topic) ?? []) subscriber(copy);
  }
  onTell(topic: string, listener: (data: unknown) => void): void {
    this.#listeners.set(topic, [...(this.#listeners.get(topic) ?? []), listener]);
  }
  onAsk(topic: string, answer: (data: unknown) => unknown): void {
    this.#answers.set(topic, answer);
  }
  subscribe(topic: string, listener: (data: unknown) => void): () => void {
    this.#subscribers.set(topic, [...(this.#subscribers.get(topic) ?? []), listener]);
    if (this.published.has(topic)) listener(this.published.get(topic));
    return () => {};
  }
  tell(topic: string, data: unknown): void {
    for (const listener of this.#listeners.get(topic) ?? []) listener(structuredClone(data));
  }
  async ask(topic: string, data: unknown): Promise<unknown> {
    const answer = this.#answers.get(topic);
    if (answer === undefined) throw new Error(`nobody answers to ${topic}`);
    return structuredClone(await answer(structuredClone(data)));
  }
}

interface Written {
  readonly plans?: object;
  readonly quotas?: object;
  readonly abuse?: object;
}

function compile(written: Written, dataDir: string) {
  const problems: string[] = [];
  const routes: string[] = [];
  const context = {
    path: [],
    env: {},
    document: written,
    dataDir,
    environment: 'production',
    services: [],
    service: '',
    healthCheckIntervalMs: undefined,
    resolve: (file: string) => file,
    readText: () => undefined,
    secret: (id: string) => id,
    problem: (message: string) => problems.push(message),
    warning: () => {},
    addRoute: ({ path }: { path: string }) => routes.push(path),
  } as unknown as SectionContext;
  const compiled: CompiledLimits = {
    snapshot: { gateway: { errorFormat: 'problem' } },
    secrets: {},
    plan: {
      dataDir,
      sections: {
        stores: storesSection.compile(undefined, context),
        limits: limitsSection.compile(limitsOptions.parse({}), context),
        plans: plansSection.compile(plansSection.schema.parse(written.plans ?? {}), context),
        quotas: quotasSection.compile(quotasOptions.parse(written.quotas ?? {}), context),
        abuse: written.abuse === undefined ? null : abuseSection.compile(abuseSchema.parse(written.abuse), context),
      },
    },
  };
  return { compiled, problems, routes };
}

async function gateway(written: Written) {
  const dataDir = mkdtempSync(join(tmpdir(), 'gatehouse-limits-'));
  folders.push(dataDir);
  const bus = new MemoryBus();
  const clock = new FakeClock();
  const served = new Map<string, (request: Request) => Response | Promise<Response>>();
  const { compiled, problems } = compile(written, dataDir);
  assert.deepEqual(problems, []);
  const feature = new LimitsFeature({
    log: createLogger('silent'),
    bus,
    clock,
    serveBuiltin: async (name, fetch) => void served.set(name, fetch),
  });
  await feature.start(compiled);
  const memory = allocateLimits(64 * 1024, clock);
  const worker = (): PolicyEnvironment => {
    const fake = testEnvironment({ clock });
    return { ...fake, control: bus, shared: { ...fake.shared, limits: memory } };
  };
  const call = async (service: string, path: string, init: RequestInit = {}) => {
    const response = await served.get(service)?.(new Request(`http://gateway.example${path}`, init));
    const text = (await response?.text()) ?? '';
    return { status: response?.status ?? 0, body: text === '' ? null : JSON.parse(text) };
  };
  return { feature, bus, clock, worker, call, compiled, dataDir };
}

const identity = (subject: string, plan: string | null): Identity => ({
  method: 'jwt',
  subject,
  roles: [],
  scopes: [],
  plan,
  claims: {},
  upstreamHeaders: {},
});

test('shipped plans limit callers of two workers together, and a reload changes them at once', async () => {
  const { feature, worker, compiled, dataDir } = await gateway({});
  const block = {
    by: [{ kind: 'user' as const }],
    rules: [],
    plan: true,
    methods: [],
    cost: 1,
    costHeader: null,
    scope: 'r',
    phase: 'limit' as const,
  };
  const options = { blocks: [block], legacyHeaders: true, standardHeaders: false };
  const workers = [worker(), worker()];
  const hooks = workers.map((environment) => rateLimit.create(options, environment));
  let passed = 0;
  const send = (i: number): RecordingExchange => {
    const exchange = new RecordingExchange({ identity: identity('ada', 'premium') });
    if (hooks[i % 2]?.limit?.(exchange) === undefined) passed++;
    return exchange;
  };
  for (let i = 0; i < 250; i++) send(i);
  assert.equal(passed, 200);
  const { compiled: next } = compile({ plans: { premium: { limits: ['300/1m'] } } }, dataDir);
  feature.applied({ ...compiled, plan: next.plan });
  assert.equal(send(0).downstreamHeader('x-ratelimit-limit'), '300');
  for (const environment of workers) WorkerLimits.of(environment).reporter.tell();
  const decisions = feature.metrics().find(({ name }) => name === 'gatehouse_limit_decisions_total');
  assert.deepEqual(
    decisions?.samples.map((sample) => 'value' in sample && sample.value),
    [201, 50],
  );
  const perPlan = feature.metrics().find(({ name }) => name === 'gatehouse_limit_plan_decisions_total');
  assert.deepEqual(perPlan?.samples, [
    { labels: { plan: 'premium', result: 'allowed' }, value: 201 },
    { labels: { plan: 'premium', result: 'refused' }, value: 50 },
  ]);
  await feature.stop();
});

test('a quota is counted durably over workers and shown by the API', async () => {
  const { feature, worker, call } = await gateway({
    quotas: { stories: { per: 'day', limit: 5 } },
    plans: { basic: { quotas: { stories: 5 } } },
  });
  const settings = {
    quota: 'stories',
    cost: 1,
    costHeader: null,
    counts: 'success',
    timeoutMs: 1_000,
    whenAway: 'closed',
    headers: true,
  } as const;
  const workers = [worker(), worker()];
  const hooks = workers.map((environment) => quota.create([settings], environment));
  let passed = 0;
  for (let i = 0; i < 8; i++) {
    const exchange = new RecordingExchange({ identity: identity('ada', 'basic'), method: 'POST' });
    if ((await hooks[i % 2]?.limit?.(exchange)) === undefined) passed++;
    exchange.status = 201;
    hooks[i % 2]?.finish?.(exchange);
  }
  assert.equal(passed, 5);
  for (const environment of workers) quotaBook(environment).close();
  await new Promise((resolve) => setImmediate(resolve));
  const { body } = await call('builtin:limits', '/api/v1/usage', { headers: { 'x-auth-subject': 'ada' } });
  assert.deepEqual([body.quotas[0].used, body.quotas[0].remaining], [5, 0]);
  assert.equal((await call('builtin:limits', '/api/v1/usage?account=ada')).status, 401);
  const ratio = () => feature.metrics().find(({ name }) => name === 'gatehouse_quota_utilisation_ratio')?.samples;
  const deadline = performance.now() + 5_000;
  while (ratio() === undefined && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.deepEqual(ratio(), [{ labels: { quota: 'stories', plan: 'basic' }, value: 1 }]);
  assert.equal((await call('builtin:limits-control', '/usage?account=ada')).body.quotas[0].used, 5);
  await feature.stop();
});

test('a caller that breaks a rule is banned on every worker, listed, and lifted', async () => {
  const { feature, worker, call } = await gateway({
    abuse: { rules: [{ name: 'guessing', on: [401], limit: '3/1m' }] },
  });
  const workers = [worker(), worker()];
  const hooks = workers.map((environment) => abuse.create({}, environment));
  for (let i = 0; i < 4; i++) {
    const exchange = new RecordingExchange({ address: '192.0.2.9' });
    exchange.status = 401;
    hooks[i % 2]?.finish?.(exchange);
  }
  const isBanned = (i: number): boolean =>
    hooks[i]?.authenticate?.(new RecordingExchange({ address: '192.0.2.9' })) instanceof Fault;
  const until = async (wanted: boolean): Promise<void> => {
    const deadline = performance.now() + 5_000;
    while (isBanned(0) !== wanted || isBanned(1) !== wanted) {
      assert.ok(performance.now() < deadline, 'in time');
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await until(true);
  const admin = { 'x-auth-subject': 'root', 'x-auth-roles': 'admin' };
  const { body } = await call('builtin:limits', '/api/v1/bans', { headers: admin });
  assert.equal(body.bans[0].made_by, 'rule guessing');
  assert.equal((await call('builtin:limits-control', `/bans/${body.bans[0].id}`, { method: 'DELETE' })).status, 204);
  await until(false);
  const bans = feature.metrics().find(({ name }) => name === 'gatehouse_bans_total');
  assert.deepEqual(bans?.samples, [{ labels: { rule: 'guessing' }, value: 1 }]);
  await feature.stop();
});

test('anybody may know the plans; what is not there is 404', async () => {
  const { feature, call } = await gateway({});
  const { body } = await call('builtin:limits', '/.well-known/gatehouse/plans');
  assert.deepEqual(
    body.plans.map(({ name, default: isDefault }: { name: string; default: boolean }) => [name, isDefault]),
    [
      ['standard', true],
      ['premium', false],
      ['enterprise', false],
    ],
  );
  assert.deepEqual(body.plans[0].limits, [
    { limit: 60, window_seconds: 60, burst: 60 },
    { limit: 1_000, window_seconds: 3_600, burst: 1_000 },
  ]);
  assert.equal((await call('builtin:limits', '/api/v1/nothing')).body.code, 'RESOURCE_NOT_FOUND');
  await feature.stop();
});

test('what makes no sense together is refused', () => {
  const problems = (written: Written): string => compile(written, '/nowhere').problems.join('; ');
  assert.match(
    problems({ plans: { basic: { quotas: { songs: 1 } } } }),
    /plan basic gives an amount of a quota that is not defined/,
  );
  const occasion = { name: 'x', start: '2026-02-01', end: '2026-01-01' };
  assert.match(problems({ plans: { basic: { limits: ['1/1m'], occasions: [occasion] } } }), /ends before it begins/);
  const rule = { name: 'a', on: [401], limit: '1/1m' };
  assert.match(problems({ abuse: { rules: [rule, rule] } }), /two rules of this name/);
  assert.deepEqual(compile({ abuse: {} }, '/nowhere').problems, []);
});
