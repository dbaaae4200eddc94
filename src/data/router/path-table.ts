/**
 * The trees of all hosts, packed into three arrays. A walk reads a few neighbouring cache lines instead of following
 * an object, an array and a string for each node: with 10,000 routes, whose nodes do not stay in the cache, a lookup
 * then costs 1.5 times that of ten routes, instead of 3 times.
 *
 *     records   eight numbers a node (the constants below); children of one node stand side by side
 *     firsts    one byte a node: the first character of its label, so that choosing a child is one short scan
 *     labels    the labels, one after the other
 *     lists     candidates by pattern, by rank
 *
 * A walk goes down every branch that the path allows and that could still beat the best candidate found: each node
 * knows the lowest rank below it. One path leads to a node in one way only, so a walk visits no node twice. Its cost
 * is bounded by the configuration, whatever the path; backtracking cannot become exponential.
 */
import type { Steps } from '../../base/slices.ts';
import type { Candidate } from './candidate.ts';
import type { TrieNode } from './path-trie.ts';

/** Higher than any rank. */
export const NO_RANK = 0x7fffffff;

/** Takes the candidates of a pattern that fits; `best` is the lowest rank that it has found to match in full. */
export interface Visitor {
  readonly best: number;
  consider(candidates: readonly Candidate[]): void;
}

const FIELDS = 8;
const LABEL = 0;
const LABEL_LENGTH = 1;
const FIRST_CHILD = 2;
const CHILDREN = 3;
/** A node, or -1. */
const PARAM = 4;
/** Lowest rank of any candidate here or below. */
const LOWEST = 5;
/** An index into `lists`, or -1. */
const EXITS = 6;
const RESTS = 7;

const SLASH = 0x2f;

export class PathTable {
  readonly #records: Int32Array;
  readonly #firsts: Uint8Array;
  readonly #labels: Uint8Array;
  readonly #lists: readonly (readonly Candidate[])[];

  constructor(records: Int32Array, firsts: Uint8Array, labels: Uint8Array, lists: readonly (readonly Candidate[])[]) {
    this.#records = records;
    this.#firsts = firsts;
    this.#labels = labels;
    this.#lists = lists;
  }

  /** Lowest rank in the tree of `root`. */
  lowest(root: number): number {
    return this.#records[root * FIELDS + LOWEST]!;
  }

  /** Hands every list of candidates whose pattern fits `path` to the visitor, until none left could be better. */
  walk(root: number, path: string, visitor: Visitor): void {
    this.#walk(root, path, 0, visitor);
  }

  /** `at` is where `node`'s label has ended in `path`. */
  #walk(node: number, path: string, at: number, visitor: Visitor): void {
    const records = this.#records;
    const record = node * FIELDS;
    const rests = records[record + RESTS]!;
    if (at === path.length) {
      const exits = records[record + EXITS]!;
      if (exits >= 0) visitor.consider(this.#lists[exits]!);
      if (rests >= 0) visitor.consider(this.#lists[rests]!);
      return;
    }
    const code = path.charCodeAt(at);
    const child = this.#child(record, code);
    if (child >= 0 && records[child * FIELDS + LOWEST]! < visitor.best) {
      const end = this.#labelEnd(child, path, at);
      if (end >= 0) this.#walk(child, path, end, visitor);
    }
    if (code === SLASH) {
      if (rests >= 0) visitor.consider(this.#lists[rests]!);
      return;
    }
    const param = records[record + PARAM]!;
    if (param < 0 || records[param * FIELDS + LOWEST]! >= visitor.best) return;
    const slash = path.indexOf('/', at);
    this.#walk(param, path, slash < 0 ? path.length : slash, visitor);
  }

  #child(record: number, code: number): number {
    const first = this.#records[record + FIRST_CHILD]!;
    const end = first + this.#records[record + CHILDREN]!;
    for (let child = first; child < end; child++) if (this.#firsts[child] === code) return child;
    return -1;
  }

  /** Where the label of `node` ends if `path` goes on with it, else -1. The first character is known to fit. */
  #labelEnd(node: number, path: string, at: number): number {
    const start = this.#records[node * FIELDS + LABEL]!;
    const length = this.#records[node * FIELDS + LABEL_LENGTH]!;
    if (path.length - at < length) return -1;
    for (let i = 1; i < length; i++) if (path.charCodeAt(at + i) !== this.#labels[start + i]) return -1;
    return at + length;
  }
}

interface PackedTrees {
  readonly table: PathTable;
  readonly roots: readonly number[];
}

const NODES_IN_A_STEP = 256;

/** Packs trees; gives the table and the number of each root in it, in the order given. */
export function* packSteps(roots: readonly TrieNode[]): Steps<PackedTrees> {
  const nodes = yield* inOrder(roots);
  const numbers = new Map<TrieNode, number>();
  for (const [at, node] of nodes.entries()) {
    numbers.set(node, at);
    if (at % NODES_IN_A_STEP === 0) yield;
  }
  const records = new Int32Array(nodes.length * FIELDS);
  const firsts = new Uint8Array(nodes.length);
  const labels: string[] = [];
  const lists: (readonly Candidate[])[] = [];
  let labelStart = 0;
  const keep = (list: readonly Candidate[] | null): number => (list === null ? -1 : lists.push(list) - 1);
  for (const [at, node] of nodes.entries()) {
    const record = at * FIELDS;
    records[record + LABEL] = labelStart;
    records[record + LABEL_LENGTH] = node.label.length;
    records[record + FIRST_CHILD] = node.children.length === 0 ? 0 : numbers.get(node.children[0]!)!;
    records[record + CHILDREN] = node.children.length;
    records[record + PARAM] = node.param === null ? -1 : numbers.get(node.param)!;
    records[record + LOWEST] = Math.min(node.exits?.[0]?.rank ?? NO_RANK, node.rests?.[0]?.rank ?? NO_RANK);
    records[record + EXITS] = keep(node.exits);
    records[record + RESTS] = keep(node.rests);
    firsts[at] = node.label.charCodeAt(0);
    labels.push(node.label);
    labelStart += node.label.length;
    if (at % NODES_IN_A_STEP === 0) yield;
  }
  spreadLowest(records);
  const table = new PathTable(records, firsts, Buffer.from(labels.join(''), 'latin1'), lists);
  return { table, roots: roots.map((root) => numbers.get(root)!) };
}

/** Siblings side by side, parents before their children; a parameter right behind the children beside it. */
function* inOrder(roots: readonly TrieNode[]): Steps<TrieNode[]> {
  const nodes = [...roots];
  for (let at = 0; at < nodes.length; at++) {
    const { children, param } = nodes[at]!;
    nodes.push(...children);
    if (param !== null) nodes.push(param);
    if (at % NODES_IN_A_STEP === 0) yield;
  }
  return nodes;
}

/** From the last node to the first, so that what is below a node is known before it. */
function spreadLowest(records: Int32Array): void {
  for (let record = records.length - FIELDS; record >= 0; record -= FIELDS) {
    const first = records[record + FIRST_CHILD]!;
    const end = first + records[record + CHILDREN]!;
    let lowest = records[record + LOWEST]!;
    for (let child = first; child < end; child++) lowest = Math.min(lowest, records[child * FIELDS + LOWEST]!);
    const param = records[record + PARAM]!;
    if (param >= 0) lowest = Math.min(lowest, records[param * FIELDS + LOWEST]!);
    records[record + LOWEST] = lowest;
  }
}
