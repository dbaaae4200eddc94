/**
 * Reads an OpenAPI document of a service and brings it to 3.1: 3.0's `nullable` and boolean bounds become what JSON
 * Schema 2020-12 says. Swagger 2.0 and references to other files are refused with a message that says so.
 */
import { parseDocument } from 'yaml';
import { isMapping, type Mapping } from '../openapi-document.ts';

export const MAX_DOCUMENT_BYTES = 5 * 1_024 * 1_024;
const MAX_DEPTH = 200;
/** Aliases of YAML count as often as they stand: a few bytes could be more than any memory holds. */
const MAX_VALUES = 1_000_000;

export type ReadDocument = { readonly document: Mapping } | { readonly problem: string };

export function readApiDocument(text: string): ReadDocument {
  if (text.length > MAX_DOCUMENT_BYTES) return { problem: 'it is longer than 5 MB' };
  const value = parsed(text);
  if (!isMapping(value)) return { problem: 'it is no mapping in YAML or JSON' };
  const tooLarge = sizeProblem(value);
  if (tooLarge !== undefined) return { problem: tooLarge };
  const version = String(value['openapi'] ?? value['swagger'] ?? '');
  if (!/^3\.[01]\./.test(version)) return { problem: `OpenAPI 3.0 or 3.1 is expected, not ${JSON.stringify(version)}` };
  if (!isMapping(value['paths'])) return { problem: 'there are no paths' };
  try {
    return { document: modern(value, version.startsWith('3.0'), 0) as Mapping };
  } catch (error) {
    if (error instanceof RangeError) return { problem: error.message };
    throw error;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    try {
      const document = parseDocument(text, { prettyErrors: false, logLevel: 'error' });
      if (document.errors.length > 0) return undefined;
      return document.toJS({ maxAliasCount: 10_000 });
    } catch {
      return undefined;
    }
  }
}

/** Of all of it, examples too: what is shown is written as JSON again. */
function sizeProblem(document: Mapping): string | undefined {
  let values = 0;
  const measure = (value: unknown, depth: number): string | undefined => {
    if (++values > MAX_VALUES) return `it has more than ${MAX_VALUES} values, those of aliases included`;
    if (typeof value !== 'object' || value === null) return undefined;
    if (depth > MAX_DEPTH) return `it is nested deeper than ${MAX_DEPTH}`;
    for (const each of Object.values(value)) {
      const problem = measure(each, depth + 1);
      if (problem !== undefined) return problem;
    }
    return undefined;
  };
  return measure(document, 0);
}

/** Data (examples, defaults, enums) is left as it is. */
const DATA = new Set(['example', 'examples', 'default', 'enum', 'const']);
/** Members of these are named by the document's author: one called `default` is a schema. */
const MAPS = new Set(['properties', 'patternProperties', '$defs', 'schemas', 'responses', 'headers', 'parameters']);

function modern(value: unknown, isOld: boolean, depth: number, isMap = false): unknown {
  if (depth > MAX_DEPTH) throw new RangeError(`it is nested deeper than ${MAX_DEPTH}`);
  if (Array.isArray(value)) return value.map((each) => modern(each, isOld, depth + 1));
  if (!isMapping(value)) return value;
  const reference = value['$ref'];
  if (typeof reference === 'string' && !reference.startsWith('#/'))
    throw new RangeError(`only references inside the document are supported, not ${JSON.stringify(reference)}`);
  const result: Record<string, unknown> = {};
  for (const [key, each] of Object.entries(value)) {
    if (key === '__proto__') continue;
    result[key] = DATA.has(key) && !isMap ? each : modern(each, isOld, depth + 1, !isMap && MAPS.has(key));
  }
  return isOld && !isMap ? withNewWords(result) : result;
}

function withNewWords(schema: Record<string, unknown>): Record<string, unknown> {
  for (const [flag, bound] of [
    ['exclusiveMinimum', 'minimum'],
    ['exclusiveMaximum', 'maximum'],
  ] as const) {
    if (typeof schema[flag] !== 'boolean') continue;
    const isExclusive = schema[flag] === true && typeof schema[bound] === 'number';
    delete schema[flag];
    if (!isExclusive) continue;
    schema[flag] = schema[bound];
    delete schema[bound];
  }
  if (typeof schema['nullable'] !== 'boolean') return schema;
  const { nullable, ...rest } = schema;
  if (nullable !== true) return rest;
  const { type, enum: values } = rest;
  if (Array.isArray(values) && !values.includes(null)) rest['enum'] = [...(values as unknown[]), null];
  if (typeof type === 'string') return { ...rest, type: [type, 'null'] };
  return Object.keys(rest).length === 0 || Array.isArray(values) ? rest : { anyOf: [rest, { type: 'null' }] };
}
