/**
 * How the text of a parameter is read, by its schema and OpenAPI's `style` and `explode`; what has no one reading is
 * refused.
 */
import type { ParameterForm, ParameterPlace, ScalarType } from '../contract/validation.ts';
import { DocumentError, isMapping } from './openapi-schemas.options.ts';

const SEPARATORS: Readonly<Record<string, string>> = {
  spaceDelimited: ' ',
  pipeDelimited: '|',
  form: ',',
  simple: ',',
};

export function formOf(
  schema: unknown,
  place: ParameterPlace,
  { style, explode }: { readonly style?: unknown; readonly explode?: unknown },
  at: string,
  resolve: (schema: unknown) => unknown,
): ParameterForm {
  const isForm = place === 'query' || place === 'cookie';
  const named = typeof style === 'string' ? style : isForm ? 'form' : 'simple';
  if (isMapping(schema) && typesOf(schema).includes('object'))
    throw new DocumentError(at, 'an object as a parameter is supported as `content: application/json` only');
  if (isMapping(schema) && typesOf(schema).includes('array')) {
    const separator = SEPARATORS[named];
    if (separator === undefined) throw new DocumentError(at, `the style ${JSON.stringify(named)} is not supported`);
    const repeated = place === 'query' && named === 'form' && explode !== false;
    return { kind: 'list', separator: repeated ? null : separator, types: scalars(resolve(schema['items'])) };
  }
  if (named !== 'form' && named !== 'simple')
    throw new DocumentError(at, `the style ${JSON.stringify(named)} is not supported`);
  return { kind: 'scalar', types: scalars(schema) };
}

function scalars(schema: unknown): ScalarType[] {
  if (!isMapping(schema)) return ['string'];
  const parts = [...list(schema['anyOf']), ...list(schema['oneOf']), ...list(schema['allOf'])];
  const types = [schema, ...parts.filter(isMapping)].flatMap(typesOf);
  if (types.length === 0) return ['string'];
  const wanted: ScalarType[] = [];
  if (types.includes('boolean')) wanted.push('boolean');
  if (types.includes('number') || types.includes('integer')) wanted.push('number');
  if (types.includes('string')) return types.length === 1 ? ['string'] : [...wanted, 'string'];
  return wanted;
}

function typesOf(schema: Readonly<Record<string, unknown>>): unknown[] {
  return list(schema['type']);
}

function list(value: unknown): unknown[] {
  return value === undefined ? [] : Array.isArray(value) ? value : [value];
}
