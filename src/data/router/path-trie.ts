/**
 * Patterns with parameters or a final `/*`, as a tree over characters, while the router is being built. Fully literal
 * patterns are not in it; they have a Map (bucket.ts). Requests are matched against the packed form (path-table.ts).
 *
 *     /v1/users/:id         '/v1/users/' -- :param -- exit
 *     /v1/users/:id/posts                      '--- '/posts' -- exit
 *     /v1/*                 '/v1' -- rest
 */
import type { Pattern } from '../contract/route-pattern.ts';
import type { Candidate } from './candidate.ts';

export class TrieNode {
  /** What stands between the parent and this node; empty behind a parameter and at the root. */
  label: string;
  /** No two begin with the same character. */
  readonly children: TrieNode[] = [];
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
