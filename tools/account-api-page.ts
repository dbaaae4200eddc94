/**
 * The reference of the account API, as Markdown, from its OpenAPI document alone: every operation, who may call it,
 * what it takes, with which status it succeeds and what it responds with. Called by generate-reference.ts.
 */
import type { JsonSchema } from '../src/control/config/json-schema.ts';
import { ERROR_SCHEMAS } from '../src/control/error-schema.ts';
import { identityDocument } from '../src/control/identity/api-description.ts';
import * as fields from '../src/control/identity/fields.ts';
import { AUDIENCE_FIELD, schemaOf } from '../src/control/openapi-document.ts';
import { defaultWords, valueWords } from './reference-page.ts';

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly schema: JsonSchema;
}

interface Operation {
  readonly summary: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: JsonSchema }>> };
  readonly responses: Readonly<Record<string, Response>>;
  readonly [AUDIENCE_FIELD]: string;
}

interface Response {
  readonly content?: Readonly<Record<string, { readonly schema: JsonSchema }>>;
}

type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>;

const INTRODUCTION = `# Account API

Every operation, made from the [OpenAPI document](../guide/api-pages.md) that the gateway publishes of itself. Paths stand
below \`identity.basePath\`, \`/api/auth\` unless it says otherwise. Bodies are JSON with \`Content-Type: application/json\`,
fields that are not listed are refused, and errors have [one shape](../errors.md). How a sign-in goes is in the guides:
[accounts](../guide/accounts.md), [second factors](../guide/mfa.md), [browser applications](../guide/browser-apps.md),
[API keys](../guide/api-keys.md), [tokens](../guide/tokens.md), [children](../guide/parent-child.md),
[OAuth](../guide/oauth.md).`;

const AUDIENCES: Readonly<Record<string, string>> = {
  public: '## Anybody',
  'signed-in': '## Signed in\n\nWith `Authorization: Bearer TOKEN`.',
  admin: '## Administrators\n\nWith a token of an account with the scope `identity:admin`.',
};

export function accountApiPage(): string {
  const document = identityDocument('');
  const operations = Object.entries(document['paths'] as Paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
  );
  const parts = Object.entries(AUDIENCES).map(([audience, heading]) => {
    const own = operations.filter(({ operation }) => operation[AUDIENCE_FIELD] === audience);
    return [heading, ...own.map(({ name, operation }) => operationText(name, operation))].join('\n\n');
  });
  const schemas = Object.entries((document['components'] as { schemas: Record<string, JsonSchema> }).schemas);
  const shapes = schemas
    .filter(([name]) => !ERROR_SCHEMAS.has(name))
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, schema]) => `### ${name}\n\n${responseTable(schema)}`);
  return [INTRODUCTION, ...parts, '## What responses hold', ...shapes].join('\n\n').concat('\n');
}

function operationText(name: string, { summary, parameters = [], requestBody, responses }: Operation): string {
  const success = Object.keys(responses)[0] ?? '200';
  const lines = [`### \`${name}\``, `${summary}.${success === '200' ? '' : ` Succeeds with ${success}.`}`];
  const query = parameters.filter((each) => each.in !== 'path');
  if (query.length > 0) {
    const properties = Object.fromEntries(query.map((each) => [each.name, each.schema]));
    const required = query.filter((each) => each.required === true).map((each) => each.name);
    lines.push(table('Parameter of the query', { properties, required }));
  }
  const [type, body] = Object.entries(requestBody?.content ?? {})[0] ?? [];
  if (type?.includes('form') === true) lines.push('The body is a form, or JSON.');
  if (body !== undefined && Object.keys(body.schema.properties ?? {}).length > 0)
    lines.push(table('Field', body.schema));
  for (const [status, response] of Object.entries(responses)) {
    const schema = response.content?.['application/json']?.schema;
    if (!status.startsWith('2') || schema === undefined) continue;
    const before = status === success ? 'Responds with' : `Or, with ${status}`;
    const name = referred(schema);
    lines.push(name === undefined ? `${before}:\n\n${responseTable(schema)}` : `${before} ${link(name)}.`);
  }
  return lines.join('\n\n');
}

const referred = (schema: JsonSchema): string | undefined =>
  /^#\/components\/schemas\/(.+)$/.exec(String((schema as { readonly $ref?: string }).$ref ?? ''))?.[1];
const link = (name: string): string => `[\`${name}\`](#${name.toLowerCase()})`;

function responseTable(schema: JsonSchema): string {
  const rows = responseRows('', schema).map(([name, words]) => `| \`${name}\` | ${words.replaceAll('|', '\\|')} |`);
  return ['| Member | Value |', '| --- | --- |', ...rows].join('\n');
}

function responseRows(before: string, { properties = {}, required = [] }: JsonSchema): [name: string, words: string][] {
  return Object.entries(properties).flatMap(([name, schema]): [string, string][] => {
    const at = `${before}${name}`;
    const { items } = schema;
    const inner = items ?? schema;
    const below = responseRows(items === undefined ? `${at}.` : `${at}[].`, inner);
    const named = referred(inner);
    const shape = named === undefined ? (below.length === 0 ? wordsOf(inner) : 'object') : link(named);
    const words = [
      items === undefined ? shape : `list: ${shape}`,
      ...(required.includes(name) ? [] : ['not always']),
      ...(schema.description === undefined ? [] : [schema.description]),
    ];
    return [[at, words.join('; ')], ...below];
  });
}

function table(what: string, schema: JsonSchema): string {
  const rows = rowsOf('', schema).map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`);
  return [`| ${what} | Value | Default |`, '| --- | --- | --- |', ...rows].join('\n');
}

/** Fields of mappings inside stand below them, as `rules.plan`. */
function rowsOf(before: string, { properties = {}, required = [] }: JsonSchema): string[][] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const isNeeded = required.includes(name);
    const at = `${before}${name}`;
    const inner = schema.items?.properties === undefined ? schema : schema.items;
    const below = inner.properties === undefined ? [] : rowsOf(inner === schema ? `${at}.` : `${at}[].`, inner);
    const words = below.length === 0 ? wordsOf(schema) : inner === schema ? 'mapping' : 'list of mappings';
    return [[`\`${at}\``, words, isNeeded ? 'needed' : defaultOf(schema)], ...below];
  });
}

function defaultOf(schema: JsonSchema): string {
  return schema.default === undefined || schema.properties !== undefined ? '' : defaultWords(schema, false);
}

function wordsOf(schema: JsonSchema): string {
  const { anyOf, items, pattern, maxLength } = schema as JsonSchema & { readonly maxLength?: number };
  if (anyOf !== undefined) return anyOf.map(wordsOf).join(', or ');
  if (Array.isArray(schema.type)) return schema.type.map((type) => wordsOf({ ...schema, type })).join(', or ');
  if ((schema as { readonly format?: string }).format === 'date-time') return 'a time such as 2026-01-31T08:00:00Z';
  if (schema.type === 'null') return '`null`';
  if (schema.type === 'object') return 'mapping';
  if (items !== undefined) {
    const { maxItems } = schema;
    return `list of ${wordsOf(items)}${maxItems === undefined ? '' : ` (at most ${maxItems})`}`;
  }
  if (pattern !== undefined) return PATTERNS.get(pattern) ?? `text that matches \`${pattern}\``;
  const words = valueWords(schema, '', new Map());
  return words === 'text' && maxLength !== undefined ? `text of at most ${maxLength} characters` : words;
}

/** What the API itself says is expected, by the pattern that says it to programs. */
const PATTERNS: ReadonlyMap<string, string> = new Map(
  [...Object.values(fields), fields.opaque('a code or token as it was given out')].flatMap(
    (field): [string, string][] => {
      if (typeof field !== 'object' || !('safeParse' in field)) return [];
      const { pattern } = schemaOf(field) as JsonSchema;
      const said = field.safeParse('\u0000').error?.issues.find(({ code }) => code === 'invalid_format')?.message;
      return pattern === undefined || said === undefined ? [] : [[pattern, said]];
    },
  ),
);
