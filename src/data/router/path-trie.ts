/**
 * Patterns with parameters or a final `/*`, as a tree over characters. Fully literal patterns are not in it; they
 * have a Map (router.ts).
 *
 *     /v1/users/:id         '/v1/users/' -- :param -- exit
 *     /v1/users/:id/posts                      '--- '/posts' -- exit
 *     /v1/*                 '/v1' -- rest
 *
 * A walk goes down every branch that the path allows and that could still beat the best candidate found: each node
 * knows the lowest rank below it. One path leads to a node in one way only, so a walk visits no node twice. Its cost
 * is bounded by the configuration, whatever the path; backtracking cannot become exponential.
 */
import type { Pattern } from '../contract/route-pattern.ts';
import type { Candidate } from './candidate.ts';

/** Takes the candidates of a pattern that fits; `best` is the lowest rank that it has found to match in full. */
export interface Visitor {
  readonly best: number;
  consider(candidates: readonly Candidate[]): void;
}

export class TrieNode {
  /** Lowest rank of any candidate here or below. */
  lowest = Number.POSITIVE_INFINITY;
  label: string;
  children: TrieNode[] = [];
  /** Index of a child, plus one, by the first character of its label; null while there are few. */
  table: Uint8Array | null = null;
  /** Takes one segment that is not empty; only where a segment begins. */
  param: TrieNode | null = null;
  /** Candidates whose pattern ends here, by rank. */
  exits: Candidate[] | null = null;
  /** Candidates whose pattern goes on with a final `/*`, by rank. */
  rests: Candidate[] | null = null;

  constructor(label: string) {
    this.label = label;
  }
}

/** Adds a candidate; they must come in the order of their ranks. */
export function insert(root: TrieNode, pattern: Pattern, candidate: Candidate): void {
  let node = root;
  let text = '';
  for (const segment of pattern.segments) {
    text += '/';
    if (segment.kind === 'literal') text += segment.text;
    else {
      node = insertText(node, text);
      node.param ??= new TrieNode('');
      node = node.param;
      text = '';
    }
  }
  node = insertText(node, text);
  if (pattern.wildcard) {
    node.rests ??= [];
    node.rests.push(candidate);
  } else {
    node.exits ??= [];
    node.exits.push(candidate);
  }
}

/** To be called once when all are in. Gives the lowest rank. */
export function finish(node: TrieNode): number {
  node.label = flat(node.label);
  let lowest = Math.min(node.exits?.[0]?.rank ?? node.lowest, node.rests?.[0]?.rank ?? node.lowest);
  if (node.param !== null) lowest = Math.min(lowest, finish(node.param));
  for (const child of node.children) lowest = Math.min(lowest, finish(child));
  if (node.children.length > 4) {
    node.table = new Uint8Array(128);
    node.children.forEach((child, at) => {
      node.table![child.label.charCodeAt(0)] = at + 1;
    });
  }
  node.lowest = lowest;
  return lowest;
}

/** A copy in one piece: V8 keeps cut and joined strings as references to others, which are slow to read. */
function flat(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}

/** `at` is where `node`'s label has ended in `path`. */
export function walk(node: TrieNode, path: string, at: number, visitor: Visitor): void {
  if (at === path.length) {
    if (node.exits !== null) visitor.consider(node.exits);
    if (node.rests !== null) visitor.consider(node.rests);
    return;
  }
  const code = path.charCodeAt(at);
  const child = childOf(node, code);
  if (child !== null && child.lowest < visitor.best && continues(path, at, child.label)) {
    walk(child, path, at + child.label.length, visitor);
  }
  if (code === SLASH) {
    if (node.rests !== null) visitor.consider(node.rests);
  } else if (node.param !== null && node.param.lowest < visitor.best) {
    walk(node.param, path, segmentEnd(path, at), visitor);
  }
}

function childOf(node: TrieNode, code: number): TrieNode | null {
  const { children } = node;
  if (node.table !== null) {
    const at = node.table[code];
    return at === undefined || at === 0 ? null : children[at - 1]!;
  }
  for (let i = 0; i < children.length; i++) if (children[i]!.label.charCodeAt(0) === code) return children[i]!;
  return null;
}

/** The first character is known to fit. */
function continues(path: string, at: number, label: string): boolean {
  if (path.length - at < label.length) return false;
  for (let i = 1; i < label.length; i++) if (path.charCodeAt(at + i) !== label.charCodeAt(i)) return false;
  return true;
}

function segmentEnd(path: string, start: number): number {
  const slash = path.indexOf('/', start);
  return slash < 0 ? path.length : slash;
}

/** Goes down `text` from where `node`'s label ends, making and splitting nodes on the way; gives the last one. */
function insertText(node: TrieNode, text: string): TrieNode {
  if (text === '') return node;
  const at = node.children.findIndex((child) => child.label.charCodeAt(0) === text.charCodeAt(0));
  const child = node.children[at];
  if (child === undefined) {
    const made = new TrieNode(text);
    node.children.push(made);
    return made;
  }
  let common = 1;
  while (common < child.label.length && common < text.length && child.label[common] === text[common]) common++;
  if (common === child.label.length) return insertText(child, text.slice(common));
  const upper = new TrieNode(text.slice(0, common));
  upper.children.push(child);
  child.label = child.label.slice(common);
  node.children[at] = upper;
  return insertText(upper, text.slice(common));
}

const SLASH = 0x2f;
