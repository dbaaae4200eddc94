/**
 * JSON Schema 2020-12 behind one small interface: a schema that `schemaProblem` found usable becomes a function that
 * gives every violation, or null. The validator is typebox's, loaded on first use and only where a schema is
 * configured; nothing else in the project knows which library it is.
 */
import type { TLocalizedValidationError } from 'typebox/error';
import type { JsonSchema } from '../contract/user-policy.ts';
import { LITERAL, linked, MAPS, REFINEMENT, type SchemaLinks } from './schema-links.ts';
import type { Violation } from './violation.ts';
import { violation } from './violation.ts';

export { schemaProblem } from './schema-keywords.ts';

/** Null: the value is valid. */
export type SchemaCheck = (value: unknown) => readonly Violation[] | null;

/** Compiling the same schema again gives the same function: a reload costs nothing for what has not changed. */
const compiled = new Map<string, SchemaCheck>();
const MAX_COMPILED = 2_000;
const MAX_VIOLATIONS = 32;
const UNKNOWN_MEMBERS = ['additionalProperties', 'unevaluatedProperties', 'unevaluatedItems'];

/** Rejects when the schema is one that `schemaProblem` refuses. */
export async function compileSchema(schema: JsonSchema): Promise<SchemaCheck> {
  const key = JSON.stringify(schema);
  const known = compiled.get(key);
  if (known !== undefined) return known;
  const check = checkOf(await compileLinked(schema, null));
  if (compiled.size >= MAX_COMPILED) compiled.delete(compiled.keys().next().value!);
  compiled.set(key, check);
  return check;
}

export interface CompiledSchema {
  passes(value: unknown): boolean;
  /** Of a value that does not pass; at least one. */
  violations(value: unknown): readonly Violation[];
}

export function checkOf(schema: CompiledSchema): SchemaCheck {
  return (value) => (schema.passes(value) ? null : schema.violations(value));
}

/** `links`: has what `$ref` refers to; null where the schema has all of that itself. */
export async function compileLinked(schema: JsonSchema, links: SchemaLinks | null): Promise<CompiledSchema> {
  const [{ Compile }, { Settings }] = await Promise.all([import('typebox/schema'), import('typebox/system')]);
  Settings.Set({ maxErrors: MAX_VIOLATIONS });
  const whole = links === null ? schema : linked(schema, links);
  const validator = Compile(withQuickUnique(withoutInheritedNames(whole)) as object);
  return {
    passes: (value) => validator.Check(value),
    violations(value) {
      const [, errors] = validator.Errors(value);
      const found = errors.filter(isTelling).flatMap((error) => {
        if (error.keyword === REFINEMENT && error.message === UNIQUE) {
          const one = violation(error.instancePath, valueAt(value, error.instancePath), 'no item twice');
          // It stands in a list that was added to the schema.
          const words = wordsOf(schema, error.schemaPath.replace(/\/allOf\/\d+$/, ''));
          return [words === undefined ? one : inWords(one, 'uniqueItems', words)];
        }
        if (error.keyword === REFINEMENT) return behindLink(links!, error, value);
        const words = wordsOf(schema, error.schemaPath);
        const each = violationsOf(error, value);
        return words === undefined ? each : each.map((one) => inWords(one, error.keyword, words));
      });
      // The fast check decides; if the slow one finds nothing to say, the value is still refused.
      if (found.length === 0) return [violation('', value, 'what the schema describes')];
      return found.length > MAX_VIOLATIONS ? found.slice(0, MAX_VIOLATIONS) : found;
    },
  };
}

/** What the definition says of its part of the value. */
function behindLink(links: SchemaLinks, error: TLocalizedValidationError, root: unknown): Violation[] {
  const at = error.instancePath;
  return links.violations(error.message, valueAt(root, at)).map((each) => ({ ...each, field: at + each.field }));
}

/**
 * The validator looks properties up by `in`, and `toString` is in every object. As a pattern, such a name is looked for
 * among an object's own keys, which is what the specification means.
 */
function withoutInheritedNames(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withoutInheritedNames);
  if (typeof schema !== 'object' || schema === null) return schema;
  const { properties, patternProperties, ...rest } = schema as Record<string, Record<string, unknown> | undefined>;
  const result: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(rest))
    result[key] = LITERAL.includes(key) ? value : withoutInheritedNames(value);
  const own = entriesOf(properties);
  const patterns = entriesOf(patternProperties);
  for (const [name, value] of own.filter(([each]) => each in Object.prototype)) patterns.push([`^${name}$`, value]);
  const plain = own.filter(([name]) => !(name in Object.prototype));
  if (properties !== undefined) result['properties'] = Object.fromEntries(plain);
  if (patterns.length > 0) result['patternProperties'] = Object.fromEntries(patterns);
  return result;
}

/** Of a refinement, as what is wrong; no definition has this name. */
const UNIQUE = '\nuniqueItems';
/** The validator's own way is quick enough for so many. */
const FEW_ITEMS = 200;

/** The validator takes 5 us for each item to see that none is there twice: seconds for a list of a megabyte. */
function withQuickUnique(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withQuickUnique);
  if (typeof schema !== 'object' || schema === null) return schema;
  const result: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(schema))
    if (LITERAL.includes(key) || key === REFINEMENT) result[key] = value;
    else if (MAPS.includes(key) && typeof value === 'object' && value !== null)
      result[key] = Object.fromEntries(Object.entries(value).map(([name, each]) => [name, withQuickUnique(each)]));
    else result[key] = withQuickUnique(value);
  const { uniqueItems, maxItems, allOf, ...rest } = result;
  if (uniqueItems !== true || (typeof maxItems === 'number' && maxItems <= FEW_ITEMS)) return result;
  const unique = { [REFINEMENT]: [{ check: hasNoItemTwice, error: () => UNIQUE }] };
  const most = maxItems === undefined ? {} : { maxItems };
  return { ...rest, ...most, allOf: [...(Array.isArray(allOf) ? allOf : []), unique] };
}

function hasNoItemTwice(list: unknown): boolean {
  if (!Array.isArray(list)) return true;
  const seen = new Set<unknown>();
  for (const item of list)
    seen.add(typeof item === 'object' && item !== null ? `\n${sortedText(item)}` : textOrValue(item));
  return seen.size === list.length;
}

/** No text is taken for the form of an object. */
const textOrValue = (item: unknown): unknown => (typeof item === 'string' ? ` ${item}` : item);

/** The same for equal values, in whatever order their members stand. */
function sortedText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(sortedText).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, each]) => `${JSON.stringify(name)}:${sortedText(each)}`).join()}}`;
}

/** What the author of a schema says to who gets it wrong. */
interface Words {
  readonly 'x-expected'?: unknown;
  readonly 'x-message'?: unknown;
}

/**
 * The annotations of the schema at a path of the validator, which goes through references as if they were not there.
 */
function wordsOf(root: JsonSchema, path: string): Words | undefined {
  let at: unknown = root;
  for (const step of path.split('/').slice(1)) {
    const key = step.replaceAll('~1', '/').replaceAll('~0', '~');
    at = memberOf(behindReference(root, at), key);
    if (at === undefined) return undefined;
  }
  const schema = behindReference(root, at);
  return typeof schema === 'object' && schema !== null ? schema : undefined;
}

function behindReference(root: JsonSchema, schema: unknown): unknown {
  const reference = memberOf(schema, '$ref');
  return typeof reference === 'string' && reference.startsWith('#/') ? valueAt(root, reference.slice(1)) : schema;
}

function memberOf(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}

/** What is missing, or not known, stands in an object that has words of its own: they are not about its members. */
const ABOUT_MEMBERS = ['required', 'propertyNames', 'dependentRequired', ...UNKNOWN_MEMBERS];

function inWords(found: Violation, keyword: string, words: Words): Violation {
  if (ABOUT_MEMBERS.includes(keyword)) return found;
  const { 'x-expected': expected, 'x-message': message } = words;
  return {
    ...found,
    ...(typeof expected === 'string' ? { expected } : {}),
    ...(typeof message === 'string' ? { message } : {}),
  };
}

function entriesOf(schemas: Record<string, unknown> | undefined): [string, unknown][] {
  return Object.entries(schemas ?? {}).map(([name, each]) => [name, withoutInheritedNames(each)]);
}

/** `anyOf` says no more than its branches did, `false` under an unknown member no more than that it is unknown. */
function isTelling({ keyword }: TLocalizedValidationError, _index: number, all: TLocalizedValidationError[]): boolean {
  if (keyword === 'anyOf' || keyword === 'if') return all.length === 1;
  if (keyword === 'boolean') return !all.some((other) => UNKNOWN_MEMBERS.includes(other.keyword));
  return true;
}

function violationsOf(error: TLocalizedValidationError, root: unknown): Violation[] {
  const at = error.instancePath;
  const value = valueAt(root, at);
  const one = (expected: string): Violation[] => [violation(at, value, expected)];
  switch (error.keyword) {
    case 'required':
      return error.params.requiredProperties.map((name) => violation(`${at}/${escaped(name)}`, undefined, 'required'));
    case 'additionalProperties':
      return error.params.additionalProperties.map((name) => unknownField(at, name));
    case 'unevaluatedProperties':
      return error.params.unevaluatedProperties.map((name) => unknownField(at, String(name)));
    case 'propertyNames':
      return error.params.propertyNames.map((name) => violation(`${at}/${escaped(name)}`, undefined, 'another name'));
    case 'dependentRequired':
      return error.params.dependencies.map((name) =>
        violation(`${at}/${escaped(name)}`, undefined, `required beside ${error.params.property}`),
      );
    case 'type':
      return one(typesText(error.params.type));
    case 'enum':
      return one(`one of ${error.params.allowedValues.slice(0, 20).map(short).join(', ')}`);
    case 'const':
      return one(short(error.params.allowedValue));
    case 'minimum':
      return one(`${error.params.limit} or more`);
    case 'maximum':
      return one(`${error.params.limit} or less`);
    case 'exclusiveMinimum':
      return one(`more than ${error.params.limit}`);
    case 'exclusiveMaximum':
      return one(`less than ${error.params.limit}`);
    case 'multipleOf':
      return one(`a multiple of ${error.params.multipleOf}`);
    case 'minLength':
      return one(`at least ${counted(error.params.limit, 'character')}`);
    case 'maxLength':
      return one(`at most ${counted(error.params.limit, 'character')}`);
    case 'minItems':
      return one(`at least ${counted(error.params.limit, 'item')}`);
    case 'maxItems':
      return one(`at most ${counted(error.params.limit, 'item')}`);
    case 'minProperties':
      return one(`at least ${counted(error.params.limit, 'member')}`);
    case 'maxProperties':
      return one(`at most ${counted(error.params.limit, 'member')}`);
    case 'pattern':
      return one(`text that matches ${String(error.params.pattern)}`);
    case 'format':
      return one(`${/^[aei]/.test(error.params.format) ? 'an' : 'a'} ${error.params.format}`);
    case 'uniqueItems':
      return one('no item twice');
    case 'oneOf':
      return one('exactly one of the forms that are described');
    case 'anyOf':
      return one('one of the forms that are described');
    case 'boolean':
      return one('nothing');
    case 'not':
      return one('anything but what "not" describes');
    case 'unevaluatedItems':
      return error.params.unevaluatedItems.map((index) => violation(`${at}/${index}`, undefined, 'no such item'));
    default:
      return one(error.message);
  }
}

function unknownField(at: string, name: string): Violation {
  return violation(`${at}/${escaped(name)}`, undefined, 'no such member');
}

function typesText(type: string | readonly string[]): string {
  const articles: Readonly<Record<string, string>> = {
    array: 'a list',
    integer: 'a whole number',
    null: 'null',
    object: 'an object',
  };
  return [type]
    .flat()
    .map((each) => articles[each] ?? `a ${each}`)
    .join(' or ');
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function short(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

function escaped(name: string): string {
  return name.slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1');
}

function valueAt(root: unknown, pointer: string): unknown {
  let value = root;
  for (const step of pointer.split('/').slice(1)) {
    const key = step.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}
