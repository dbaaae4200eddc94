/**
 * The fields that requests are made of, each with its expectation in words: what the caller reads when it is wrong.
 */
import * as z from 'zod';
import { pasted, pastedDigits, pastedEmail } from './pasted.ts';

/** Deliberately narrower than RFC 5321: no quoting, no comments, no control characters, one `@`. */
const EMAIL = /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?$/;
/** No `@`, so that a user name never reads as somebody's address (docs/identity-rules.md, 6). */
const USERNAME = /^[A-Za-z0-9][A-Za-z0-9._-]{1,31}$/;

const text = (expected: string, pattern: RegExp): z.ZodString => z.string(expected).regex(pattern, expected);

export const email = z
  .string('an e-mail address such as name@example.com')
  .overwrite(pastedEmail)
  .regex(EMAIL, 'an e-mail address such as name@example.com')
  .transform((value) => value.toLowerCase());
export const username = text('2 to 32 letters, digits, ".", "_" or "-", beginning with a letter or digit', USERNAME);
/** What people type to sign in: either of the above; anything else simply finds no account. */
export const loginName = z
  .string('an e-mail address or a user name')
  .min(1, 'an e-mail address or a user name')
  .max(320, 'at most 320 characters');
/** The rules for new passwords are in passwords/policy.ts; here only what protects the hash. */
export const password = z.string('a password').min(1, 'a password').max(256, 'at most 256 characters');
/** No control characters: the name goes into mails and pages. */
export const displayName = text(
  '1 to 80 characters without control characters',
  /^[^\p{Cc}\p{Cf}\u2028\u2029]{1,80}$/u,
);
/** RFC 5646, as far as anybody writes it. */
export const language = text('a language such as en or pt-BR', /^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,4}$/);
export const opaque = (expected: string): z.ZodString =>
  z
    .string(expected)
    .overwrite(pasted)
    .regex(/^[A-Za-z0-9._~-]{8,600}$/, expected);
/** Any token: a JWT may be long. */
export const token = z
  .string('a token')
  .overwrite(pasted)
  .regex(/^[A-Za-z0-9._~+/=-]{1,8192}$/, 'a token');
export const id = text('an id', /^[A-Za-z0-9_-]{1,64}$/);
export const scope = text('a scope: 1 to 100 visible characters without quotes', /^[\x21\x23-\x5b\x5d-\x7e]{1,100}$/);
export const scopes = z.array(scope, 'a list of scopes').max(100, 'at most 100 scopes');
/** RFC 6749 §3.3: scopes with one space between. */
export const scopeText = text('scopes with spaces between', /^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/)
  .max(2_000, 'at most 2,000 characters')
  .transform((value) => value.split(' '));
export const role = text('a role: lower-case letters, digits, "-" or "_"', /^[a-z][a-z0-9_-]{0,49}$/);
export const plan = text('the name of a plan', /^[A-Za-z0-9._-]{1,50}$/);
export const totpCode = z
  .string('six digits')
  .overwrite(pastedDigits)
  .regex(/^\d{6}$/, 'six digits');
export const recoveryCode = z
  .string('a recovery code such as abcde-12345')
  .overwrite(pastedDigits)
  .regex(/^[a-z0-9]{10}$/i, 'a recovery code such as abcde-12345')
  // As it is shown: a client that checks what it sends must not refuse the dash that is taken out here.
  .meta({ pattern: '^[A-Za-z0-9]{5}-?[A-Za-z0-9]{5}$' });

export const birthDate = text('a date such as 2014-05-31', /^\d{4}-\d{2}-\d{2}$/).refine(
  (value) => {
    const at = Date.parse(`${value}T00:00:00Z`);
    return Number.isFinite(at) && new Date(at).toISOString().startsWith(value) && at > Date.UTC(1900, 0, 1);
  },
  { error: 'a date of the calendar after 1900' },
);

export const pageSize = z.coerce
  .number('a number from 1 to 200')
  .int('a whole number')
  .min(1, 'a number from 1 to 200')
  .max(200, 'a number from 1 to 200')
  .default(50);
