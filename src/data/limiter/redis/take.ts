/**
 * One question to Redis: as many requests of a decision as every rule allows, up to a number. Rules of different
 * callers (user and address) lie in different slots of a Cluster, where no script sees both; then each slot is asked at
 * the same time and what one granted and another did not is given back. Elsewhere all rules are one script.
 */
import type { RuleSet } from '../limiter.ts';
import type { Rule } from '../rule.ts';
import type { RedisLine } from './connection.ts';
import { counterKey } from './key-texts.ts';
import { giveBackArguments, ruleArguments, type Taken } from './script.ts';

/** What is asked: `tags[k]` is the caller under the limiter's key k. */
export interface Question {
  readonly set: RuleSet;
  readonly tags: readonly string[];
  readonly wanted: number;
  /** Charges whatever is left; `costs` then replaces the set's own, 0 for rules to leave alone. */
  readonly forcedCosts?: readonly number[];
}

export async function take(line: RedisLine, prefix: string, question: Question): Promise<Taken> {
  if (!line.isCluster) return await takeAll(line, prefix, question);
  const groups = groupsByTag(question);
  const numbers = new Float64Array(question.set.rules.length * 3);
  const asked = groups.map((indexes) => askGroup(line, prefix, question, indexes, numbers));
  const granted = await Promise.all(asked);
  const all = Math.min(...granted);
  for (const [at, indexes] of groups.entries()) {
    const more = (granted[at] as number) - all;
    if (more > 0) void giveBack(line, prefix, question, indexes, more).catch(() => {});
  }
  return { granted: all, numbers };
}

/** What does not change from question to question: the arguments of all rules, as texts, with their usual costs. */
const usualArguments = new WeakMap<RuleSet, readonly string[]>();

/** All rules in one script; the way of nearly every decision, so that nothing is made that need not be. */
async function takeAll(line: RedisLine, prefix: string, question: Question): Promise<Taken> {
  const { set, tags, wanted, forcedCosts } = question;
  let rules = forcedCosts === undefined ? usualArguments.get(set) : undefined;
  if (rules === undefined) {
    const made: string[] = [];
    for (let i = 0; i < set.rules.length; i++) {
      const cost = forcedCosts?.[i] ?? (set.costs[i] as number);
      for (const argument of ruleArguments(set.rules[i] as Rule, cost)) made.push(String(argument));
    }
    if (forcedCosts === undefined) usualArguments.set(set, made);
    rules = made;
  }
  const count = set.rules.length;
  const all: string[] = [];
  for (let i = 0; i < count; i++) {
    all.push(counterKey(prefix, tags[set.keys[i] as number] as string, set.rules[i] as Rule));
  }
  all.push(String(wanted), forcedCosts === undefined ? '0' : '1');
  for (let i = 0; i < rules.length; i++) all.push(rules[i] as string);
  const answer = (await line.takeFlat(count, all)) as (number | string)[];
  const numbers = new Float64Array(count * 3);
  for (let i = 0; i < numbers.length; i++) numbers[i] = Number(answer[1 + i]);
  return { granted: Number(answer[0]), numbers };
}

function groupsByTag({ set, tags }: Question): number[][] {
  const groups = new Map<string, number[]>();
  for (let i = 0; i < set.rules.length; i++) {
    const tag = tags[set.keys[i] as number] as string;
    groups.set(tag, [...(groups.get(tag) ?? []), i]);
  }
  return [...groups.values()];
}

async function askGroup(
  line: RedisLine,
  prefix: string,
  { set, tags, wanted, forcedCosts }: Question,
  indexes: readonly number[],
  numbers: Float64Array,
): Promise<number> {
  const args: (string | number)[] = [wanted, forcedCosts === undefined ? 0 : 1];
  for (const i of indexes) {
    args.push(...ruleArguments(set.rules[i] as Rule, forcedCosts?.[i] ?? (set.costs[i] as number)));
  }
  const answer = (await line.take(keysOf(prefix, set, tags, indexes), args)) as (number | string)[];
  for (const [at, i] of indexes.entries()) {
    for (let part = 0; part < 3; part++) numbers[3 * i + part] = Number(answer[1 + 3 * at + part]);
  }
  return Number(answer[0]);
}

function keysOf(prefix: string, set: RuleSet, tags: readonly string[], indexes: readonly number[]): string[] {
  return indexes.map((i) => counterKey(prefix, tags[set.keys[i] as number] as string, set.rules[i] as Rule));
}

async function giveBack(
  line: RedisLine,
  prefix: string,
  { set, tags }: Question,
  indexes: readonly number[],
  count: number,
): Promise<void> {
  const args = indexes.flatMap((i) => giveBackArguments(set.rules[i] as Rule, (set.costs[i] as number) * count));
  await line.giveBack(keysOf(prefix, set, tags, indexes), args);
}
