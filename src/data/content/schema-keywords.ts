/**
 * What of JSON Schema is supported, as a table, and the walk that refuses the rest when a configuration is loaded: a
 * keyword that is accepted and ignored would let through what its author thinks is refused. Draft 2020-12; patterns
 * must be ones that cannot be made slow (base/safe-regex.ts). docs/guide/validation.md lists the same.
 */
import { regexProblem } from '../../base/safe-regex.ts';
import type { JsonSchema } from '../contract/user-policy.ts';
import { unevaluatedCircle } from './schema-circles.ts';

/** Keywords by what their value is. */
const SCHEMA = ['additionalProperties', 'contains', 'else', 'if', 'items', 'not', 'propertyNames', 'then'];
const UNEVALUATED = ['unevaluatedItems', 'unevaluatedProperties'];
const SCHEMA_LIST = ['allOf', 'anyOf', 'oneOf', 'prefixItems'];
const SCHEMA_MAP = ['$defs', 'definitions', 'dependentSchemas', 'patternProperties', 'properties'];
const VALUE = [
  '$anchor',
  '$id',
  '$ref',
  '$schema',
  'const',
  'dependentRequired',
  'enum',
  'exclusiveMaximum',
  'exclusiveMinimum',
  'maxContains',
  'maxItems',
  'maxLength',
  'maxProperties',
  'maximum',
  'minContains',
  'minItems',
  'minLength',
  'minProperties',
  'minimum',
  'multipleOf',
  'required',
  'type',
  'uniqueItems',
];
const TEXT = ['format', 'pattern'];
/** Says nothing about what is valid. `contentSchema` and `contentEncoding` are annotations by the specification. */
export const NOTED_KEYWORDS: readonly string[] = [
  '$comment',
  '$vocabulary',
  'contentEncoding',
  'contentMediaType',
  'contentSchema',
  'default',
  'deprecated',
  'description',
  'discriminator',
  'example',
  'examples',
  'externalDocs',
  'readOnly',
  'title',
  'writeOnly',
  'xml',
];
export const CHECKED_KEYWORDS: readonly string[] = [
  ...SCHEMA,
  ...UNEVALUATED,
  ...SCHEMA_LIST,
  ...SCHEMA_MAP,
  ...VALUE,
  ...TEXT,
];
const KNOWN: ReadonlySet<string> = new Set([...CHECKED_KEYWORDS, ...NOTED_KEYWORDS]);

/** Formats that are checked. Those of numbers (OpenAPI) say how wide they are; the rest is text. */
export const FORMATS: ReadonlySet<string> = new Set([
  'date',
  'date-time',
  'duration',
  'email',
  'hostname',
  'ipv4',
  'ipv6',
  'iri',
  'iri-reference',
  'json-pointer',
  'regex',
  'time',
  'uri',
  'uri-reference',
  'uri-template',
  'uuid',
]);
/** Known by OpenAPI, and not a matter of what is valid. */
const FORMAT_HINTS: ReadonlySet<string> = new Set([
  'binary',
  'byte',
  'double',
  'float',
  'int32',
  'int64',
  'password',
  'html',
  'markdown',
]);
const TYPES: ReadonlySet<string> = new Set(['array', 'boolean', 'integer', 'null', 'number', 'object', 'string']);
const COUNTS = /^(min|max)(Length|Items|Properties|Contains)$/;
const NUMBERS = /^((exclusive)?(Maximum|Minimum)|maximum|minimum|multipleOf)$/i;

const MAX_SCHEMA_BYTES = 256 * 1_024;
const MAX_DEPTH = 100;

/** What is wrong with a schema and where, or undefined. */
export function schemaProblem(schema: JsonSchema, maxBytes = MAX_SCHEMA_BYTES): string | undefined {
  const text = JSON.stringify(schema);
  if (text.length > maxBytes) return `the schema is longer than ${maxBytes / 1_024} KB`;
  const walk = new Walk(schema);
  return walk.problemOf(schema, '#', 0) ?? walk.endlessReference() ?? unevaluatedCircle(schema);
}

class Walk {
  readonly #root: JsonSchema;
  readonly #anchors = new Map<string, object>();
  /** Where each stands, and what it refers to. */
  readonly #references: [at: string, target: object][] = [];

  constructor(root: JsonSchema) {
    this.#root = root;
    collectAnchors(root, this.#anchors);
  }

  problemOf(schema: unknown, at: string, depth: number): string | undefined {
    if (typeof schema === 'boolean') return undefined;
    if (typeof schema !== 'object' || schema === null || Array.isArray(schema))
      return `${at}: a schema is an object, true or false`;
    if (depth > MAX_DEPTH) return `${at}: nested deeper than ${MAX_DEPTH} levels`;
    for (const [keyword, value] of Object.entries(schema)) {
      const problem = this.#keyword(keyword, value, `${at}/${keyword}`, depth);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  #keyword(keyword: string, value: unknown, at: string, depth: number): string | undefined {
    if (keyword.startsWith('x-')) return undefined;
    if (!KNOWN.has(keyword)) return `${at}: the keyword is not supported`;
    if (SCHEMA.includes(keyword) || UNEVALUATED.includes(keyword)) return this.problemOf(value, at, depth + 1);
    if (SCHEMA_LIST.includes(keyword)) {
      if (!Array.isArray(value) || value.length === 0) return `${at}: a list of schemas is expected`;
      return firstOf(value.entries(), ([index, each]) => this.problemOf(each, `${at}/${index}`, depth + 1));
    }
    if (SCHEMA_MAP.includes(keyword)) {
      if (!isMapping(value)) return `${at}: schemas by name are expected`;
      return firstOf(Object.entries(value), ([name, each]) => {
        const unsafe = keyword === 'patternProperties' ? patternProblem(name) : undefined;
        return unsafe === undefined ? this.problemOf(each, `${at}/${name}`, depth + 1) : `${at}/${name}: ${unsafe}`;
      });
    }
    return this.#valueProblem(keyword, value, at);
  }

  #valueProblem(keyword: string, value: unknown, at: string): string | undefined {
    if (keyword === 'pattern') {
      const unsafe = typeof value === 'string' ? patternProblem(value) : 'a regular expression is expected';
      return unsafe === undefined ? undefined : `${at}: ${unsafe}`;
    }
    if (keyword === 'format' && !FORMATS.has(String(value)) && !FORMAT_HINTS.has(String(value)))
      return `${at}: the format ${JSON.stringify(value)} is not known`;
    if (keyword === 'type') {
      const types: unknown[] = Array.isArray(value) ? value : [value];
      const wrong = types.find((type) => !TYPES.has(String(type)));
      if (wrong !== undefined || types.length === 0) return `${at}: there is no type ${JSON.stringify(wrong)}`;
    }
    if (COUNTS.test(keyword) && !(Number.isInteger(value) && (value as number) >= 0))
      return `${at}: a whole number is expected`;
    if (NUMBERS.test(keyword) && typeof value !== 'number') return `${at}: a number is expected`;
    if (keyword === 'multipleOf' && !((value as number) > 0)) return `${at}: a number above 0 is expected`;
    if (keyword === 'required' && !(Array.isArray(value) && value.every((name) => typeof name === 'string')))
      return `${at}: a list of names is expected`;
    if (keyword === 'enum' && !Array.isArray(value)) return `${at}: a list is expected`;
    if (keyword === '$ref') return this.#referenceProblem(value, at);
    return undefined;
  }

  /** Only what is in the document itself: nothing is fetched, at load or later. */
  #referenceProblem(value: unknown, at: string): string | undefined {
    if (typeof value !== 'string' || !value.startsWith('#'))
      return `${at}: only references inside the schema (#/$defs/...) are supported`;
    const target = this.#target(value);
    if (target === undefined) return `${at}: there is nothing at ${value}`;
    if (typeof target === 'object' && target !== null) this.#references.push([at, target]);
    return undefined;
  }

  #target(reference: string): unknown {
    const anchored = this.#anchors.get(reference.slice(1));
    if (reference === '#' || anchored !== undefined) return anchored ?? this.#root;
    let target: unknown = this.#root;
    for (const step of reference.slice(2).split('/')) {
      const key = decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
      if (typeof target !== 'object' || target === null || !Object.hasOwn(target, key)) return undefined;
      target = (target as Record<string, unknown>)[key];
    }
    return target;
  }

  /** One that comes back to itself without going into a member or item, so that no value is ever done with. */
  endlessReference(): string | undefined {
    const done = new Set<object>();
    return firstOf(this.#references, ([at, target]) =>
      this.#isEndless(target, new Set(), done) ? `${at}: the reference leads back to itself` : undefined,
    );
  }

  #isEndless(schema: unknown, open: Set<object>, done: Set<object>): boolean {
    if (typeof schema !== 'object' || schema === null || done.has(schema)) return false;
    // No API has so long a chain, and it would not fit the stack.
    if (open.has(schema) || open.size > MAX_CHAIN) return true;
    open.add(schema);
    const found = this.#inPlace(schema as Record<string, unknown>).some((each) => this.#isEndless(each, open, done));
    open.delete(schema);
    if (!found) done.add(schema);
    return found;
  }

  /** The schemas that are about the same value. */
  #inPlace({ $ref, allOf, anyOf, oneOf, not, ...rest }: Record<string, unknown>): unknown[] {
    const { dependentSchemas } = rest;
    const lists = [allOf, anyOf, oneOf].flatMap((each) => (Array.isArray(each) ? each : []));
    const conditions = [not, rest['if'], rest['then'], rest['else']];
    const dependent = isMapping(dependentSchemas) ? Object.values(dependentSchemas) : [];
    return [typeof $ref === 'string' ? this.#target($ref) : undefined, ...lists, ...conditions, ...dependent];
  }
}

const MAX_CHAIN = 1_000;

function collectAnchors(schema: unknown, into: Map<string, object>): void {
  if (typeof schema !== 'object' || schema === null) return;
  for (const [key, value] of Object.entries(schema)) {
    if (key === '$anchor' && typeof value === 'string') into.set(value, schema);
    else collectAnchors(value, into);
  }
}

function firstOf<T>(items: Iterable<T>, problem: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const found = problem(item);
    if (found !== undefined) return found;
  }
  return undefined;
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * JSON Schema searches a text for a pattern, so one without `^` is tried from every character on: with a loop in it
 * that is quadratic, and refused.
 */
function patternProblem(source: string): string | undefined {
  return firstOf(alternativesOf(source), (alternative) => {
    const anchored = alternative.startsWith('^');
    const end = /(^|[^\\])(\\\\)*\$$/.test(alternative) ? -1 : undefined;
    const inner = alternative.slice(anchored ? 1 : 0, end);
    if (inner === '') return undefined;
    const problem = regexProblem(inner);
    if (problem !== undefined || anchored) return problem;
    return regexProblem(`[\\s\\S]*(?:${inner})`) === undefined
      ? undefined
      : 'begin the pattern with ^, since looking for it everywhere in a text can take quadratic time';
  });
}

/** Split at each `|` outside of groups and classes. */
function alternativesOf(source: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let inClass = false;
  let start = 0;
  for (let i = 0; i < source.length; i++) {
    const char = source[i];
    if (char === '\\') i++;
    else if (inClass) inClass = char !== ']';
    else if (char === '[') inClass = true;
    else if (char === '(') depth++;
    else if (char === ')') depth--;
    else if (char === '|' && depth === 0) {
      parts.push(source.slice(start, i));
      start = i + 1;
    }
  }
  return [...parts, source.slice(start)];
}
