/**
 * Schemas of an OpenAPI document as JSON Schema 2020-12: 3.0's own words translated (`nullable`, boolean exclusive
 * bounds), references turned into `#/$defs/NAME` of one table that all operations share, circular ones included, and
 * what a request must not send (`readOnly`) or a response (`writeOnly`) no longer required there.
 */
import { FORMATS } from '../content/schema-keywords.ts';
import type { JsonSchema } from '../contract/user-policy.ts';

export type Mapping = Readonly<Record<string, unknown>>;

export class DocumentError extends Error {
  readonly at: string;

  constructor(at: string, message: string) {
    super(message);
    this.at = at;
  }
}

/** Keywords whose value is data. */
const DATA = new Set(['const', 'default', 'enum', 'example', 'examples', 'required', 'type']);
/** Keywords of which each member is a schema. */
const MAPS = new Set(['$defs', 'definitions', 'dependentSchemas', 'patternProperties', 'properties']);
const SKIPPED = new Set([
  'discriminator',
  'example',
  'examples',
  'externalDocs',
  'xml',
  'nullable',
  'description',
  'title',
]);

export class SchemaTranslator {
  /** By the name that `$ref` then has. */
  readonly definitions: Record<string, JsonSchema> = {};
  readonly #document: unknown;
  readonly #isOld: boolean;
  /** Of the members that are not required: `readOnly` in requests, `writeOnly` in responses. */
  readonly #hidden: 'readOnly' | 'writeOnly';
  readonly #names = new Map<string, string>();
  readonly #unknownFormats: Set<string>;

  constructor(document: unknown, isOld: boolean, hidden: 'readOnly' | 'writeOnly', unknownFormats: Set<string>) {
    this.#document = document;
    this.#isOld = isOld;
    this.#hidden = hidden;
    this.#unknownFormats = unknownFormats;
  }

  translate(schema: unknown, at: string): JsonSchema {
    if (typeof schema === 'boolean') return schema;
    if (!isMapping(schema)) throw new DocumentError(at, 'a schema is expected');
    const reference = schema['$ref'];
    // In 3.0 nothing counts beside a reference.
    if (typeof reference === 'string' && this.#isOld) return { $ref: this.#reference(reference, at) };
    const result: Record<string, unknown> = {};
    for (const [keyword, value] of Object.entries(schema)) this.#keyword(result, keyword, value, at);
    if (this.#isOld) oldWords(result, schema);
    this.#withoutHidden(result, schema);
    return result;
  }

  #keyword(result: Record<string, unknown>, keyword: string, value: unknown, at: string): void {
    const here = `${at}/${keyword}`;
    if (SKIPPED.has(keyword) || keyword.startsWith('x-')) return;
    if (keyword === '$ref') result[keyword] = this.#reference(String(value), here);
    else if (keyword === 'format') {
      // A format that nobody but the document knows says nothing (OpenAPI 3.1 §4.4).
      if (typeof value === 'string' && FORMATS.has(value)) result[keyword] = value;
      else this.#unknownFormats.add(String(value));
    } else if (DATA.has(keyword)) result[keyword] = value;
    else if (MAPS.has(keyword) && isMapping(value))
      result[keyword] = Object.fromEntries(
        Object.entries(value).map(([name, each]) => [name, this.translate(each, `${here}/${name}`)]),
      );
    else if (Array.isArray(value)) result[keyword] = value.map((each, i) => this.translate(each, `${here}/${i}`));
    else if (isMapping(value) && keyword !== 'dependentRequired') result[keyword] = this.translate(value, here);
    else result[keyword] = value;
  }

  #withoutHidden(result: Record<string, unknown>, { required, properties }: Mapping): void {
    if (!Array.isArray(required) || !isMapping(properties)) return;
    result['required'] = required.filter((name) => {
      const property = this.#resolved(properties[String(name)]);
      return !isMapping(property) || property[this.#hidden] !== true;
    });
  }

  #resolved(schema: unknown): unknown {
    let value = schema;
    for (let i = 0; i < 16 && isMapping(value) && typeof value['$ref'] === 'string'; i++)
      value = pointerValue(this.#document, value['$ref']);
    return value;
  }

  /** The definition is put into the table before it is translated, so that a circle ends. */
  #reference(pointer: string, at: string): string {
    if (!pointer.startsWith('#/'))
      throw new DocumentError(at, `only references inside the document are supported, not ${JSON.stringify(pointer)}`);
    let name = this.#names.get(pointer);
    if (name === undefined) {
      const target = pointerValue(this.#document, pointer);
      if (target === undefined) throw new DocumentError(at, `there is nothing at ${pointer}`);
      name = pointer
        .slice(2)
        .replace(/^components\/schemas\//, '')
        .replaceAll(/[^\w.-]/g, '_');
      while (Object.hasOwn(this.definitions, name)) name += '_';
      this.#names.set(pointer, name);
      this.definitions[name] = true;
      this.definitions[name] = this.translate(target, pointer);
    }
    return `#/$defs/${name}`;
  }
}

/** OpenAPI 3.0 is JSON Schema of 2012 with words of its own. */
function oldWords(result: Record<string, unknown>, schema: Mapping): void {
  for (const [flag, bound] of [
    ['exclusiveMinimum', 'minimum'],
    ['exclusiveMaximum', 'maximum'],
  ] as const) {
    if (typeof schema[flag] !== 'boolean') continue;
    delete result[flag];
    if (schema[flag] === true && typeof schema[bound] === 'number') {
      result[flag] = schema[bound];
      delete result[bound];
    }
  }
  if (schema['nullable'] !== true) return;
  const { type, enum: values } = result;
  if (typeof type === 'string') result['type'] = [type, 'null'];
  if (Array.isArray(values) && !values.includes(null)) result['enum'] = [...values, null];
  if (type === undefined && values === undefined) {
    const copy = { ...result };
    for (const key of Object.keys(result)) delete result[key];
    result['anyOf'] = [copy, { type: 'null' }];
  }
}

/** What a JSON Pointer in a fragment points at (RFC 6901 §6); undefined for nothing. */
export function pointerValue(document: unknown, pointer: string): unknown {
  let value = document;
  for (const step of pointer.split('/').slice(1)) {
    const key = decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
