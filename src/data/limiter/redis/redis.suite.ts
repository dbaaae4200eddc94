/**
 * What the tests of limits through Redis share: workers as machines of their own, and callers that decide. Not a test
 * itself.
 */
import { systemClock } from '../../../base/clock.ts';
import { createLogger } from '../../../base/log.ts';
import {
  type Algorithm,
  type LimitBlock,
  type RedisLimitSettings,
  type RuleSpec,
  SETTINGS_TOPIC,
} from '../../contract/limits.ts';
import type { PolicyEnvironment } from '../../contract/policy.ts';
import { HandheldControl, RecordingExchange, testEnvironment } from '../../policies/testing.ts';
import { LimitSets } from '../limit-sets.ts';
import type { Decision } from '../limiter.ts';
import { allocateLimits } from '../table.ts';
import { WorkerLimits } from '../worker-limits.ts';

const made: WorkerLimits[] = [];
/** Ends the lines to Redis of every worker made here. */
export function closeWorkers(): void {
  for (const limits of made) limits.close();
}

let prefixes = 0;

/** A worker as the engine makes one, with its own memory: several are several machines. */
export function worker(url: string, settings: Partial<RedisLimitSettings> = {}): WorkerLimits {
  const control = new HandheldControl();
  const fake = testEnvironment({ secrets: { 'stores/redis': url } });
  const environment: PolicyEnvironment = {
    ...fake,
    clock: systemClock,
    log: createLogger('silent'),
    control,
    shared: { ...fake.shared, limits: allocateLimits(64 * 1024) },
  };
  control.publish(SETTINGS_TOPIC, {
    overflow: 'deny',
    redis: {
      url: 'stores/redis',
      mode: 'exact',
      fallback: 'closed',
      timeoutMs: 2_000,
      leaseShare: 0.05,
      leaseMs: 60_000,
      prefix: 'test',
      ...settings,
    },
  });
  const limits = WorkerLimits.of(environment);
  made.push(limits);
  return limits;
}

export const spec = (limit: number, windowMs: number, algorithm: Algorithm = 'gcra'): RuleSpec => ({
  limit,
  windowMs,
  algorithm,
  burst: limit,
});

/** Long windows: nothing drains while a test runs. */
export const HOUR = 3_600_000;

export class Caller {
  readonly limits: WorkerLimits;
  readonly sets: LimitSets;

  constructor(limits: WorkerLimits, scope: string, rules: readonly RuleSpec[], more: Partial<LimitBlock> = {}) {
    this.limits = limits;
    const block = {
      by: [{ kind: 'ip' as const }],
      rules,
      plan: false,
      methods: [],
      cost: 1,
      costHeader: null,
      scope,
      ...more,
    };
    const forAll = { ...block, by: [], rules: [spec(1_000_000, HOUR)] };
    this.sets = new LimitSets(limits, more.scope === 'two callers' ? [block, forAll] : [block]);
  }

  decide(address = '192.0.2.1'): Decision | Promise<Decision> {
    const exchange = new RecordingExchange({ address });
    const nowMs = this.limits.table.time.nowMs();
    const decision = this.limits.decide(this.sets.prepare(exchange, nowMs), nowMs, this.sets, exchange);
    return decision instanceof Promise ? decision : Object.assign({}, decision);
  }

  addCosts(costs: readonly number[], address = '192.0.2.1'): void {
    const exchange = new RecordingExchange({ address });
    const set = this.sets.prepare(exchange, this.limits.table.time.nowMs());
    this.limits.addCosts(set, costs, this.sets, exchange);
  }

  /** The first decision that Redis makes: the line comes up in the background. */
  async ready(): Promise<this> {
    const deadline = performance.now() + 30_000;
    while (performance.now() < deadline) {
      const before = this.limits.counts().redis?.answered ?? 0;
      await this.decide('192.0.2.250');
      if ((this.limits.counts().redis?.answered ?? 0) > before && this.limits.counts().redis?.state === 'closed')
        return this;
      // Who asks without a pause takes the time in which Redis would answer.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error('Redis was not reached');
  }
}

export const scopeOf = (name: string): string => `${name} ${++prefixes}`;

export async function admittedBy(callers: readonly Caller[], each: number, address?: string): Promise<number> {
  const decisions = await Promise.all(
    callers.flatMap((caller) => Array.from({ length: each }, () => caller.decide(address))),
  );
  return decisions.filter((decision) => decision.allowed).length;
}
