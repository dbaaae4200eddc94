/**
 * Small types that several sections share: names, field names and values, patterns, lists that may be written as one
 * text. Every message says what would be right.
 */
import * as z from 'zod';
import { regexProblem } from '../../../base/safe-regex.ts';
import { sizeOrOff } from '../../../base/zod-units.ts';
import { FRAMING_FIELDS } from '../../../data/contract/framing-fields.ts';
import { patternProblem } from '../../../data/contract/route-pattern.ts';

/** RFC 9110 §5.6.2 token: method and field names. */
export const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110 §5.5 field value: visible characters and inner blanks; no line end can get into a head. */
const FIELD_VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/;

/** Names of services; they are in metric labels, log lines and URLs of the admin API. */
export function serviceName(): z.ZodString {
  return z
    .string()
    .max(100)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'must be a name of letters, digits, ".", "_" and "-"');
}

/** The name of a service that there is. */
export function serviceReference(): z.ZodString {
  return serviceName().meta({ 'x-refers-to': 'services' });
}

export function fieldName(): z.ZodString {
  return z.string().max(200).regex(TOKEN, 'must be the name of a header field');
}

export function fieldValue(): z.ZodString {
  return z.string().regex(FIELD_VALUE, 'must be a header value: one line, no blank at either end');
}

/** Header fields of a response that the configuration writes; names in any case, those of the framing refused. */
export function responseFields() {
  return z.record(
    fieldName().refine((name) => !FRAMING_FIELDS.has(name.toLowerCase()), 'is written by the gateway itself'),
    fieldValue(),
  );
}

/** RFC 6265 §4.1.1 cookie-name. */
export function cookieName(): z.ZodString {
  return z.string().max(100).regex(TOKEN, 'must be the name of a cookie');
}

/** Upper case of a method name; CONNECT is no method that a route could serve. */
export function method() {
  return z
    .string()
    .max(32)
    .regex(TOKEN, 'must be a method such as GET')
    .refine((name) => name.toUpperCase() !== 'CONNECT', 'CONNECT is always refused')
    .transform((name) => name.toUpperCase());
}

/** A regular expression that matches a whole text and cannot be made slow (base/safe-regex.ts). */
export function regexSource() {
  return z
    .string()
    .min(1)
    .check((context) => {
      const problem = regexProblem(context.value);
      if (problem === undefined) return;
      context.issues.push({
        code: 'custom',
        input: context.value,
        message: `not a usable regular expression: ${problem}`,
      });
    });
}

/** A path pattern as the router reads it: literals, `:name`, a final `*`. */
export function pathPattern() {
  return z.string().check((context) => {
    const problem = patternProblem(context.value);
    if (problem === undefined) return;
    // The value is shown beside the message anyway.
    const message = problem.replace(/^the path "[^"]*":? /, '');
    context.issues.push({ code: 'custom', input: context.value, message });
  });
}

/** How much of a request body is here before a service is asked; 0: nothing. */
export function requestBuffer() {
  return sizeOrOff({ min: 1, max: 1024 ** 2 });
}

/** `a` or `[a, b]`, as a list. */
export function oneOrMore<Item extends z.ZodType>(item: Item) {
  return z
    .union([item, z.array(item).min(1)])
    .transform((value) => (Array.isArray(value) ? value : [value]) as z.output<Item>[]);
}

/** A path that a request can have, without a query. */
export function plainPath(): z.ZodString {
  return z.string().regex(/^\/[^\s?#:*]*$/, 'must be a path such as /health, without ":" and "*"');
}

/** The path of a file, relative to the configuration file. */
export function filePath(): z.ZodString {
  return z.string().min(1).max(4_096);
}

/** A moment: `2026-06-30` (midnight UTC) or an ISO 8601 date and time with its zone. Milliseconds since 1970. */
export function moment() {
  const expected = 'a date such as 2026-06-30 or a time such as 2026-06-30T12:00:00Z';
  return z.string().transform((input, context) => {
    const isIso = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(input);
    const ms = isIso ? Date.parse(input) : Number.NaN;
    // Date.parse turns 31 June into 1 July.
    const isReal = !Number.isNaN(ms) && (input.length > 10 || new Date(ms).toISOString().startsWith(input));
    if (isReal) return ms;
    context.issues.push({ code: 'custom', input, message: 'not a date', params: { expected } });
    return z.NEVER;
  });
}
