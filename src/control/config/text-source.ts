/**
 * YAML and JSON files to plain values, with the place of every key and value. Both are read by the same parser, so both
 * have the same positions; a JSON file is held to JSON's own grammar (json-grammar.ts) besides, and is parsed for its
 * places only when one is asked for: json-source.ts has read the values long before. Calls substitute.ts for `${NAME}`.
 * Anchors, aliases and merge keys are followed, within limits; tags and second documents are refused.
 */
import type { Alias, Document, Node, Pair, YAMLMap } from 'yaml';
import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, Scalar, visit } from 'yaml';
import type { KeyPath } from '../../data/contract/options.ts';
import { jsonProblem } from './json-grammar.ts';
import { plainJson } from './json-source.ts';
import type { Place, Problem } from './problems.ts';
import { formatKey } from './problems.ts';
import type { ConfigSource, Environment, EnvironmentValue, SourceResult } from './source.ts';
import { pathId } from './source.ts';
import { type MaskedText, maskTokens, substitute } from './substitute.ts';

const MOST_VALUES = 1_000_000;
/** Aliases can make a short file expand without end; no real configuration is near both of these. */
const MOST_ALIASED_VALUES = 100_000;
const MOST_ALIASED_PER_VALUE = 20;
const DEEPEST = 64;

interface Offsets {
  readonly key: number;
  readonly value: number;
}

export function textSource(text: string, file: string, kind: 'yaml' | 'json', env: Environment): SourceResult {
  const masked = maskTokens(text);
  if (masked === undefined) {
    return refusal(
      file,
      'the file contains characters from U+E000 to U+F0FF, which have no meaning in a configuration',
    );
  }
  const plain = kind === 'json' ? plainJson(text, masked, env, { values: MOST_VALUES, depth: DEEPEST }) : undefined;
  if (plain === undefined) return parsed(text, masked, file, kind, env);
  let placed: ConfigSource | undefined;
  const place: ConfigSource['place'] = (path, part) => {
    placed ??= parsed(text, masked, file, kind, env).source;
    return placed?.place(path, part) ?? { file, line: null, column: null };
  };
  return { source: { file, ...plain, place }, problems: [] };
}

function parsed(text: string, masked: MaskedText, file: string, kind: 'yaml' | 'json', env: Environment): SourceResult {
  const lines = new LineCounter();
  const problems: Problem[] = [];
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col) };
  };
  const complain = (offset: number, key: string, message: string, more: Partial<Problem> = {}): void => {
    problems.push({ severity: 'error', ...at(offset), key, message, ...more });
  };

  let document: Document.Parsed;
  try {
    document = parseDocument(masked.text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  } catch {
    // The parser recurses, so nesting without end exhausts the stack.
    return refusal(file, 'the file is nested too deeply');
  }
  if (kind === 'json') {
    const problem = jsonProblem(text, document);
    if (problem !== undefined) {
      complain(problem.offset, '', problem.message);
      return { source: undefined, problems };
    }
  }
  let isBroken = false;
  for (const error of document.errors) {
    const offset = error.pos[0];
    if (error.code === 'DUPLICATE_KEY') {
      const key = /^["']?([^"'\s:,}]*)/.exec(masked.text.slice(offset, offset + 80))?.[1] ?? '';
      complain(offset, '', `the key ${JSON.stringify(key)} is there twice`);
    } else {
      // What the parser says after the first of these is guessing.
      if (!isBroken) complain(offset, '', syntaxMessage(error.code, error.message));
      isBroken = true;
    }
  }
  for (const warning of document.warnings) complain(warning.pos[0], '', lowerFirst(warning.message));
  if (isBroken) return { source: undefined, problems };

  const builder = new TreeBuilder(document, masked.tokens, env, complain);
  const value = document.contents === null ? null : builder.build(document.contents, [], 0);
  // The places live as long as the configuration; the parser's nodes need not.
  const { environmentValues, offsets } = builder;
  const source: ConfigSource = {
    file,
    value,
    environmentValues,
    place: (path, part) => at(offsetOf(offsets, path, part)),
  };
  return { source, problems };
}

function refusal(file: string, message: string): SourceResult {
  return { source: undefined, problems: [{ severity: 'error', file, line: 1, column: 1, key: '', message }] };
}

const TOKEN_WORDS: Readonly<Record<string, string>> = {
  'flow-map-start': '"{"',
  'flow-map-end': '"}"',
  'flow-seq-start': '"["',
  'flow-seq-end': '"]"',
  comma: '","',
  'map-value-ind': '":"',
  'seq-item-ind': '"-"',
  'explicit-key-ind': '"?"',
  scalar: 'text',
  'double-quoted-scalar': 'text in quotes',
  'single-quoted-scalar': 'text in quotes',
};

/** The parser's own words are about its grammar, and may quote the text; people meet a few of them often. */
function syntaxMessage(code: string, message: string): string {
  if (code === 'MULTIPLE_DOCS') return 'the file holds more than one document (remove the line ---)';
  if (code === 'TAB_AS_INDENT') return 'a tab is used for indentation; YAML takes spaces only';
  const unexpected = /^Unexpected ([a-z-]+)(?: token)? (?:at|in) /.exec(message)?.[1];
  if (unexpected !== undefined) {
    const what = TOKEN_WORDS[unexpected] ?? unexpected;
    return `not valid YAML: ${what} is not possible here; is a quote or a bracket missing before it?`;
  }
  return `not valid YAML: ${lowerFirst(message.split(/: ["']|\n/, 1)[0] ?? message)}`;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** The nearest thing around a missing one is its mapping. */
function offsetOf(offsets: ReadonlyMap<string, Offsets>, path: KeyPath, part: 'key' | 'value'): number {
  for (let length = path.length; length >= 0; length--) {
    const found = offsets.get(pathId(path.slice(0, length)));
    if (found === undefined) continue;
    // For something that is missing, the key of what it is missing from says more than where its content starts.
    return length === path.length && part === 'value' ? found.value : found.key;
  }
  return 0;
}

type Complain = (offset: number, key: string, message: string, more?: Partial<Problem>) => void;

/** YAML's own tags for what JSON has no word for. The parser complains about tags that it does not know. */
const OTHER_TAGS = /^tag:yaml\.org,2002:(?!(?:str|int|float|bool|null|map|seq)$)/;

/** False for what JSON could not say: `!!binary`, `!!set`, a date of YAML 1.1. */
function isPlain(node: Node): boolean {
  if (node.tag !== undefined && OTHER_TAGS.test(node.tag)) return false;
  return !isScalar(node) || node.value === null || ['string', 'number', 'boolean'].includes(typeof node.value);
}

/** One walk over the parsed nodes. Lives for one file. */
class TreeBuilder {
  readonly offsets = new Map<string, Offsets>();
  readonly environmentValues = new Map<string, EnvironmentValue>();
  readonly #document: Document.Parsed;
  readonly #tokens: readonly string[];
  readonly #env: Environment;
  readonly #complain: Complain;
  /** Anchored nodes that are being built; one of them again is a cycle. */
  readonly #open = new Set<Node>();
  #values = 0;
  /** Aliases that the walk is inside of, and values met there. */
  #aliases = 0;
  #aliasedValues = 0;
  #isTooLarge = false;
  #targets: ReadonlyMap<Alias, Node> | null = null;

  constructor(document: Document.Parsed, tokens: readonly string[], env: Environment, complain: Complain) {
    this.#document = document;
    this.#tokens = tokens;
    this.#env = env;
    this.#complain = complain;
  }

  build(node: Node, path: KeyPath, depth: number, keyOffset = offsetOfNode(node)): unknown {
    if (!this.offsets.has(pathId(path))) {
      this.offsets.set(pathId(path), { key: keyOffset, value: offsetOfNode(node) });
    }
    if (!this.#mayGoOn(node, path, depth)) return null;
    const target = this.#follow(node, path);
    if (target === undefined) {
      this.environmentValues.set(pathId(path), {
        path,
        variables: [],
        whole: undefined,
        isMissing: true,
        isDeclared: false,
      });
      return null;
    }
    if (!isPlain(target)) {
      this.#complain(offsetOfNode(node), formatKey(path), 'a value of this kind has no meaning in a configuration', {
        expected: 'text, a number, true, false, null, a list or a mapping without a tag',
      });
      return null;
    }
    if (isScalar(target)) return this.#scalar(target, path);
    const isAliased = target !== node;
    if (isAliased) this.#aliases++;
    this.#open.add(target);
    let value: unknown = null;
    if (isSeq(target)) {
      value = target.items.map((item, index) => {
        const itemNode = isPair(item) ? (item.value as Node | null) : (item as Node | null);
        return itemNode === null ? null : this.build(itemNode, [...path, index], depth + 1);
      });
    } else if (isMap(target)) {
      value = this.#mapping(target.items as Pair<Node, Node | null>[], path, depth);
    }
    this.#open.delete(target);
    if (isAliased) this.#aliases--;
    return value;
  }

  /** Counts what is walked through: once for each way to it, so that what expands without end is found early. */
  #mayGoOn(node: Node, path: KeyPath, depth: number): boolean {
    this.#values++;
    if (this.#aliases > 0) this.#aliasedValues++;
    if (this.#isTooLarge) return false;
    const mostAliased = Math.max(MOST_ALIASED_VALUES, MOST_ALIASED_PER_VALUE * (this.#values - this.#aliasedValues));
    this.#isTooLarge = this.#values > MOST_VALUES || this.#aliasedValues > mostAliased || depth > DEEPEST;
    if (this.#isTooLarge)
      this.#complain(offsetOfNode(node), formatKey(path), 'the document is too large or nested too deeply');
    return !this.#isTooLarge;
  }

  #follow(node: Node, path: KeyPath): Node | undefined {
    if (!isAlias(node)) return node;
    this.#targets ??= targetsOf(this.#document);
    const target = this.#targets.get(node);
    if (target === undefined) {
      this.#complain(offsetOfNode(node), formatKey(path), `there is no anchor "&${node.source}" before this alias`);
      return undefined;
    }
    if (this.#open.has(target)) {
      this.#complain(offsetOfNode(node), formatKey(path), `the alias "*${node.source}" is inside its own anchor`);
      return undefined;
    }
    return target;
  }

  #scalar(node: Scalar, path: KeyPath): unknown {
    if (typeof node.value !== 'string') return node.value;
    const result = this.#substituted(node.value, path, offsetOfNode(node));
    return result ?? node.value;
  }

  #substituted(text: string, path: KeyPath, offset: number): string | undefined {
    let isMissing = false;
    const result = substitute(text, this.#tokens, this.#env, (message, expected) => {
      isMissing = true;
      this.#complain(offset, formatKey(path), message, { expected });
    });
    if (result === undefined) return undefined;
    if (result.variables.length > 0 || isMissing) {
      const whole = result.isWhole ? result.text : undefined;
      this.environmentValues.set(pathId(path), {
        path,
        variables: result.variables,
        whole,
        isMissing,
        isDeclared: false,
      });
    }
    return result.text;
  }

  #mapping(pairs: readonly Pair<Node, Node | null>[], path: KeyPath, depth: number): Record<string, unknown> {
    const mapping: Record<string, unknown> = {};
    const merges: Node[] = [];
    for (const { key, value } of pairs) {
      const offset = offsetOfNode(key);
      const name = this.#keyName(key, path);
      if (name === undefined) continue;
      if (name === '<<' && isScalar(key) && key.type === Scalar.PLAIN) {
        if (value !== null) merges.push(value);
        continue;
      }
      const at = [...path, name];
      const built = value === null ? null : this.build(value, at, depth + 1, offset);
      if (value === null) this.offsets.set(pathId(at), { key: offset, value: offset });
      // `redis: ${REDIS_URL:-}` without the variable is as good as no key.
      const origin = built === '' ? this.environmentValues.get(pathId(at)) : undefined;
      if (origin?.whole === '' && !origin.isMissing) continue;
      mapping[name] = built;
    }
    for (const merge of merges) this.#merge(merge, mapping, path, depth);
    return mapping;
  }

  /** `<<: *anchor` or `<<: [*a, *b]`: keys that are there already stay. */
  #merge(node: Node, mapping: Record<string, unknown>, path: KeyPath, depth: number): void {
    if (!this.#mayGoOn(node, path, depth)) return;
    const target = this.#follow(node, path);
    if (target === undefined) return;
    const isAliased = target !== node;
    if (isAliased) this.#aliases++;
    this.#open.add(target);
    if (isSeq(target)) for (const item of target.items) this.#merge(item as Node, mapping, path, depth + 1);
    else if (isMap(target)) this.#mergeMapping(target, mapping, path, depth);
    else this.#complain(offsetOfNode(node), formatKey(path), '"<<" takes a mapping or a list of mappings');
    this.#open.delete(target);
    if (isAliased) this.#aliases--;
  }

  #mergeMapping(target: YAMLMap, mapping: Record<string, unknown>, path: KeyPath, depth: number): void {
    const fresh = (target.items as Pair<Node, Node | null>[]).filter(
      ({ key }) => !isScalar(key) || !Object.hasOwn(mapping, String(key.value)),
    );
    Object.assign(mapping, this.#mapping(fresh, path, depth + 1));
  }

  #keyName(key: Node, path: KeyPath): string | undefined {
    if (isScalar(key)) {
      const name = String(key.value);
      const text = this.#substituted(name, [...path, name], offsetOfNode(key));
      if (text === undefined && name !== '__proto__') return name;
      this.#complain(
        offsetOfNode(key),
        formatKey(path),
        text === undefined ? 'this key is not allowed' : 'a key cannot come out of the environment',
      );
      return undefined;
    }
    this.#complain(offsetOfNode(key), formatKey(path), 'a key must be a plain text');
    return undefined;
  }
}

/**
 * What each alias stands for: the last node before it that has the anchor (YAML 1.2.2 §7.1). The parser's own
 * `resolve` looks through the whole document for each of them.
 */
function targetsOf(document: Document.Parsed): ReadonlyMap<Alias, Node> {
  const anchors = new Map<string, Node>();
  const targets = new Map<Alias, Node>();
  visit(document, {
    Node: (_, node) => {
      if (isAlias(node)) {
        const target = anchors.get(node.source);
        if (target !== undefined) targets.set(node, target);
      } else if (node.anchor !== undefined) anchors.set(node.anchor, node);
    },
  });
  return targets;
}

function offsetOfNode(node: Node): number {
  return node.range?.[0] ?? 0;
}
