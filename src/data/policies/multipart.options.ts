/**
 * What parts a `multipart/form-data` body may have: as it is written under `validate.multipart`, and as an OpenAPI
 * document says it (3.0: `format: binary`; 3.1: `contentMediaType`; both: `encoding`).
 */
import * as z from 'zod';
import { size } from '../../base/zod-units.ts';
import type { OptionContext } from '../contract/options.ts';
import type { JsonSchema } from '../contract/user-policy.ts';
import type { MultipartSettings, ParameterForm, PartSettings } from '../contract/validation.ts';
import { DocumentError, isMapping, type Mapping } from './openapi-schemas.options.ts';
import { formOf } from './parameter-form.options.ts';

const MAX_PARTS = 100;
const ANY = Number.MAX_SAFE_INTEGER;

const part = z
  .strictObject({
    file: z.boolean().prefault(false).describe('A file; otherwise a field, whose text `schema` is about.'),
    schema: z
      .union([z.boolean(), z.record(z.string(), z.json())])
      .optional()
      .describe('JSON Schema of the field. Of an object: it is sent as JSON; of a list: by several parts of the name.'),
    required: z.boolean().prefault(false).describe('A body without this part is wrong.'),
    max: z.int().min(1).max(1_000).prefault(1).describe('How many parts may have this name.'),
    maxSize: size({ min: 1, max: 1024 ** 4 })
      .optional()
      .describe('Most bytes of one of them. Default: any.'),
    types: z
      .array(z.string().regex(/^[a-z0-9*.+-]+\/[a-z0-9*.+-]+$/, 'must be a content type such as image/*'))
      .min(1)
      .max(50)
      .optional()
      .describe('Content types that a file may declare, such as `image/*`. Default: any.'),
    extensions: z
      .array(z.string().regex(/^\.[a-z0-9.]{1,20}$/, 'must be lower case with its dot, such as .png'))
      .min(1)
      .max(50)
      .optional()
      .describe('Ends that the name of a file may have, such as `.png`. Default: any.'),
  })
  .describe('What parts of this name must be.');

export const multipartSchema = z
  .strictObject({
    parts: z.record(z.string().min(1).max(200), part).describe('Parts by name.'),
    unknownParts: z.enum(['refuse', 'pass']).prefault('refuse').describe('Parts that `parts` does not have.'),
    maxParts: z.int().min(1).max(10_000).prefault(MAX_PARTS).describe('Most parts of one body.'),
  })
  .describe(
    'What a `multipart/form-data` body must be. It passes while it is checked: files are not held, fields are, all together up to `maxBodySize`.',
  );

export function multipartOptions(
  { parts, unknownParts, maxParts }: z.output<typeof multipartSchema>,
  isUsable: (schema: JsonSchema, at: readonly string[]) => boolean,
  context: OptionContext,
): MultipartSettings {
  const problem = (message: string, name: string, key: string): void =>
    context.problem(message, { at: ['multipart', 'parts', name, key] });
  const made = Object.entries(parts).flatMap(([name, written]): PartSettings[] => {
    const { file, schema } = written;
    if (file && schema !== undefined) problem('is for fields; a file has types and extensions', name, 'schema');
    if (!file && written.types !== undefined) problem('is for files; write file: true', name, 'types');
    if (!file && written.extensions !== undefined) problem('is for files; write file: true', name, 'extensions');
    if (schema !== undefined && !isUsable(schema, ['multipart', 'parts', name, 'schema'])) return [];
    try {
      const field = fieldOf(schema, '', (inner) => inner);
      return [
        {
          name,
          isFile: file,
          required: written.required,
          maxCount: field.isMany ? maxParts : written.max,
          maxBytes: written.maxSize ?? ANY,
          types: written.types ?? null,
          extensions: written.extensions ?? null,
          form: field.form,
          schema: (field.schema as JsonSchema | undefined) ?? null,
        },
      ];
    } catch (error) {
      if (!(error instanceof DocumentError)) throw error;
      problem(error.message, name, 'schema');
      return [];
    }
  });
  return { parts: made, unknownParts, maxParts };
}

interface Schemas {
  resolve(schema: unknown): unknown;
  translate(schema: unknown, at: string): JsonSchema;
}

/** Of the schema of a media type. */
export function multipartOf(schema: unknown, encoding: unknown, at: string, schemas: Schemas): MultipartSettings {
  const { properties, required, isClosed } = membersOf(schema, schemas);
  const parts = Object.entries(properties).map(([name, written]): PartSettings => {
    const types = isMapping(encoding) ? typesOf(encoding[name]) : null;
    const resolved = schemas.resolve(written);
    const items = isMapping(resolved) && resolved['type'] === 'array' ? schemas.resolve(resolved['items']) : undefined;
    const file = isFile(resolved) ? resolved : isFile(items) ? items : null;
    const base = { name, required: required.includes(name), maxBytes: ANY, extensions: null };
    if (file === null) {
      const field = fieldOf(written, `${at}/${name}`, schemas.resolve);
      const maxCount = field.isMany ? ANY : 1;
      const schema = schemas.translate(field.schema, `${at}/${name}`);
      return { ...base, isFile: false, maxCount, types: null, form: field.form, schema };
    }
    const most = isMapping(resolved) ? resolved['maxItems'] : undefined;
    const declared =
      isMapping(file) && typeof file['contentMediaType'] === 'string' ? [file['contentMediaType']] : null;
    const maxCount = file === resolved ? 1 : typeof most === 'number' ? most : ANY;
    return { ...base, isFile: true, maxCount, types: types ?? declared, form: TEXT, schema: null };
  });
  return { parts, unknownParts: isClosed ? 'refuse' : 'pass', maxParts: MAX_PARTS };
}

const TEXT: ParameterForm = { kind: 'scalar', types: ['string'] };

interface Field {
  readonly form: ParameterForm;
  /** Of one part, or of all of them where the form is a list. */
  readonly schema: unknown;
  readonly isMany: boolean;
}

/** Objects are sent as JSON, of a list each item by itself (OpenAPI 3.1 §4.8.15.1). */
function fieldOf(schema: unknown, at: string, resolve: (schema: unknown) => unknown): Field {
  const resolved = resolve(schema);
  const types = typesIn(resolved);
  if (types.includes('object')) return { form: { kind: 'json' }, schema, isMany: false };
  if (types.includes('array')) {
    const { items } = resolved as Mapping;
    if (typesIn(resolve(items)).includes('object')) return { form: { kind: 'json' }, schema: items, isMany: true };
  }
  const form = formOf(resolved, 'query', {}, at, resolve);
  return { form, schema, isMany: form.kind === 'list' };
}

function typesIn(schema: unknown): unknown[] {
  return isMapping(schema) ? [schema['type']].flat() : [];
}

function isFile(schema: unknown): boolean {
  if (!isMapping(schema)) return false;
  if (schema['format'] === 'binary') return true;
  const type = schema['contentMediaType'];
  return typeof type === 'string' && schema['contentEncoding'] === undefined && !/^application\/json$/i.test(type);
}

/** `contentType` of an encoding: one, or several with commas. */
function typesOf(encoding: unknown): string[] | null {
  const written = isMapping(encoding) ? encoding['contentType'] : undefined;
  return typeof written === 'string' ? written.split(',').map((each) => each.trim().toLowerCase()) : null;
}

interface Members {
  readonly properties: Mapping;
  readonly required: readonly unknown[];
  readonly isClosed: boolean;
}

/** Those of the schema and of what it is made of. */
function membersOf(written: unknown, schemas: Schemas, depth = 0): Members {
  const schema = schemas.resolve(written);
  if (!isMapping(schema) || depth > 8) return { properties: {}, required: [], isClosed: false };
  const all = Array.isArray(schema['allOf']) ? schema['allOf'].map((each) => membersOf(each, schemas, depth + 1)) : [];
  const own: Members = {
    properties: isMapping(schema['properties']) ? schema['properties'] : {},
    required: Array.isArray(schema['required']) ? schema['required'] : [],
    isClosed: schema['additionalProperties'] === false || schema['unevaluatedProperties'] === false,
  };
  return {
    properties: Object.assign({}, ...all.map(({ properties }) => properties), own.properties) as Mapping,
    required: [...all.flatMap(({ required }) => required), ...own.required],
    isClosed: own.isClosed || all.some(({ isClosed }) => isClosed),
  };
}
