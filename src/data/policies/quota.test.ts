import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULTS, Fault } from '../../base/errors.ts';
import {
  QUOTA_TOPIC,
  QUOTA_USED_TOPIC,
  type QuotaAnswer,
  type QuotaQuestion,
  type QuotaReport,
  type QuotaSettings,
} from '../contract/limits.ts';
import type { Identity, Outcome, PolicyHooks } from '../contract/policy.ts';
import { allocateLimits } from '../limiter/table.ts';
import { quota, quotaBook } from './quota.ts';
import { RecordingExchange, type TestEnvironment, testEnvironment } from './testing.ts';

const stories: QuotaSettings = {
  quota: 'stories',
  cost: 1,
  costHeader: null,
  counts: 'success',
  timeoutMs: 1_000,
  whenAway: 'closed',
  headers: true,
};

const DAY_MS = 86_400_000;

/** Control's end: one counter per account, as the ledger keeps it. */
class Ledger {
  readonly questions: QuotaQuestion[] = [];
  used = new Map<string, number>();
  held = new Map<string, number>();
  limit = 5;
  period = '2026-01-01';
  endMs = Date.UTC(2026, 0, 2);

  answer(data: unknown): QuotaAnswer {
    const question = data as QuotaQuestion;
    this.questions.push(question);
    const key = `${question.account} ${this.period}`;
    const taken = (this.used.get(key) ?? 0) + (this.held.get(key) ?? 0);
    const limit = Math.min(this.limit, question.cap ?? this.limit);
    const room = Math.max(0, limit - taken);
    const granted = room < question.least ? 0 : Math.min(question.want, room);
    this.held.set(key, (this.held.get(key) ?? 0) + granted);
    return { granted, remaining: room - granted, limit, period: this.period, periodSeconds: 86_400, endMs: this.endMs };
  }

  take(reports: readonly QuotaReport[]): void {
    for (const { account, period, used, settled } of reports) {
      const key = `${account} ${period}`;
      this.used.set(key, (this.used.get(key) ?? 0) + used);
      this.held.set(key, (this.held.get(key) ?? 0) - settled);
    }
  }
}

function environmentWithTable(): TestEnvironment {
  const fake = testEnvironment();
  return { ...fake, shared: { ...fake.shared, limits: allocateLimits(4_096, fake.clock) } };
}

function bench(...settings: readonly QuotaSettings[]) {
  const environment = environmentWithTable();
  const ledger = new Ledger();
  environment.control.answer(QUOTA_TOPIC, (data) => ledger.answer(data));
  const hooks = quota.create(settings.length === 0 ? [stories] : settings, environment);
  return { environment, ledger, hooks, settleReports: () => collect(environment, ledger) };
}

function collect(environment: TestEnvironment, ledger: Ledger): void {
  quotaBook(environment).report();
  for (const { topic, data } of environment.control.told.splice(0)) {
    assert.equal(topic, QUOTA_USED_TOPIC);
    ledger.take(data as QuotaReport[]);
  }
}

const ada = (claims: Readonly<Record<string, unknown>> = {}, plan: string | null = 'basic'): Identity => ({
  method: 'jwt',
  subject: 'ada',
  roles: [],
  scopes: [],
  plan,
  claims,
  upstreamHeaders: {},
});

async function send(hooks: PolicyHooks, identity: Identity, status: number, answer: Record<string, string> = {}) {
  const exchange = new RecordingExchange({ identity, method: 'POST' });
  const outcome: Outcome = await hooks.limit?.(exchange);
  exchange.status = outcome instanceof Fault ? outcome.kind.status : status;
  if (outcome instanceof Fault) exchange.fault = outcome;
  for (const [name, value] of Object.entries(answer)) exchange.upstreamResponse.set(name, value);
  if (outcome === undefined) hooks.responseHead?.(exchange);
  exchange.upstreamResponse.clear();
  hooks.finish?.(exchange);
  return { exchange, outcome, passed: outcome === undefined };
}

test('five a day: the sixth is refused until the day ends', async () => {
  const { hooks, ledger, settleReports } = bench();
  for (let i = 0; i < 5; i++) assert.ok((await send(hooks, ada(), 201)).passed);
  const { outcome, exchange } = await send(hooks, ada(), 201);
  assert.ok(outcome instanceof Fault);
  assert.equal(outcome.kind, FAULTS.quotaExceeded);
  assert.equal(outcome.retryAfterSeconds, 86_400);
  assert.equal(outcome.detail, '5 stories are allowed in the period, 0 are left');
  assert.equal(exchange.downstreamHeader('ratelimit'), '"stories";r=0;t=86400');
  assert.equal(exchange.downstreamHeader('ratelimit-policy'), '"stories";q=5;w=86400');
  settleReports();
  assert.deepEqual([ledger.used.get('ada 2026-01-01'), ledger.held.get('ada 2026-01-01')], [5, 0]);
});

test('a request that fails gives back what it had reserved', async () => {
  const { hooks, ledger, settleReports } = bench();
  for (const status of [400, 404, 500, 503]) assert.ok((await send(hooks, ada(), status)).passed);
  for (let i = 0; i < 5; i++) assert.ok((await send(hooks, ada(), 200)).passed);
  assert.ok(!(await send(hooks, ada(), 200)).passed);
  settleReports();
  assert.equal(ledger.used.get('ada 2026-01-01'), 5);
});

test('which answers count is configured', async () => {
  const used = async (counts: QuotaSettings['counts'], status: number): Promise<number | undefined> => {
    const { hooks, ledger, settleReports } = bench({ ...stories, counts });
    await send(hooks, ada(), status);
    settleReports();
    return ledger.used.get('ada 2026-01-01') ?? 0;
  };
  assert.deepEqual([await used('success', 404), await used('answered', 404), await used('always', 500)], [0, 1, 1]);
  assert.deepEqual([await used('success', 204), await used('answered', 502)], [1, 0]);
});

test('a cost that the answer tells is what is billed, also above the reservation', async () => {
  const { hooks, ledger, settleReports } = bench({ ...stories, cost: 2, costHeader: 'x-cost' });
  await send(hooks, ada(), 200, { 'x-cost': '7' });
  settleReports();
  assert.deepEqual([ledger.used.get('ada 2026-01-01'), ledger.held.get('ada 2026-01-01')], [7, 0]);
  assert.ok(!(await send(hooks, ada(), 200)).passed);
});

test('grants grow while they are used up, so that control is asked seldom', async () => {
  const { hooks, ledger, settleReports } = bench();
  ledger.limit = 10_000;
  for (let i = 0; i < 3_000; i++) assert.ok((await send(hooks, ada(), 200)).passed);
  assert.ok(ledger.questions.length < 40, `${ledger.questions.length} questions`);
  settleReports();
  assert.equal(ledger.used.get('ada 2026-01-01'), 3_000);
  assert.ok((ledger.held.get('ada 2026-01-01') ?? 0) <= 200, 'a grant is 2 % of the rest at most');
});

test('an idle grant is given back', async () => {
  const { hooks, ledger, environment, settleReports } = bench();
  ledger.limit = 10_000;
  for (let i = 0; i < 20; i++) await send(hooks, ada(), 200);
  settleReports();
  assert.ok((ledger.held.get('ada 2026-01-01') ?? 0) > 0);
  environment.clock.advance(5_000);
  settleReports();
  assert.deepEqual([ledger.used.get('ada 2026-01-01'), ledger.held.get('ada 2026-01-01')], [20, 0]);
  assert.equal(quotaBook(environment).counts().grants, 0);
});

test('a new day begins with the whole quota, and a request from before midnight counts for its own day', async () => {
  const { hooks, ledger, environment, settleReports } = bench();
  const late = new RecordingExchange({ identity: ada(), method: 'POST' });
  assert.equal(await hooks.limit?.(late), undefined);
  for (let i = 0; i < 4; i++) await send(hooks, ada(), 200);
  assert.ok(!(await send(hooks, ada(), 200)).passed);
  environment.clock.advance(DAY_MS);
  ledger.period = '2026-01-02';
  ledger.endMs += DAY_MS;
  assert.ok((await send(hooks, ada(), 200)).passed);
  late.status = 200;
  hooks.finish?.(late);
  settleReports();
  assert.deepEqual([ledger.used.get('ada 2026-01-01'), ledger.held.get('ada 2026-01-01')], [5, 0]);
  assert.deepEqual([ledger.used.get('ada 2026-01-02'), ledger.held.get('ada 2026-01-02')], [1, 0]);
});

test('requests at the same time share one question and never pass the quota', async () => {
  const { hooks, ledger } = bench();
  const results = await Promise.all(Array.from({ length: 20 }, () => send(hooks, ada(), 200)));
  assert.equal(results.filter(({ passed }) => passed).length, 5);
  assert.ok(ledger.questions.length <= 10);
});

test('a child is asked about with its parent and what the parent allows it; a new plan is asked about anew', async () => {
  const { hooks, ledger, settleReports } = bench();
  const child = ada({ par: 'grace', quotas: { stories: 2 } });
  assert.ok((await send(hooks, child, 200)).passed && (await send(hooks, child, 200)).passed);
  assert.ok(!(await send(hooks, child, 200)).passed);
  const [question] = ledger.questions;
  assert.deepEqual([question?.parent, question?.cap, question?.plan], ['grace', 2, 'basic']);
  assert.ok((await send(hooks, ada({}, 'premium'), 200)).passed);
  assert.equal(ledger.questions.at(-1)?.plan, 'premium');
  settleReports();
  assert.deepEqual([ledger.used.get('ada 2026-01-01'), ledger.held.get('ada 2026-01-01')], [3, 0]);
});

test('two quotas on one route: what the second refuses costs nothing of the first', async () => {
  const { hooks, ledger, environment, settleReports } = bench(stories, { ...stories, quota: 'words', cost: 6 });
  assert.ok(!(await send(hooks, ada(), 200)).passed);
  settleReports();
  assert.deepEqual(
    [...ledger.used.values()].filter((used) => used > 0),
    [],
  );
  assert.equal(quotaBook(environment).counts().allowed, 1, 'the first had reserved');
});

test('without control it is as configured: refused with 503, or let through uncounted', async () => {
  for (const whenAway of ['closed', 'open'] as const) {
    const environment = environmentWithTable();
    const hooks = quota.create([{ ...stories, whenAway }], environment);
    const { outcome, passed } = await send(hooks, ada(), 200);
    assert.equal(passed, whenAway === 'open');
    if (outcome instanceof Fault) assert.equal(outcome.kind, FAULTS.limiterUnavailable);
    assert.equal(quotaBook(environment).counts().unanswered, 1);
  }
});

test('nobody is counted without a name', async () => {
  const { hooks } = bench();
  const outcome = await hooks.limit?.(new RecordingExchange());
  assert.ok(outcome instanceof Fault && outcome.kind === FAULTS.authenticationRequired);
});
