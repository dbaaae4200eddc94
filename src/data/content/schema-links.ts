/** References to definitions that are compiled by themselves (schema-table.ts), as the validator's own refinements. */
import type { JsonSchema } from '../contract/user-policy.ts';
import type { Violation } from './violation.ts';

export interface SchemaLinks {
  has(name: string): boolean;
  passes(name: string, value: unknown): boolean;
  violations(name: string, value: unknown): readonly Violation[];
}

/** The validator's keyword for a function of our own. */
export const REFINEMENT = '~refine';
/** Keywords whose value is data. */
export const LITERAL = ['const', 'enum', 'default', 'example', 'examples'];
const PLACE = '#/$defs/';

/** Keywords of which each member is a schema, whatever its name. */
export const MAPS = ['$defs', 'definitions', 'dependentSchemas', 'patternProperties', 'properties'];

/** The schema with calls in place of references. Errors of such a call are the name of the definition. */
export function linked(schema: unknown, links: SchemaLinks): unknown {
  if (Array.isArray(schema)) return schema.map((each) => linked(each, links));
  if (typeof schema !== 'object' || schema === null) return schema;
  const result: Record<string, unknown> = {};
  let call: object | null = null;
  for (const [key, value] of Object.entries(schema)) {
    const name = key === '$ref' ? nameIn(value) : null;
    if (name !== null && links.has(name))
      call = { [REFINEMENT]: [{ check: (each: unknown) => links.passes(name, each), error: () => name }] };
    else if (MAPS.includes(key) && typeof value === 'object' && value !== null)
      result[key] = Object.fromEntries(Object.entries(value).map(([each, inner]) => [each, linked(inner, links)]));
    else result[key] = LITERAL.includes(key) ? value : linked(value, links);
  }
  if (call === null) return result;
  // Beside other keywords a refinement would only be looked at when these are all right.
  const all = Array.isArray(result['allOf']) ? result['allOf'] : [];
  return Object.keys(result).length === 0 ? call : { ...result, allOf: [...all, call] };
}

export function referredNames(schema: JsonSchema): string[] {
  const names = new Set<string>();
  visit(schema, (key, value) => {
    const name = key === '$ref' ? nameIn(value) : null;
    if (name !== null) names.add(name);
  });
  return [...names];
}

export function usesUnevaluated(schema: JsonSchema): boolean {
  let found = false;
  visit(schema, (key) => {
    if (key === 'unevaluatedProperties' || key === 'unevaluatedItems') found = true;
  });
  return found;
}

function visit(schema: unknown, look: (key: string, value: unknown) => void): void {
  if (typeof schema !== 'object' || schema === null) return;
  for (const [key, value] of Object.entries(schema)) {
    if (MAPS.includes(key) && typeof value === 'object' && value !== null)
      for (const inner of Object.values(value)) visit(inner, look);
    else {
      look(key, value);
      if (!LITERAL.includes(key)) visit(value, look);
    }
  }
}

function nameIn(reference: unknown): string | null {
  return typeof reference === 'string' && reference.startsWith(PLACE) ? reference.slice(PLACE.length) : null;
}
