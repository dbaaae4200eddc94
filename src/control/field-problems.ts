/**
 * What is wrong with the body or the parameters of a call to an API of the gateway: field, value and expectation of
 * every complaint of its Zod schema, in plain words. The one place for account API, admin, cluster, cache and bans. The
 * configuration has words of its own (config/issues.ts): there a mapping is written in YAML, here an object in JSON.
 */
import type * as z from 'zod';
import type { FieldError } from '../base/error-body.ts';

type Issue = z.core.$ZodIssue;

/** Fields whose value appears in no response and no log. */
const SECRET = /password|secret|token|code|ticket|key|response|recovery|document/i;
const MAX_VALUE_LENGTH = 80;
/** What Zod says where the schema has no words of its own. */
const OF_ZOD = /^(Invalid|Too (small|big)|Unrecognized|Expected)\b/;

const TYPES: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'an object',
  record: 'an object',
  array: 'a list',
  null: 'null',
};
const FORMATS: Readonly<Record<string, string>> = {
  datetime: 'a time such as 2026-01-31T12:00:00Z',
  date: 'a date such as 2026-01-31',
  email: 'an email address',
  url: 'a URL',
  uuid: 'a UUID',
};

/** `input`: what was checked; a value that stands in no secret field is shown, cut to 80 characters. */
export function fieldProblems({ issues }: { readonly issues: readonly Issue[] }, input: unknown): FieldError[] {
  return issues.flatMap((issue) => {
    const path = issue.path.map(String);
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => ({ field: shorten([...path, key].join('.')), expected: 'no field of this name' }));
    const field = path.join('.') || '(body)';
    const expected = expectation(issue);
    const value = valueAt(input, issue.path);
    if (value === undefined) return [{ field, expected: path.length === 0 ? expected : `${expected} (it is missing)` }];
    if (path.length === 0 || path.some((part) => SECRET.test(part))) return [{ field, expected }];
    return [{ field, value: shorten(withoutCredentials(JSON.stringify(value))), expected }];
  });
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return value;
}

function expectation(issue: Issue): string {
  if (issue.message !== '' && !OF_ZOD.test(issue.message)) return issue.message;
  switch (issue.code) {
    case 'invalid_type':
      return TYPES[issue.expected] ?? issue.expected;
    case 'invalid_value':
      return issue.values.length === 1 ? String(issue.values[0]) : `one of ${issue.values.map(String).join(', ')}`;
    case 'too_small':
      return bound(issue.inclusive === false ? 'more than' : 'at least', issue.origin, issue.minimum);
    case 'too_big':
      return bound(issue.inclusive === false ? 'less than' : 'at most', issue.origin, issue.maximum);
    case 'invalid_format':
      return FORMATS[issue.format] ?? (issue.pattern === undefined ? `a ${issue.format}` : `to match ${issue.pattern}`);
    case 'not_multiple_of':
      return `a multiple of ${issue.divisor}`;
    case 'invalid_union':
      return [...new Set(issue.errors.flatMap((branch) => branch.slice(0, 1).map(expectation)))].join(', or ');
    case 'invalid_key':
    case 'invalid_element':
      return issue.issues[0] === undefined ? 'another value' : expectation(issue.issues[0]);
    default:
      return 'another value';
  }
}

function bound(words: string, origin: string, limit: number | bigint): string {
  if (origin === 'string') return `${words} ${limit} character${limit === 1 ? '' : 's'}`;
  if (origin === 'array' || origin === 'set') return `${words} ${limit} ${limit === 1 ? 'entry' : 'entries'}`;
  return `${words} ${limit}`;
}

/** Of URLs, whose user and password are no secret field. */
function withoutCredentials(text: string): string {
  return text.replaceAll(/\/\/[^/\s"]*@/g, '//***@');
}

/** Of a value that is shown: its first 80 characters. */
export function shorten(text: string): string {
  return text.length <= MAX_VALUE_LENGTH ? text : `${text.slice(0, MAX_VALUE_LENGTH)}...`;
}
