/**
 * OpenAPI 3.1 documents as plain data, and how an API of our own is described: one line for each operation, with the
 * Zod schemas by which the API checks it. What has no schema of its own (response bodies of the account API) is
 * described in words only.
 */
import * as z from 'zod';
import type { Audience } from './audience.ts';

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
  /** `upstream`: paths as the service sees them, before rewriting is undone. `downstream`: as callers write them. */
  readonly paths: 'upstream' | 'downstream';
  /** What stands before the paths of the document; null: the path of its first server. */
  readonly basePath: string | null;
  /** Index of the one route that the document is about; null: every route to the service. */
  readonly route: number | null;
}

export interface OperationText {
  readonly summary: string;
  readonly who: Audience;
  /** Who may read of it, where that is not who may call it. */
  readonly readers?: Audience;
  readonly body?: z.ZodType;
  /** Other types that the body may have, unchecked. */
  readonly otherBodies?: readonly string[];
  /** The body is a form (OAuth's endpoints). */
  readonly form?: boolean;
  readonly query?: z.ZodType;
  /** Of the success. Default 200. */
  readonly status?: number;
  readonly response?: z.ZodType;
  readonly mediaType?: string;
  /** Further ways in which the response may be written. */
  readonly otherTypes?: readonly string[];
  /** Other statuses with a body of their own, such as 503 of health. */
  readonly also?: Readonly<Record<number, string>>;
  /** Fields of the request, by name. */
  readonly fields?: Readonly<Record<string, { readonly meaning: string; readonly required?: boolean }>>;
  /** Fields of the response, by name. */
  readonly responseFields?: Readonly<Record<string, string>>;
  /** Statuses of errors, and when they are sent. */
  readonly errors?: Readonly<Record<number, string>>;
}

/** An API of our own. Keys read `METHOD /path/:name`. */
export function describeApi(
  title: string,
  version: string,
  operations: Readonly<Record<string, OperationText>>,
): Mapping {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const [key, text] of Object.entries(operations)) {
    const [method = '', written = ''] = key.split(' ');
    const path = templated(written);
    paths[path] = { ...paths[path], [method.toLowerCase()]: operation(title, method, path, text) };
  }
  return { openapi: '3.1.0', info: { title, version }, paths };
}

/** `/keys/:id` as `/keys/{id}`. */
export function templated(path: string): string {
  return path.replace(/:([A-Za-z_][A-Za-z0-9_]*)/g, '{$1}');
}

export function schemaOf(schema: z.ZodType): Mapping {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Mapping;
  return rest;
}

export function operation(tag: string, method: string, path: string, text: OperationText): Mapping {
  const { summary, who, body, form, query, status = 200, response, mediaType = 'application/json' } = text;
  const parameters = [
    ...pathParameters(path),
    ...(query === undefined ? [] : queryParameters(schemaOf(query))),
    ...fieldParameters(text.fields ?? {}),
  ];
  const bodyType = form === true ? 'application/x-www-form-urlencoded' : 'application/json';
  const otherBodies = Object.fromEntries((text.otherBodies ?? []).map((type) => [type, { schema: {} }]));
  const written = { schema: responseSchema(response) };
  const others = (text.otherTypes ?? []).map((type) => [type, { schema: { type: 'string' } }]);
  const content =
    status === 204 || status === 302 ? {} : { content: { [mediaType]: written, ...Object.fromEntries(others) } };
  return {
    operationId: `${method.toLowerCase()}${path.replace(/[^A-Za-z0-9]+(.)?/g, (_, next?: string) => (next ?? '').toUpperCase())}`,
    tags: [tag],
    summary,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { [bodyType]: { schema: schemaOf(body) }, ...otherBodies } } }),
    responses: {
      [status]: { description: 'Done.', ...responseFields(text.responseFields), ...content },
      ...Object.fromEntries(
        Object.entries(text.also ?? {}).map(([other, description]) => [other, { description, ...content }]),
      ),
      ...errorsOf(text.errors ?? {}),
    },
    ...(who === 'public' ? {} : { security: [{ bearer: [] }] }),
    [AUDIENCE_FIELD]: text.readers ?? who,
  };
}

function responseSchema(schema: z.ZodType | undefined): Mapping {
  return schema === undefined ? { type: 'object' } : schemaOf(schema);
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

/** References to what the merged document has for every error. */
function errorsOf(errors: Readonly<Record<number, string>>): Mapping {
  return Object.fromEntries(
    Object.entries(errors).map(([status, description]) => [status, { $ref: ERROR_RESPONSE, description }]),
  );
}

const ERROR_RESPONSE = '#/components/responses/GatewayError';

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
