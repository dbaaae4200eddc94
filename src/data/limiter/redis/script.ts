/**
 * The limits as one atomic Lua script, on Redis's own clock, so that machines whose clocks differ agree. It looks at
 * all rules of a decision, grants as many of the wanted requests as every rule allows, and charges all rules for these
 * or none. Arguments and answers are built and read here; connection.ts sends them.
 *
 * One string per caller and rule: gcra `LEVEL AT` (what has not drained, in requests, and when it was so), fixed
 * `WINDOW COUNT`, sliding `WINDOW BEFORE COUNT`. Each expires when it would count nothing any more.
 */
import type { Decision } from '../limiter.ts';
import { Decision as DecisionObject, type RuleSet } from '../limiter.ts';
import type { Rule } from '../rule.ts';

/**
 * KEYS: one per rule. ARGV: wanted, forced (1 charges whatever is left), then per rule: algorithm, a, b, c, cost.
 * gcra: a = requests drained per ms, b = capacity; fixed and sliding: a = window in ms, b = limit.
 * Answers: granted, then per rule two strings: used and, for sliding, what of the last window still counts.
 */
export const TAKE_SCRIPT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local granted = tonumber(ARGV[1])
local forced = ARGV[2] == '1'
local states = {}
for i = 1, #KEYS do
  local at = 2 + (i - 1) * 4
  local kind, a, b, cost = ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local raw = redis.call('GET', KEYS[i])
  local s = { kind = kind, a = a, b = b, cost = cost, used = 0, seen = 0, stamp = now }
  if kind == 'g' then
    if raw then
      local level, when = string.match(raw, '^(%S+) (%S+)$')
      when = tonumber(when)
      if when > now then s.stamp = when end
      s.used = math.max(0, tonumber(level) - (s.stamp - when) * a)
    end
  else
    s.window = math.floor(now / a)
    if raw then
      local window, before, count = string.match(raw, '^(%S+) (%S+) (%S+)$')
      window = tonumber(window)
      if window > s.window then s.window = window end
      if window == s.window then
        s.used = tonumber(count)
        s.before = tonumber(before)
      elseif window == s.window - 1 then
        s.before = tonumber(count)
      end
    end
    if kind == 's' then
      s.before = s.before or 0
      s.seen = s.before * math.max(0, math.min(1, 1 - (now / a - s.window)))
    end
  end
  local room = math.floor((b - s.used - s.seen) / cost + 1e-9)
  if room < granted and not forced then granted = math.max(0, room) end
  states[i] = s
end
local answer = { granted }
for i = 1, #KEYS do
  local s = states[i]
  if granted > 0 then
    s.used = s.used + granted * s.cost
    local value, lives
    if s.kind == 'g' then
      value = string.format('%.17g %.17g', s.used, s.stamp)
      lives = s.used / s.a
    else
      value = string.format('%d %.17g %.17g', s.window, s.kind == 's' and s.before or 0, s.used)
      lives = (s.window + (s.kind == 's' and 2 or 1)) * s.a - now
    end
    redis.call('SET', KEYS[i], value, 'PX', math.max(1, math.ceil(lives)) + 1000)
  end
  answer[#answer + 1] = string.format('%.17g', s.used)
  answer[#answer + 1] = string.format('%.17g', s.kind == 'f' and math.max(0, (s.window + 1) * s.a - now) or s.kind == 's' and s.seen or 0)
  answer[#answer + 1] = string.format('%.17g', s.kind == 's' and math.max(0, (s.window + 1) * s.a - now) or 0)
end
return answer
`;

/** Takes a granted request back from the rules of one slot, when those of another slot refused it (Redis Cluster). */
export const GIVE_BACK_SCRIPT = `
for i = 1, #KEYS do
  local at = (i - 1) * 2
  local raw = redis.call('GET', KEYS[i])
  if raw then
    local ttl = redis.call('PTTL', KEYS[i])
    local amount = tonumber(ARGV[at + 2])
    local value
    if ARGV[at + 1] == 'g' then
      local level, when = string.match(raw, '^(%S+) (%S+)$')
      value = string.format('%.17g %s', math.max(0, tonumber(level) - amount), when)
    else
      local window, before, count = string.match(raw, '^(%S+) (%S+) (%S+)$')
      value = string.format('%s %s %.17g', window, before, math.max(0, tonumber(count) - amount))
    end
    if ttl > 0 then redis.call('SET', KEYS[i], value, 'PX', ttl) end
  end
end
return 1
`;

/** Floats that are whole by meaning come back a hair off. */
const FUZZ = 1e-9;

/** The arguments of one rule. */
export function ruleArguments(rule: Rule, cost: number): (string | number)[] {
  if (rule.algorithm === 'gcra') {
    return ['g', rule.spec.limit / rule.windowMs, rule.tolerance / rule.scale, (cost * rule.units) / rule.scale];
  }
  return [rule.algorithm === 'fixed' ? 'f' : 's', rule.windowMs, rule.limit, cost];
}

export function giveBackArguments(rule: Rule, cost: number): (string | number)[] {
  return rule.algorithm === 'gcra' ? ['g', (cost * rule.units) / rule.scale] : ['w', cost];
}

/** What Redis said about the rules of a decision, in the order of the set; `at` tells which rule each part is about. */
export interface Taken {
  readonly granted: number;
  /** Three numbers per rule of the set: used, and two that depend on the algorithm. */
  readonly numbers: Float64Array;
}

/** The decision that an answer means; `granted` 0 is a refusal. */
export function readDecision(set: RuleSet, { granted, numbers }: Taken): Decision {
  const decision = new DecisionObject();
  decision.allowed = granted > 0;
  for (let i = 0; i < set.rules.length; i++) {
    const rule = set.rules[i] as Rule;
    const one = describeRule(set, i, numbers);
    const isNearer = decision.allowed
      ? decision.index < 0 || one.remaining < decision.remaining
      : one.retryMs > decision.retryMs || decision.index < 0;
    if (!isNearer) continue;
    decision.index = i;
    decision.limit = rule.limit;
    decision.windowMs = rule.windowMs;
    decision.remaining = one.remaining;
    decision.resetMs = one.resetMs;
    decision.nextMs = one.nextMs;
    decision.retryMs = one.retryMs;
  }
  if (decision.allowed) decision.retryMs = 0;
  return decision;
}

/** How one rule of a set stands, from what Redis said. */
export function describeRule({ rules, costs }: RuleSet, index: number, numbers: Float64Array): Description {
  const [used = 0, x = 0, y = 0] = numbers.subarray(3 * index, 3 * index + 3);
  return describe(rules[index] as Rule, used, x, y, costs[index] as number);
}

export interface Description {
  readonly remaining: number;
  readonly resetMs: number;
  readonly nextMs: number;
  readonly retryMs: number;
}

function describe(rule: Rule, used: number, x: number, y: number, cost: number): Description {
  if (rule.algorithm === 'gcra') {
    const perMs = rule.spec.limit / rule.windowMs;
    const unit = rule.units / rule.scale;
    const capacity = rule.tolerance / rule.scale;
    const free = capacity - used;
    const remaining = Math.max(0, Math.floor(free / unit + FUZZ));
    const wanted = cost * unit;
    const retryMs = wanted > capacity + FUZZ ? rule.windowMs : Math.max(0, (wanted - free) / perMs);
    return { remaining, resetMs: used / perMs, nextMs: Math.max(0, ((remaining + 1) * unit - free) / perMs), retryMs };
  }
  if (rule.algorithm === 'fixed') {
    const remaining = Math.max(0, Math.floor(rule.limit - used + FUZZ));
    const retryMs = cost > rule.limit ? rule.windowMs : cost > remaining ? x : 0;
    return { remaining, resetMs: x, nextMs: x, retryMs };
  }
  const remaining = Math.max(0, Math.floor(rule.limit - used - x + FUZZ));
  const wait = (wanted: number): number => {
    if (wanted > rule.limit) return rule.windowMs;
    const room = rule.limit - used - wanted;
    if (room >= x - FUZZ) return 0;
    if (room >= 0) return y * (1 - room / x);
    return y + (1 - (rule.limit - wanted) / used) * rule.windowMs;
  };
  return {
    remaining,
    resetMs: used > 0 ? y + rule.windowMs : x > 0 ? y : 0,
    nextMs: wait(remaining + 1),
    retryMs: wait(cost),
  };
}
