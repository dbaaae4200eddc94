/**
 * The configuration as JSON Schema: for editors (schema/gatehouse.schema.json), for the reference page, and for finding
 * the keys that are possible at a place. All of it comes from schema/document.ts; nothing is said twice.
 */
import * as z from 'zod';
import type { KeyPath } from '../../data/contract/options.ts';
import { documentSchema } from './schema/document.ts';
import { sharedDefinitions } from './shared-definitions.ts';

/**
 * What of JSON Schema our schemas come to. `x-unit`, `x-min` and `x-max` are ours (base/zod-units.ts), and so is
 * `x-refers-to`: the top-level key whose names the text is one of.
 */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly format?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | boolean;
  readonly patternProperties?: Readonly<Record<string, JsonSchema>>;
  readonly propertyNames?: JsonSchema;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly writeOnly?: boolean;
  readonly 'x-unit'?: string;
  readonly 'x-min'?: number;
  readonly 'x-max'?: number;
  readonly 'x-refers-to'?: 'services' | 'issuers';
}

let made: JsonSchema | undefined;

/** As the schemas say it, before substitution is allowed for. Made on first use. */
export function inputSchema(): JsonSchema {
  made ??= z.toJSONSchema(documentSchema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
  return made;
}

/** For editors: `${NAME}` is accepted where a number, a switch or a text of a certain form is expected. */
export function editorSchema(): JsonSchema & { readonly $schema: string; readonly title: string } {
  const { $schema: _, ...schema } = withSubstitution(inputSchema()) as JsonSchema & { $schema?: string };
  return sharedDefinitions({
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Gatehouse configuration',
    ...schema,
    patternProperties: { '^x-': {} },
  });
}

const SUBSTITUTION: JsonSchema = { type: 'string', pattern: '\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}' };

function withSubstitution(schema: JsonSchema): JsonSchema {
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (alternatives !== undefined) {
    const inner = alternatives.map((branch) => {
      if (isText(branch)) return branch;
      // Alternatives among alternatives: what is inside of them may be substituted as well.
      return branch.anyOf === undefined && branch.oneOf === undefined ? insideOnly(branch) : withSubstitution(branch);
    });
    const { oneOf: _one, anyOf: _any, ...rest } = schema;
    return { ...rest, anyOf: alternatives.some(isStrictLeaf) ? [...inner, SUBSTITUTION] : inner };
  }
  if (!isStrictLeaf(schema)) return insideOnly(schema);
  const { description, default: preset, ...leaf } = schema;
  return {
    ...(description === undefined ? {} : { description }),
    ...(preset === undefined ? {} : { default: preset }),
    anyOf: [leaf, SUBSTITUTION],
  };
}

function insideOnly(schema: JsonSchema): JsonSchema {
  const changed: { -readonly [Key in keyof JsonSchema]: JsonSchema[Key] } = { ...schema };
  if (schema.properties !== undefined) {
    changed.properties = Object.fromEntries(
      Object.entries(schema.properties).map(([key, value]) => [key, withSubstitution(value)]),
    );
  }
  if (typeof schema.additionalProperties === 'object') {
    changed.additionalProperties = withSubstitution(schema.additionalProperties);
  }
  if (schema.items !== undefined) changed.items = withSubstitution(schema.items);
  return changed;
}

function isLeaf(schema: JsonSchema): boolean {
  if (schema.const !== undefined || schema.enum !== undefined) return true;
  const types = [schema.type ?? []].flat();
  return types.length > 0 && !types.includes('object') && !types.includes('array');
}

/** A text without any rule takes a substitution as it is. */
function isText(schema: JsonSchema): boolean {
  if (schema.type !== 'string' || schema.enum !== undefined || schema.const !== undefined) return false;
  return schema.pattern === undefined && schema.format === undefined && (schema.minLength ?? 0) <= 1;
}

function isStrictLeaf(schema: JsonSchema): boolean {
  return isLeaf(schema) && !isText(schema);
}

/** Every schema that may stand at a key: several where there are alternatives. */
export function schemasAt(path: KeyPath): JsonSchema[] {
  let found = alternativesOf(inputSchema());
  for (const part of path) {
    found = found.flatMap((schema) => {
      if (typeof part === 'number') return schema.items === undefined ? [] : alternativesOf(schema.items);
      const own = Object.hasOwn(schema.properties ?? {}, part) ? schema.properties?.[part] : undefined;
      if (own !== undefined) return alternativesOf(own);
      return typeof schema.additionalProperties === 'object' ? alternativesOf(schema.additionalProperties) : [];
    });
  }
  return found;
}

function alternativesOf(schema: JsonSchema): JsonSchema[] {
  const branches = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])];
  return [schema, ...branches.flatMap(alternativesOf)];
}

/** The keys that are possible in the mapping at a place. */
export function keysAt(path: KeyPath): string[] {
  return [...new Set(schemasAt(path).flatMap((schema) => Object.keys(schema.properties ?? {})))];
}

/** Where in a document a key could stand, as `services.<name>.retries`; none when it is everywhere. */
export function placesOf(key: string): string[] {
  const places: string[] = [];
  const walk = (schema: JsonSchema, at: string): void => {
    for (const one of alternativesOf(schema)) {
      for (const [name, inner] of Object.entries(one.properties ?? {})) {
        const place = at === '' ? name : `${at}.${name}`;
        if (name === key && !places.includes(place)) places.push(place);
        walk(inner, place);
      }
      if (typeof one.additionalProperties === 'object') walk(one.additionalProperties, `${at}.<name>`);
      if (one.items !== undefined) walk(one.items, `${at}[]`);
    }
  };
  walk(inputSchema(), '');
  return places.length > 2 ? [] : places;
}
