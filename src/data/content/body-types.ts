/**
 * The types that a body may have, each with its schema compiled: which one a Content-Type names, and what is wrong with
 * a body of it.
 */
import type { JsonSchema } from '../contract/user-policy.ts';
import type { BodyTypeSettings, MultipartSettings } from '../contract/validation.ts';
import type { SchemaCheck } from './json-schema.ts';
import { matchesType, mediaTypeOf } from './media-type.ts';
import type { CheckedMultipart, CheckedPart } from './multipart-check.ts';
import { readQuery, readValue } from './parameters.ts';
import { type JsonLimits, readJson } from './read-json.ts';
import { type Definitions, SchemaTable } from './schema-table.ts';
import type { Violation } from './violation.ts';

export interface CheckedBodyType extends Omit<BodyTypeSettings, 'multipart'> {
  readonly check: SchemaCheck | null;
  /** Null: its parts, if it has any, are not looked at. */
  readonly multipart: CheckedMultipart | null;
}

/** A schema that refers to `#/$defs/NAME` in `definitions`. */
export function compileWith(schema: JsonSchema, definitions: Definitions): Promise<SchemaCheck> {
  return SchemaTable.of(definitions).compile(schema);
}

export async function checkedTypes(
  types: readonly BodyTypeSettings[],
  definitions: Definitions,
): Promise<CheckedBodyType[]> {
  const checked: CheckedBodyType[] = [];
  for (const type of types) {
    const check = type.schema === null ? null : await compileWith(type.schema, definitions);
    const multipart = type.multipart === undefined ? null : await checkedMultipart(type.multipart, definitions);
    checked.push({ ...type, check, multipart });
  }
  return checked;
}

async function checkedMultipart(settings: MultipartSettings, definitions: Definitions): Promise<CheckedMultipart> {
  const parts = new Map<string, CheckedPart>();
  for (const part of settings.parts) {
    const check = part.schema === null ? null : await compileWith(part.schema, definitions);
    parts.set(part.name, { ...part, check });
  }
  return { ...settings, parts };
}

/** The kind of body that a Content-Type names; undefined when there is none. */
export function bodyTypeOf<T extends { readonly type: string }>(
  types: readonly T[],
  contentType: string | null,
): T | undefined {
  const type = mediaTypeOf(contentType);
  return types.find((each) => matchesType(each.type, type));
}

export function checkBody(type: CheckedBodyType, bytes: Uint8Array, limits: JsonLimits): readonly Violation[] {
  if (type.kind === 'form') return checkForm(type, bytes);
  const reading = readJson(bytes, limits);
  if (!reading.ok) return [reading.violation];
  return type.check?.(reading.value) ?? [];
}

/** `application/x-www-form-urlencoded` as an object of its fields, each read as its schema wants it. */
function checkForm(type: CheckedBodyType, bytes: Uint8Array): readonly Violation[] {
  const found: Violation[] = [];
  const form: Record<string, unknown> = {};
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  for (const [name, texts] of readQuery(text, found, 'form')) {
    const settings = Object.hasOwn(type.fields, name) ? type.fields[name] : undefined;
    const value = readValue(
      settings ?? { kind: 'scalar', types: ['string'] },
      texts,
      `form.${name.slice(0, 100)}`,
      found,
    );
    if (value !== undefined) Object.defineProperty(form, name, { value, enumerable: true });
  }
  return found.length > 0 ? found : (type.check?.(form) ?? []);
}
