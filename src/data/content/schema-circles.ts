/**
 * Schemas that lead back to themselves: a tree, a filter of filters. Each of several forms (`anyOf`, `oneOf`) looks at
 * all that is inside, so that a validator that goes down by itself takes time that doubles with each level of a small
 * body. What is found here is checked by definitions instead, each of which looks at each value once (schema-table.ts).
 */
import type { JsonSchema } from '../contract/user-policy.ts';
import { LITERAL, MAPS } from './schema-links.ts';

/** A schema without references of its own, but to `#/$defs/NAME` in these definitions. */
export interface Hoisted {
  readonly schema: JsonSchema;
  readonly definitions: Readonly<Record<string, JsonSchema>>;
}

type Node = Readonly<Record<string, unknown>>;

/** What `$ref` says, found in the document; undefined: nothing, or something elsewhere. */
type Resolve = (reference: string) => unknown;

/** Keywords that may look at a value, or at what is in it, more than once. */
const SEVERAL = ['allOf', 'anyOf', 'oneOf', 'if', 'not', 'dependentSchemas', 'patternProperties'];
/** Places of what is referred to, which say nothing where they stand. */
const ONLY_NAMED = ['$defs', 'definitions', '$anchor', '$id', '$schema'];

/** Null: no reference leads back to what it is in. */
export function hoisted(root: JsonSchema): Hoisted | null {
  const resolve = resolverOf(root);
  if (!isCircular(root, resolve)) return null;
  const names = new Map<object, string>();
  const definitions: Record<string, JsonSchema> = {};
  const rewritten = (schema: unknown): unknown => {
    if (Array.isArray(schema)) return schema.map(rewritten);
    if (!isNode(schema)) return schema;
    return Object.fromEntries(
      Object.entries(schema)
        .filter(([key]) => !ONLY_NAMED.includes(key))
        .map(([key, value]) => {
          if (key === '$ref') return [key, `#/$defs/${nameOf(resolve(String(value)))}`];
          if (LITERAL.includes(key)) return [key, value];
          if (MAPS.includes(key) && isNode(value))
            return [key, Object.fromEntries(Object.entries(value).map(([name, each]) => [name, rewritten(each)]))];
          return [key, rewritten(value)];
        }),
    );
  };
  const nameOf = (target: unknown): string => {
    // `true` and `false` have no identity, and none is needed.
    const known = isNode(target) ? names.get(target) : undefined;
    if (known !== undefined) return known;
    const name = `at${Object.keys(definitions).length}`;
    if (isNode(target)) names.set(target, name);
    definitions[name] = true;
    definitions[name] = rewritten(target) as JsonSchema;
    return name;
  };
  return { schema: rewritten(root) as JsonSchema, definitions };
}

/**
 * Where what is evaluated counts, nothing can be checked by itself. A circle of several forms there could not be
 * checked in time that anybody would wait for.
 */
export function unevaluatedCircle(root: JsonSchema): string | undefined {
  const resolve = resolverOf(root);
  let found: string | undefined;
  each(root, (schema) => {
    const keyword = ['unevaluatedProperties', 'unevaluatedItems'].find((name) => Object.hasOwn(schema, name));
    if (keyword === undefined || found !== undefined) return;
    let hasSeveral = false;
    const isRound = isCircular(schema, resolve, (node) => {
      hasSeveral ||= SEVERAL.some((name) => Object.hasOwn(node, name));
    });
    if (isRound && hasSeveral)
      found = `${keyword} cannot stand where a reference leads back to what it is in beside ${SEVERAL.slice(0, 3).join(', ')} and their like`;
  });
  return found;
}

/** Does a reference lead back to what it is in? `look` sees each schema on the way. */
function isCircular(root: unknown, resolve: Resolve, look: (schema: Node) => void = () => {}): boolean {
  const open = new Set<object>();
  const done = new Set<object>();
  let isRound = false;
  const visit = (schema: unknown): void => {
    if (typeof schema !== 'object' || schema === null || done.has(schema)) return;
    if (open.has(schema)) {
      isRound = true;
      return;
    }
    open.add(schema);
    if (isNode(schema)) look(schema);
    for (const next of nextOf(schema)) visit(next);
    if (isNode(schema) && typeof schema['$ref'] === 'string') visit(resolve(schema['$ref']));
    open.delete(schema);
    done.add(schema);
  };
  visit(root);
  return isRound;
}

/** The schemas that stand in one, those that are only named left out. */
function nextOf(schema: object): unknown[] {
  if (Array.isArray(schema)) return schema;
  return Object.entries(schema).flatMap(([key, value]) => {
    if (LITERAL.includes(key) || ONLY_NAMED.includes(key)) return [];
    return MAPS.includes(key) && isNode(value) ? Object.values(value) : [value];
  });
}

function each(schema: unknown, look: (schema: Node) => void): void {
  if (typeof schema !== 'object' || schema === null) return;
  if (isNode(schema)) look(schema);
  for (const [key, value] of Object.entries(schema)) {
    if (LITERAL.includes(key)) continue;
    if (MAPS.includes(key) && isNode(value)) for (const inner of Object.values(value)) each(inner, look);
    else each(value, look);
  }
}

function resolverOf(root: JsonSchema): Resolve {
  const anchors = new Map<string, unknown>();
  each(root, (schema) => {
    if (typeof schema['$anchor'] === 'string') anchors.set(schema['$anchor'], schema);
  });
  return (reference) => {
    if (reference === '#') return root;
    if (!reference.startsWith('#/')) return anchors.get(reference.slice(1));
    let target: unknown = root;
    for (const step of reference.slice(2).split('/')) {
      const key = decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
      if (typeof target !== 'object' || target === null || !Object.hasOwn(target, key)) return undefined;
      target = (target as Node)[key];
    }
    return target;
  };
}

function isNode(schema: unknown): schema is Node {
  return typeof schema === 'object' && schema !== null && !Array.isArray(schema);
}
