/**
 * The blocks of one `rateLimit` setting as rule sets, ready to decide: one set for each plan and for each combination
 * of blocks that a method picks. Made when first needed and kept until the plans change. Called by
 * policies/rate-limit.ts.
 */

import type { RuleSpec } from '../contract/limits.ts';
import { formatKey, type LimitBlock } from '../contract/limits.ts';
import type { PolicyContext } from '../contract/policy.ts';
import { ruleName } from './headers.ts';
import { LimitSet } from './limit-set.ts';
import { MAX_KEYS } from './limiter.ts';
import { callerTag, callerText } from './redis/key-texts.ts';
import { type Boost, Rule } from './rule.ts';
import { MAX_SLOTS } from './table.ts';
import type { WorkerLimits } from './worker-limits.ts';

/** A caller's plan counts over the whole gateway, wherever its limits are applied. */
const PLAN_SCOPE = 'plan';

interface Block extends LimitBlock {
  readonly methodSet: ReadonlySet<string> | null;
}

export class LimitSets {
  readonly #limits: WorkerLimits;
  readonly #blocks: readonly Block[];
  readonly #prefix: string;
  readonly #usesPlan: boolean;
  readonly #usesMethods: boolean;
  readonly #sets = new Map<string, LimitSet[]>();
  #version = -1;
  /** Blocks whose key is the text of a request field. */
  readonly #written: readonly number[];

  /** `prefix` begins the names of the rules, so that those of two phases differ. */
  constructor(limits: WorkerLimits, blocks: readonly LimitBlock[], prefix = '') {
    if (blocks.length > MAX_KEYS) throw new TypeError(`at most ${MAX_KEYS} blocks of limits may apply to one request`);
    this.#limits = limits;
    this.#prefix = prefix;
    this.#blocks = blocks.map((block) => ({
      ...block,
      methodSet: block.methods.length === 0 ? null : new Set(block.methods),
    }));
    this.#written = blocks.flatMap(({ by }, index) => (by.some(({ kind }) => kind === 'header') ? [index] : []));
    this.#usesPlan = blocks.some((block) => block.plan);
    this.#usesMethods = this.#blocks.some((block) => block.methodSet !== null);
  }

  /** The set that applies to a request, with the limiter's keys filled in. */
  prepare(exchange: PolicyContext, nowMs: number): LimitSet {
    const set = this.#fill(exchange, nowMs);
    const { isShared, limiter, newcomers } = this.#limits;
    if (this.#written.length === 0 || isShared) return set;
    for (const index of this.#written) {
      const rule = set.rules[set.keys.indexOf(index)];
      if (rule !== undefined) newcomers.bound(limiter, index, rule, exchange.address, nowMs);
    }
    return set;
  }

  #fill(exchange: PolicyContext, nowMs: number): LimitSet {
    const { limiter, keys, plans } = this.#limits;
    for (let i = 0; i < this.#blocks.length; i++) {
      keys.read((this.#blocks[i] as Block).by, exchange);
      limiter.keysA[i] = keys.a;
      limiter.keysB[i] = keys.b;
    }
    plans.turn(nowMs);
    if (plans.version !== this.#version) {
      this.#version = plans.version;
      this.#sets.clear();
    }
    const plan = this.#usesPlan ? plans.nameFor(exchange.identity?.plan ?? null) : '';
    let sets = this.#sets.get(plan);
    if (sets === undefined) {
      sets = [];
      this.#sets.set(plan, sets);
    }
    const chosen = this.#usesMethods ? this.#choose(exchange.method) : 0;
    const known = sets[chosen];
    if (known !== undefined) return known;
    const made = this.#make(plan, exchange.method);
    sets[chosen] = made;
    return made;
  }

  /** The callers' tags, as Redis knows them, by the limiter's keys. */
  tags(exchange: PolicyContext): string[] {
    return this.#blocks.map((block) => callerTag(callerText(block.by, exchange)));
  }

  /** One bit for each block that is for this method. */
  #choose(method: string): number {
    let bits = 0;
    for (let i = 0; i < this.#blocks.length; i++) {
      const { methodSet } = this.#blocks[i] as Block;
      if (methodSet === null || methodSet.has(method)) bits |= 1 << i;
    }
    return bits;
  }

  #make(plan: string, method: string): LimitSet {
    const { hash } = this.#limits.table;
    const { plans } = this.#limits;
    const parts = { rules: [] as Rule[], keys: [] as number[], costs: [] as number[], names: [] as string[] };
    const costHeaders: (string | null)[] = [];
    const add = (index: number, block: Block, spec: RuleSpec, scope: string, key: string, boost?: Boost): void => {
      const rule = new Rule(spec, scope, formatKey(block.by), hash, boost);
      const name = `${this.#prefix}${ruleName(key, rule)}`;
      parts.rules.push(rule);
      parts.keys.push(index);
      parts.costs.push(block.cost);
      parts.names.push(parts.names.includes(name) ? `${name}-${parts.names.length + 1}` : name);
      costHeaders.push(block.costHeader);
    };
    for (const [index, block] of this.#blocks.entries()) {
      if (block.methodSet !== null && !block.methodSet.has(method)) continue;
      for (const spec of block.rules) add(index, block, spec, block.scope, formatKey(block.by));
      if (!block.plan) continue;
      for (const spec of plans.rulesOf(plan)) add(index, block, spec, PLAN_SCOPE, plan, plans.boostOf(plan));
    }
    if (parts.rules.length > MAX_SLOTS) {
      // The plans grew after the route was built: the limits that were written first hold.
      for (const list of [parts.rules, parts.keys, parts.costs, parts.names, costHeaders]) list.length = MAX_SLOTS;
    }
    return new LimitSet({ ...parts, costHeaders, plan });
  }
}
