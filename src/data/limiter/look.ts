/**
 * Looks at the limits of one caller, or forgets what they have used, when control asks: with the keys and rules that a
 * request of theirs would be counted by, so that nothing is worked out a second way. Used by worker-limits.ts.
 */
import { systemClock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import {
  type LimitAnswer,
  type LimitCaller,
  type LimitQuestion,
  type LimitState,
  LOOK_TOPIC,
  LOOKED_TOPIC,
} from '../contract/limit-look.ts';
import { formatKey, type LimitPhase, type RateLimitSettings } from '../contract/limits.ts';
import type { ControlLink, Identity, PolicyContext } from '../contract/policy.ts';
import type { LimitSet } from './limit-set.ts';
import { LimitSets } from './limit-sets.ts';
import type { RedisLimits } from './redis/redis-limits.ts';
import type { WorkerLimits } from './worker-limits.ts';

/** A question that is older was for the workers of that time. */
const OLDEST_MS = 10_000;
/** Limits of one phase are one decision, and a decision has room for so many keys. */
const PHASES = ['arrival', 'authenticate', 'limit'] as const satisfies readonly LimitPhase[];

export function answerLooks(limits: WorkerLimits, control: ControlLink, redis: () => RedisLimits | null): void {
  control.subscribe(LOOK_TOPIC, (data) => {
    const question = data as LimitQuestion | null;
    if (question === null || systemClock.wallMs() - question.askedAtMs > OLDEST_MS) return;
    look(limits, redis(), question).then(
      (states) => control.tell(LOOKED_TOPIC, { id: question.id, states } satisfies LimitAnswer),
      (error: unknown) =>
        control.tell(LOOKED_TOPIC, { id: question.id, problem: messageOf(error) } satisfies LimitAnswer),
    );
  });
}

async function look(limits: WorkerLimits, redis: RedisLimits | null, question: LimitQuestion): Promise<LimitState[][]> {
  const exchange = exchangeOf(question.caller);
  const found: LimitState[][] = [];
  for (const { blocks } of question.settings) {
    const states: LimitState[] = [];
    for (const phase of PHASES) {
      const own = blocks.filter((block) => block.phase === phase);
      if (own.length > 0) states.push(...(await lookAt(limits, redis, own, exchange, question.reset)));
    }
    found.push(states);
  }
  return found;
}

async function lookAt(
  limits: WorkerLimits,
  redis: RedisLimits | null,
  blocks: RateLimitSettings['blocks'],
  exchange: PolicyContext,
  reset: boolean,
): Promise<LimitState[]> {
  const sets = new LimitSets(limits, blocks);
  const { table, limiter } = limits;
  const set = sets.prepare(exchange, table.time.nowMs());
  const { keysA, keysB } = limiter;
  // What waits for Redis below comes back to other keys.
  const keys = set.keys.map((key) => [keysA[key] as number, keysB[key] as number] as const);
  const tags = sets.tags(exchange);
  if (reset) {
    const nowMs = table.time.nowMs();
    for (const [i, [a, b]] of keys.entries()) table.forget(set.rules[i]!, a, b, nowMs);
    await redis?.forget(set, tags);
  }
  const shared = redis === null ? null : await redis.look(set, tags);
  const nowMs = table.time.nowMs();
  return set.rules.map((rule, i) => {
    const [a, b] = keys[i] as readonly [number, number];
    if (shared === null) {
      table.prepare(0, rule, a, b, nowMs, set.costs[i] as number);
      table.describe(0, rule, nowMs, set.costs[i] as number);
    }
    const { remaining, resetMs, retryMs } = shared?.[i] ?? table;
    const { algorithm, limit, windowMs, id } = rule;
    const by = formatKey(blocks[set.keys[i] as number]?.by ?? []);
    return { id, by, algorithm, limit, windowMs, plan: planOf(set, id), remaining, resetMs, retryMs };
  });
}

/** Plans count in a scope of their own. */
const planOf = (set: LimitSet, id: string): string | null => (id.startsWith('plan\n') ? set.plan : null);

/** As much of an exchange as keys are read from. */
function exchangeOf({ address, user, apiKey, plan, method, headers }: LimitCaller): PolicyContext {
  const subject = user ?? (apiKey === null ? null : `key ${apiKey}`);
  const identity: Identity | null =
    subject === null
      ? null
      : {
          method: apiKey === null ? 'jwt' : 'apiKey',
          subject,
          account: subject,
          roles: [],
          scopes: [],
          plan,
          claims: apiKey === null ? {} : { key_id: apiKey },
          upstreamHeaders: {},
          notes: null,
        };
  return {
    address,
    method,
    identity,
    header: (name: string) => headers[name] ?? null,
  } as unknown as PolicyContext;
}
