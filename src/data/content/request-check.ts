/**
 * The operations of one `validate` or `openapi` with their schemas compiled, and the check of a request against them.
 * Made before a snapshot is live, a schema at a time, so that a large document does not hold up the traffic of a
 * worker.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { JsonSchema } from '../contract/user-policy.ts';
import type { BodyTypeSettings, OperationSettings, ValidateSettings } from '../contract/validation.ts';
import type { SchemaCheck } from './json-schema.ts';
import { compileSchema } from './json-schema.ts';
import { matchesType, mediaTypeOf } from './media-type.ts';
import { OperationTable } from './operation-table.ts';
import type { CheckedParameter, ParameterSource } from './parameters.ts';
import { checkParameters, readQuery, readValue } from './parameters.ts';
import { readJson } from './read-json.ts';
import type { Violation } from './violation.ts';

export interface CheckedBodyType extends BodyTypeSettings {
  readonly check: SchemaCheck | null;
}

export interface CheckedOperation {
  readonly parameters: readonly CheckedParameter[];
  readonly body: { readonly required: boolean; readonly types: readonly CheckedBodyType[] } | null;
}

export class RequestCheck {
  readonly settings: ValidateSettings;
  /** The only one, when paths and methods are the route's own. */
  readonly single: CheckedOperation | null;
  readonly #table = new OperationTable<CheckedOperation>();

  static async prepare(settings: ValidateSettings): Promise<RequestCheck> {
    const made: [OperationSettings, CheckedOperation][] = [];
    for (const operation of settings.operations) made.push([operation, await checkedOperation(operation, settings)]);
    return new RequestCheck(settings, made);
  }

  private constructor(settings: ValidateSettings, made: readonly [OperationSettings, CheckedOperation][]) {
    this.settings = settings;
    this.single = made.find(([{ path }]) => path === null)?.[1] ?? null;
    for (const [{ path, method }, operation] of made) if (path !== null) this.#table.add(method ?? '', path, operation);
  }

  /** The operation and the values of its path, or the methods that the path has. */
  find(method: string, path: string): ReturnType<OperationTable<CheckedOperation>['find']> {
    const { basePath } = this.settings;
    if (basePath !== '' && !path.startsWith(`${basePath}/`)) return [];
    return this.#table.find(method, path.slice(basePath.length));
  }

  checkHead(operation: CheckedOperation, source: ParameterSource): Violation[] {
    const found: Violation[] = [];
    checkParameters(operation.parameters, source, this.settings.unknownQuery === 'refuse', found);
    return found;
  }

  /** The kind of body that a Content-Type names; undefined when the operation takes no such thing. */
  bodyType(operation: CheckedOperation, contentType: string | null): CheckedBodyType | undefined {
    const type = mediaTypeOf(contentType);
    return operation.body?.types.find((each) => matchesType(each.type, type));
  }

  checkBody(type: CheckedBodyType, bytes: Uint8Array): readonly Violation[] {
    if (type.kind === 'form') return checkForm(type, bytes);
    const reading = readJson(bytes, this.settings);
    if (!reading.ok) return [reading.violation];
    return type.check?.(reading.value) ?? [];
  }
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

async function checkedOperation(operation: OperationSettings, settings: ValidateSettings): Promise<CheckedOperation> {
  const compile = async (schema: JsonSchema): Promise<SchemaCheck> => {
    const check = await compileSchema(withDefinitions(schema, settings.definitions));
    await turn();
    return check;
  };
  const parameters: CheckedParameter[] = [];
  for (const each of operation.parameters) parameters.push({ ...each, check: await compile(each.schema) });
  if (operation.body === null) return { parameters, body: null };
  const types: CheckedBodyType[] = [];
  for (const type of operation.body.types)
    types.push({ ...type, check: type.schema === null ? null : await compile(type.schema) });
  return { parameters, body: { required: operation.body.required, types } };
}

/** The schema with those definitions that it reaches, so that each is compiled with no more than it needs. */
function withDefinitions(schema: JsonSchema, definitions: ValidateSettings['definitions']): JsonSchema {
  const reached = new Map<string, JsonSchema>();
  const waiting: unknown[] = [schema];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (typeof next !== 'object' || next === null) continue;
    for (const [key, value] of Object.entries(next)) {
      if (typeof value === 'object') waiting.push(value);
      if (key !== '$ref' || typeof value !== 'string' || !value.startsWith('#/$defs/')) continue;
      const name = value.slice('#/$defs/'.length);
      const definition = definitions[name];
      if (definition === undefined || reached.has(name)) continue;
      reached.set(name, definition);
      waiting.push(definition);
    }
  }
  if (reached.size === 0 || typeof schema === 'boolean') return schema;
  return { ...schema, $defs: { ...Object.fromEntries(reached), ...(schema['$defs'] as object | undefined) } };
}
