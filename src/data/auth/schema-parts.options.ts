/**
 * Small schema types that the options of `auth`, `authorize`, `cors` and `headers` share. Imported by *.options.ts
 * files only: worker threads never load zod.
 */
import * as z from 'zod';

/** One text or a list of them, as a list. */
export function oneOrMore<Item extends z.ZodType>(item: Item, most = 200) {
  // Distinguished by their written form: an item may itself become a list, so its result does not show it.
  const one = item.transform((value) => [value as z.output<Item>]);
  return z.union([one, z.array(item).min(1).max(most) as unknown as z.ZodType<z.output<Item>[]>]);
}

/** RFC 6749 §3.3 scope-token; it also stands in `WWW-Authenticate`. */
export function scopeName() {
  return z
    .string()
    .max(200)
    .regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'must be a scope: visible characters without blanks and quotes');
}

export function roleName() {
  return (
    z
      .string()
      .min(1)
      .max(200)
      // No \p{Cc}: to readers of JSON Schema that take no pattern for a Unicode one it is the letters p, C and c.
      .regex(
        /^[^\s\x00-\x1f\x7f-\x9f](?:[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$/,
        'must be a role: a name without blanks at its ends',
      )
  );
}

/** RFC 9110 §5.1 field name. */
export function headerName() {
  return z
    .string()
    .max(200)
    .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, 'must be the name of a header field');
}

/** `realm_access.roles`, or a whole name with dots such as `https://acme.example/roles`. */
export function claimName() {
  return z
    .string()
    .max(500)
    .regex(/^[^.\s]+(\.[^.\s]+)*$/, 'must be a claim such as roles or realm_access.roles');
}

/** The places where a claim may be: under its whole name first, then a level down for each dot. */
export function claimPaths(names: readonly string[]): string[][] {
  return names.flatMap((name) => (name.includes('.') ? [[name], name.split('.')] : [[name]]));
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
