/**
 * The JSON value of a request message, put together of its three places: the path, the query, and the body. What does
 * not belong there is reported with its place: `query.page_size`, `path.name`, a JSON Pointer into the body.
 */
import type { FieldType, MessageType } from '../../base/protobuf/types.ts';
import { isWrapper } from '../../base/protobuf/well-known.ts';
import { readQuery } from '../content/parameters.ts';
import { readJson } from '../content/read-json.ts';
import { type Violation, violation } from '../content/violation.ts';
import type { Bound } from './binding-table.ts';

type Json = Record<string, unknown>;

const JSON_LIMITS = { maxDepth: 100, safeIntegers: false };
const TEXT_TYPES = ['google.protobuf.Timestamp', 'google.protobuf.Duration', 'google.protobuf.FieldMask'];

export interface RequestValue {
  readonly value: unknown;
  readonly violations: Violation[];
  /** Where a value came from, by its JSON Pointer in `value`. */
  readonly places: ReadonlyMap<string, string>;
}

/** `body`: what the body holds, undefined for nothing. */
export function requestValue(
  input: MessageType,
  { binding, values }: Bound,
  query: string,
  ignoreQuery: readonly string[],
  body: unknown,
): RequestValue {
  const violations: Violation[] = [];
  const places = new Map<string, string>();
  let value: unknown = {};
  if (binding.body === '*') value = body ?? {};
  else if (binding.body !== '' && body !== undefined) value = { [jsonName(input, binding.body)]: body };
  // A body that is no object is refused as such when it is translated.
  if (!isObject(value)) return { value, violations, places };
  const named = new Set<string>();
  for (const { field, value: text } of values) {
    const path = fieldsOf(input, field);
    // That a template names fields is checked with the configuration.
    if (path === null) continue;
    named.add(path.map(({ name }) => name).join('.'));
    put(value, path, scalarOf(path.at(-1)!, text), `path.${field.join('.')}`, places);
  }
  if (query === '') return { value, violations, places };
  for (const [name, texts] of readQuery(query, violations)) {
    if (ignoreQuery.includes(name)) continue;
    const place = `query.${name.slice(0, 100)}`;
    const path = fieldsOf(input, name.split('.'));
    const whole = path?.map((each) => each.name).join('.');
    const problem = problemOf(path, whole, named, binding.body, input, texts.length);
    if (problem !== null) violations.push(violation(place, undefined, problem));
    else {
      const last = path!.at(-1)!;
      const read = texts.map((text) => scalarOf(last, text));
      put(value, path!, last.repeated ? read : read[0], place, places);
    }
  }
  return { value, violations, places };
}

function problemOf(
  path: readonly FieldType[] | null,
  name: string | undefined,
  named: ReadonlySet<string>,
  body: string,
  input: MessageType,
  count: number,
): string | null {
  const last = path?.at(-1);
  if (path === null || name === undefined || last === undefined) return `no such field in ${input.name}`;
  if (named.has(name)) return 'not given here: the path says it';
  if (body === '*' || body === path[0]!.name || body === path[0]!.jsonName)
    return 'not given here: it belongs to the body';
  if (last.mapKey !== null || (last.message !== null && !isText(last.message)))
    return 'a field that is one value, or a list of such';
  return count > 1 && !last.repeated ? 'given once' : null;
}

function isText(type: MessageType): boolean {
  return isWrapper(type.name) || TEXT_TYPES.includes(type.name);
}

/** The fields that a dotted name leads over; null when there is no such path. */
export function fieldsOf(type: MessageType, names: readonly string[]): FieldType[] | null {
  const path: FieldType[] = [];
  let at: MessageType | null = type;
  for (const name of names) {
    const field: FieldType | undefined = at?.byName.get(name);
    if (field === undefined) return null;
    path.push(field);
    at = field.repeated || field.mapKey !== null ? null : field.message;
  }
  return path;
}

function jsonName(type: MessageType, name: string): string {
  return type.byName.get(name)?.jsonName ?? name;
}

function put(
  value: Json,
  path: readonly FieldType[],
  scalar: unknown,
  place: string,
  places: Map<string, string>,
): void {
  let at = value;
  for (const field of path.slice(0, -1)) {
    const inner = at[field.jsonName] ?? at[field.name];
    const next: Json = isObject(inner) ? inner : {};
    set(at, field, next);
    at = next;
  }
  set(at, path.at(-1)!, scalar);
  places.set(path.map((field) => `/${field.jsonName}`).join(''), place);
}

/** Under its JSON name, whichever name it had before. */
function set(at: Json, field: FieldType, value: unknown): void {
  if (field.name !== field.jsonName) delete at[field.name];
  at[field.jsonName] = value;
}

/** A text as the JSON value that its field takes; what is none stays a text and is refused when it is translated. */
function scalarOf(field: FieldType, text: string): unknown {
  const one = field.message !== null && isWrapper(field.message.name) ? field.message.byNumber.get(1)! : field;
  if (one.kind === 'bool') return text === 'true' ? true : text === 'false' ? false : text;
  return one.kind === 'enum' && /^-?\d{1,10}$/.test(text) ? Number(text) : text;
}

/** A JSON text with integers beyond 2^53 as `bigint`; undefined and a violation when it is none. */
export function readExactJson(bytes: Buffer, violations: Violation[]): unknown {
  const reading = readJson(bytes, JSON_LIMITS);
  if (!reading.ok) {
    violations.push(reading.violation);
    return undefined;
  }
  return reading.hasLongNumber ? JSON.parse(reading.text, exact) : reading.value;
}

function exact(_: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
  const source = context?.source;
  return source !== undefined && /^-?\d{16,20}$/.test(source) ? BigInt(source) : value;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
