/**
 * What of JSON Schema is supported, as a table, and the walk that refuses the rest when a configuration is loaded: a
 * keyword that is accepted and ignored would let through what its author thinks is refused. Draft 2020-12; patterns
 * must be ones that cannot be made slow (base/safe-regex.ts). docs/guide/validation.md lists the same.
 */
import { regexProblem } from '../../base/safe-regex.ts';
import type { JsonSchema } from '../contract/user-policy.ts';

/** Keywords by what their value is. */
const SCHEMA = ['additionalProperties', 'contains', 'else', 'if', 'items', 'not', 'propertyNames', 'then'];
const UNEVALUATED = ['unevaluatedItems', 'unevaluatedProperties'];
const SCHEMA_LIST = ['allOf', 'anyOf', 'oneOf', 'prefixItems'];
const SCHEMA_MAP = ['$defs', 'definitions', 'dependentSchemas', 'properties'];
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
/** Says nothing about what is valid. `contentSchema` and `contentEncoding` are annotations by the specification. */
const ANNOTATIONS = [
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
  'format',
  'pattern',
  'patternProperties',
  'readOnly',
  'title',
  'writeOnly',
  'xml',
];
const KNOWN: ReadonlySet<string> = new Set([
  ...SCHEMA,
  ...UNEVALUATED,
  ...SCHEMA_LIST,
  ...SCHEMA_MAP,
  ...VALUE,
  ...ANNOTATIONS,
]);

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

export const MAX_SCHEMA_BYTES = 256 * 1_024;
const MAX_DEPTH = 100;

/** What is wrong with a schema and where, or undefined. */
export function schemaProblem(schema: JsonSchema, maxBytes = MAX_SCHEMA_BYTES): string | undefined {
  const text = JSON.stringify(schema);
  if (text.length > maxBytes) return `the schema is longer than ${maxBytes / 1_024} KB`;
  return new Walk(schema).problemOf(schema, '#', 0);
}

class Walk {
  readonly #root: JsonSchema;
  readonly #anchors = new Set<string>();

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
    if (SCHEMA_MAP.includes(keyword) || keyword === 'patternProperties') {
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
    if (value === '#' || this.#anchors.has(value.slice(1))) return undefined;
    let target: unknown = this.#root;
    for (const step of value.slice(2).split('/')) {
      const key = decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
      if (typeof target !== 'object' || target === null || !Object.hasOwn(target, key))
        return `${at}: there is nothing at ${value}`;
      target = (target as Record<string, unknown>)[key];
    }
    return undefined;
  }
}

function collectAnchors(schema: unknown, into: Set<string>): void {
  if (typeof schema !== 'object' || schema === null) return;
  for (const [key, value] of Object.entries(schema)) {
    if (key === '$anchor' && typeof value === 'string') into.add(value);
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
