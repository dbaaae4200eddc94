/**
 * Small schema types that the options of `auth`, `authorize`, `cors` and `headers` share. Imported by *.options.ts files
 * only: worker threads never load zod.
 */
import * as z from 'zod';

/** One text or a list of them, as a list. */
export function oneOrMore<Item extends z.ZodType>(item: Item, most = 200) {
  return z
    .union([item, z.array(item).min(1).max(most)])
    .transform((value) => (Array.isArray(value) ? value : [value]) as z.output<Item>[]);
}

/** RFC 6749 §3.3 scope-token; it also stands in `WWW-Authenticate`. */
export function scopeName() {
  return z
    .string()
    .max(200)
    .regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'must be a scope: visible characters without blanks and quotes');
}

export function roleName() {
  return z
    .string()
    .min(1)
    .max(200)
    .regex(/^[^\s,]+$/, 'must be a role: a name without blanks and commas');
}

/** RFC 9110 §5.1 field name. */
export function headerName() {
  return z
    .string()
    .max(200)
    .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, 'must be the name of a header field');
}

/** `realm_access.roles` as a path of names. */
export function claimPath() {
  return z
    .string()
    .max(500)
    .regex(/^[^.\s]+(\.[^.\s]+)*$/, 'must be a claim such as roles or realm_access.roles')
    .transform((path) => path.split('.'));
}

/** A text that `check` reads without complaint; it stays as written. */
export function checkedText(check: (text: string) => string | undefined, expected: string, maxLength = 1_000) {
  return z
    .string()
    .min(1)
    .max(maxLength)
    .check((context) => {
      const message = check(context.value);
      if (message === undefined) return;
      context.issues.push({ code: 'custom', input: context.value, message, params: { expected } });
    });
}

/** An `https` URL, or `http` to this machine. Who answers there decides who may call, so the way must be safe. */
export function safeUrl() {
  return checkedText(safeUrlProblem, 'an https URL, or an http URL of 127.0.0.1, [::1] or localhost', 2_000);
}

export function safeUrlProblem(text: string): string | undefined {
  if (!URL.canParse(text)) return 'not a URL';
  const { protocol, hostname } = new URL(text);
  if (protocol === 'https:') return undefined;
  if (protocol !== 'http:') return 'not an http or https URL';
  return ['127.0.0.1', '[::1]', 'localhost'].includes(hostname) ? undefined : 'plain http to another machine';
}
