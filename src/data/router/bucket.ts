/** The routes of one host pattern, laid out by the form of their paths. Filled once, in the order of ranks. */
import type { Pattern } from '../contract/route-pattern.ts';
import type { Candidate } from './candidate.ts';
import { finish, insert, TrieNode, type Visitor, walk } from './path-trie.ts';

export class Bucket {
  #literals: Map<string, Candidate[]> | null = null;
  #tree: TrieNode | null = null;
  #regexes: Candidate[] | null = null;
  #lowestInTree = Number.POSITIVE_INFINITY;
  #lowestRegex = Number.POSITIVE_INFINITY;

  /** Candidates must come in the order of their ranks. */
  add(candidate: Candidate): void {
    const { pattern } = candidate;
    if (pattern === null) {
      this.#regexes ??= [];
      this.#regexes.push(candidate);
    } else if (pattern.wildcard || candidate.params.names.length > 0) {
      this.#tree ??= new TrieNode('');
      insert(this.#tree, pattern, candidate);
    } else {
      this.#addLiteral(candidate, pattern);
    }
  }

  /** To be called once when all are in. */
  finish(): void {
    if (this.#tree !== null) this.#lowestInTree = finish(this.#tree);
    this.#lowestRegex = this.#regexes?.[0]?.rank ?? Number.POSITIVE_INFINITY;
  }

  /** Hands the candidates whose path fits to the visitor, better ones first as far as that is cheap to know. */
  search(path: string, visitor: Visitor): void {
    const literals = this.#literals?.get(path);
    if (literals !== undefined) visitor.consider(literals);
    if (this.#lowestInTree < visitor.best) walk(this.#tree!, path, 0, visitor);
    if (this.#lowestRegex < visitor.best) visitor.consider(this.#regexes!);
  }

  #addLiteral(candidate: Candidate, pattern: Pattern): void {
    this.#literals ??= new Map();
    const path = `/${pattern.segments.map((segment) => (segment.kind === 'literal' ? segment.text : '')).join('/')}`;
    const same = this.#literals.get(path);
    if (same === undefined) this.#literals.set(path, [candidate]);
    else same.push(candidate);
  }
}
