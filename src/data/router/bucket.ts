/** The routes of one host pattern, laid out by the form of their paths. Filled once, in the order of ranks. */
import type { Steps } from '../../base/slices.ts';
import type { RouteEntry } from '../contract/route-order.ts';
import type { Pattern } from '../contract/route-pattern.ts';
import { Candidate, Pool } from './candidate.ts';
import { NO_RANK, type PathTable, packSteps, type Visitor } from './path-table.ts';
import { insert, TrieNode } from './path-trie.ts';

export class Bucket {
  readonly #literals: ReadonlyMap<string, readonly Candidate[]> | null;
  /** 1 for each length that a literal path has: asking the map with a new string is expensive. */
  readonly #literalLengths: Uint8Array;
  readonly #table: PathTable;
  readonly #root: number;
  readonly #lowestInTable: number;
  readonly #regexes: readonly Candidate[];
  readonly #lowestRegex: number;

  constructor(plan: BucketPlan, table: PathTable, root: number) {
    this.#literals = plan.literals.size === 0 ? null : plan.literals;
    let longest = 0;
    for (const path of plan.literals.keys()) longest = Math.max(longest, path.length);
    this.#literalLengths = new Uint8Array(longest + 1);
    for (const path of plan.literals.keys()) this.#literalLengths[path.length] = 1;
    this.#table = table;
    this.#root = root;
    this.#lowestInTable = table.lowest(root);
    this.#regexes = plan.regexes;
    this.#lowestRegex = plan.regexes[0]?.rank ?? NO_RANK;
  }

  /** Hands the candidates whose path fits to the visitor, better ones first as far as that is cheap to know. */
  search(path: string, visitor: Visitor): void {
    const literals = this.#literalLengths[path.length] === 1 ? this.#literals?.get(path) : undefined;
    if (literals !== undefined) visitor.consider(literals);
    if (this.#lowestInTable < visitor.best) this.#table.walk(this.#root, path, visitor);
    if (this.#lowestRegex < visitor.best) visitor.consider(this.#regexes);
  }
}

/** Builds the buckets of all hosts; they share one table. Entries must come in the order of their ranks. */
export function* bucketSteps(entries: readonly RouteEntry[]): Steps<Map<string, Bucket>> {
  const plans = new Map<string, BucketPlan>();
  const pool = new Pool();
  for (const entry of entries) {
    const candidate = new Candidate(entry, pool);
    let plan = plans.get(candidate.host);
    if (plan === undefined) {
      plan = new BucketPlan();
      plans.set(candidate.host, plan);
    }
    plan.add(candidate, entry.pattern);
    yield;
  }
  const { table, roots } = yield* packSteps([...plans.values()].map((plan) => plan.tree));
  const buckets = new Map<string, Bucket>();
  for (const [host, plan] of plans) {
    buckets.set(host, new Bucket(plan, table, roots[buckets.size]!));
    yield;
  }
  return buckets;
}

class BucketPlan {
  readonly literals = new Map<string, Candidate[]>();
  readonly tree = new TrieNode('');
  readonly regexes: Candidate[] = [];

  add(candidate: Candidate, pattern: Pattern | null): void {
    if (pattern === null) this.regexes.push(candidate);
    else if (pattern.wildcard || candidate.params.names.length > 0) insert(this.tree, pattern, candidate);
    else {
      const path = literalPath(pattern);
      const same = this.literals.get(path);
      if (same === undefined) this.literals.set(path, [candidate]);
      else same.push(candidate);
    }
  }
}

function literalPath({ segments }: Pattern): string {
  return `/${segments.map((segment) => (segment.kind === 'literal' ? segment.text : '')).join('/')}`;
}
