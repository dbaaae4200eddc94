/**
 * OpenAPI 3.1 documents as plain data, and how an API of our own is described: one line for each operation, with the
 * Zod schemas by which the API checks what it is sent, and those of its responses, with which tests compare what it
 * sends.
 */
import * as z from 'zod';
import type { ErrorFormat } from '../base/error-body.ts';
import type { Audience } from './audience.ts';
import { ERROR_RESPONSE, ERROR_SCHEMAS, errorComponents, errorContent } from './error-schema.ts';

export type Mapping = Readonly<Record<string, unknown>>;

export const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'] as const;

/** Says the audience of an operation, in documents of services too; `x-internal: true` means administrators. */
export const AUDIENCE_FIELD = 'x-audience';

/** One document and whose API it is. */
export interface ApiSource {
  /** Name of the service, such as `projects` or `builtin:identity`. */
  readonly service: string;
  /** For messages: the file or URL. */
  readonly from: string;
  readonly document: Mapping;
  /** An API of the gateway: it says itself who may call where the route does not, and no route need lead to it. */
  readonly own?: boolean;
  /** `upstream`: paths as the service sees them, before rewriting is undone. `downstream`: as callers write them. */
  readonly paths: 'upstream' | 'downstream';
  /** What stands before the paths of the document; null: the path of its first server. */
  readonly basePath: string | null;
  /** Index of the one route that the document is about; null: every route to the service. */
  readonly route: number | null;
}

export interface OperationText {
  readonly summary: string;
  readonly description?: string;
  readonly who: Audience;
  /** Who may read of it, where that is not who may call it. */
  readonly readers?: Audience;
  /** Security requirements, where they are not the bearer token that all but public operations need. */
  readonly security?: readonly Mapping[];
  readonly body?: z.ZodType;
  /** Requests without a body are right, too. */
  readonly bodyOptional?: boolean;
  /** Other types that the body may have, unchecked. */
  readonly otherBodies?: readonly string[];
  /** The body is a form (OAuth's endpoints). `json`: or JSON of the same fields. */
  readonly form?: boolean | 'json';
  readonly query?: z.ZodType;
  /** Of the success. Default 200. */
  readonly status?: number;
  /** None of the statuses that have no body; `null` for another that has none. */
  readonly response?: z.ZodType | null;
  readonly mediaType?: string;
  /** Further ways in which the response may be written: texts, and those with a schema of their own. */
  readonly otherTypes?: readonly (string | readonly [mediaType: string, response: z.ZodType])[];
  /** Other statuses with a body: that of the success, such as 503 of health, or one of their own. */
  readonly also?: Readonly<Record<number, string | OtherResponse>>;
  /** Fields of the request, by name. */
  readonly fields?: Readonly<Record<string, { readonly meaning: string; readonly required?: boolean }>>;
  /** Fields of the response, by name. */
  readonly responseFields?: Readonly<Record<string, string>>;
  /** Statuses of errors, and when they are sent. */
  readonly errors?: Readonly<Record<number, string | ErrorText>>;
}

export interface OtherResponse {
  readonly meaning: string;
  /** Null: it has no body. */
  readonly response: z.ZodType | null;
  readonly mediaType?: string;
  /** Or a text of these types. */
  readonly alsoAs?: readonly string[];
  readonly responseFields?: Readonly<Record<string, string>>;
}

/** An error that says more than others do. */
export interface ErrorText {
  readonly meaning: string;
  readonly members: z.ZodObject;
}

/**
 * An API of our own. Keys read `METHOD /path/:name`. Schemas with an id (`.meta({ id })`) become components. `format`
 * is that of its errors; `schemes` are the security schemes that operations name.
 */
export function describeApi(
  title: string,
  version: string,
  operations: Readonly<Record<string, OperationText>>,
  { format = 'problem', schemes = {} }: { readonly format?: ErrorFormat; readonly schemes?: Mapping } = {},
): Mapping {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const [key, text] of Object.entries(operations)) {
    const [method = '', written = ''] = key.split(' ');
    const path = templated(written);
    paths[path] = { ...paths[path], [method.toLowerCase()]: operation(title, method, path, text, format) };
  }
  const named: Record<string, unknown> = {};
  const whole = hoisted(paths, named) as Mapping;
  const { schemas, responses } = errorComponents(format);
  const components = { schemas: { ...schemas, ...named }, responses, securitySchemes: schemes };
  return { openapi: '3.1.0', info: { title, version }, paths: whole, components };
}

/** Takes the definitions that schemas bring with them (`$defs`) out, for the components of the document. */
function hoisted(value: unknown, named: Record<string, unknown>): unknown {
  if (Array.isArray(value)) return value.map((each) => hoisted(each, named));
  if (!isMapping(value)) return value;
  const { $defs, $schema: _, ...rest } = value;
  if (isMapping($defs)) for (const [name, schema] of Object.entries($defs)) named[name] ??= hoisted(schema, named);
  return Object.fromEntries(
    Object.entries(rest).map(([key, each]) => [
      key,
      key === '$ref' && typeof each === 'string'
        ? each.replace(/^#\/\$defs\//, '#/components/schemas/')
        : hoisted(each, named),
    ]),
  );
}

/**
 * The paths of a document with its schemas in the place of references to them: for what becomes part of a document that
 * has none of its components. Errors stay references.
 */
export function inlinePaths(document: Mapping): Mapping {
  const schemas = ((document['components'] as Mapping | undefined)?.['schemas'] ?? {}) as Mapping;
  const inline = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(inline);
    if (!isMapping(value)) return value;
    const name = /^#\/components\/schemas\/(.+)$/.exec(String(value['$ref'] ?? ''))?.[1];
    if (name !== undefined && !ERROR_SCHEMAS.has(name)) return inline(schemas[name]);
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, inline(each)]));
  };
  return inline(document['paths']) as Mapping;
}

/** `/keys/:id` as `/keys/{id}`. */
export function templated(path: string): string {
  return path.replace(/:([A-Za-z_][A-Za-z0-9_]*)/g, '{$1}');
}

export function schemaOf(schema: z.ZodType): Mapping {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Mapping;
  return rest;
}

/** A response has what the schema demands; clients should ignore what it does not name, so that more can be added. */
function responseSchema(schema: z.ZodType): Mapping {
  return z.toJSONSchema(schema, {
    io: 'output',
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
      // The format says it; the pattern of every date there is would be most of the document.
      if (jsonSchema.format === 'date-time') delete jsonSchema.pattern;
    },
  }) as Mapping;
}

export function operation(
  tag: string,
  method: string,
  path: string,
  text: OperationText,
  format: ErrorFormat = 'problem',
): Mapping {
  const { summary, description, who, body, query, status = 200, mediaType = 'application/json' } = text;
  const parameters = [
    ...pathParameters(path),
    ...(query === undefined ? [] : queryParameters(schemaOf(query))),
    ...fieldParameters(text.fields ?? {}),
  ];
  const others = (text.otherTypes ?? []).map((type) =>
    typeof type === 'string' ? [type, { schema: { type: 'string' } }] : [type[0], { schema: responseSchema(type[1]) }],
  );
  const written = contentOf(status, text.response, mediaType);
  const content = 'content' in written ? { content: { ...written.content, ...Object.fromEntries(others) } } : {};
  const security = text.security ?? (who === 'public' ? undefined : [{ bearer: [] }]);
  return {
    operationId: `${method.toLowerCase()}${path.replace(/[^A-Za-z0-9]+(.)?/g, (_, next?: string) => (next ?? '').toUpperCase())}`,
    tags: [tag],
    summary,
    ...(description === undefined ? {} : { description }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { ...(text.bodyOptional === true ? {} : { required: true }), content: bodyOf(text, body) } }),
    responses: {
      [status]: { description: 'Done.', ...responseFields(text.responseFields), ...content },
      ...Object.fromEntries(
        Object.entries(text.also ?? {}).map(([other, said]) => [other, otherResponse(Number(other), said, content)]),
      ),
      ...errorsOf(text.errors ?? {}, format),
    },
    ...(security === undefined ? {} : { security }),
    [AUDIENCE_FIELD]: text.readers ?? who,
  };
}

function bodyOf({ form, otherBodies = [] }: OperationText, body: z.ZodType): Mapping {
  const schema = schemaOf(body);
  return {
    ...(form === undefined || form === false ? {} : { 'application/x-www-form-urlencoded': { schema } }),
    ...(form === true ? {} : { 'application/json': { schema } }),
    ...Object.fromEntries(otherBodies.map((type) => [type, { schema: {} }])),
  };
}

const WITHOUT_BODY = new Set([204, 302, 303, 304]);

function contentOf(status: number, response: z.ZodType | null | undefined, mediaType: string): { content?: Mapping } {
  if (response === null || (response === undefined && WITHOUT_BODY.has(status))) return {};
  if (response === undefined) throw new TypeError(`a response of ${status} is not described`);
  return { content: { [mediaType]: { schema: responseSchema(response) } } };
}

function otherResponse(status: number, said: string | OtherResponse, ofSuccess: Mapping): Mapping {
  if (typeof said === 'string') return { description: said, ...ofSuccess };
  const { meaning, response, mediaType = 'application/json', alsoAs = [] } = said;
  const { content } = contentOf(status, response, mediaType);
  const texts = Object.fromEntries(alsoAs.map((type) => [type, { schema: { type: 'string' } }]));
  return {
    description: meaning,
    ...responseFields(said.responseFields),
    ...(content === undefined ? {} : { content: { ...content, ...texts } }),
  };
}

export function pathParameters(path: string): Mapping[] {
  return [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
}

function queryParameters(schema: Mapping): Mapping[] {
  const required = (schema['required'] ?? []) as readonly string[];
  return Object.entries((schema['properties'] ?? {}) as Record<string, Mapping>).map(([name, each]) => ({
    name,
    in: 'query',
    ...(required.includes(name) ? { required: true } : {}),
    schema: each,
  }));
}

function fieldParameters(fields: NonNullable<OperationText['fields']>): Mapping[] {
  return Object.entries(fields).map(([name, { meaning, required = false }]) => ({
    name,
    in: 'header',
    description: meaning,
    ...(required ? { required } : {}),
    schema: { type: 'string' },
  }));
}

function responseFields(fields: Readonly<Record<string, string>> | undefined): Mapping {
  if (fields === undefined) return {};
  const headers = Object.entries(fields).map(([name, description]) => [
    name,
    { description, schema: { type: 'string' } },
  ]);
  return { headers: Object.fromEntries(headers) };
}

function errorsOf(errors: Readonly<Record<number, string | ErrorText>>, format: ErrorFormat): Mapping {
  return Object.fromEntries(
    Object.entries(errors).map(([status, said]) => [
      status,
      typeof said === 'string'
        ? { $ref: ERROR_RESPONSE, description: said }
        : { description: said.meaning, content: errorContent(format, responseSchema(said.members)) },
    ]),
  );
}

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
