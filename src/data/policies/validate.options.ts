/**
 * Options of `validate`: what a route's requests must be, by JSON Schemas written in the configuration. An API that has
 * an OpenAPI document names it by `openapi` instead (openapi.options.ts); both compile to the same.
 */
import * as z from 'zod';
import { size } from '../../base/zod-units.ts';
import { EVENTS, LINE_TYPES } from '../content/media-type.ts';
import { schemaProblem } from '../content/schema-keywords.ts';
import { definePolicyOptions, type KeyPath, type OptionContext } from '../contract/options.ts';
import type { JsonSchema } from '../contract/user-policy.ts';
import type {
  BodyTypeSettings,
  MultipartSettings,
  ParameterPlace,
  ParameterSettings,
  ResponseSettings,
  ValidateSettings,
} from '../contract/validation.ts';
import { multipartOptions, multipartSchema } from './multipart.options.ts';
import { kindOf, responseMode, responseSize } from './openapi.options.ts';
import { DocumentError, isMapping } from './openapi-schemas.options.ts';
import { formOf } from './parameter-form.options.ts';

const schema = (what: string) =>
  z
    .union([z.boolean(), z.record(z.string(), z.json())])
    .describe(`JSON Schema (2020-12) of ${what}. Keywords that are not supported are refused.`);

const byName = (what: string) =>
  z
    .record(z.string().min(1).max(200), schema(`one ${what}`))
    .prefault({})
    .describe(`JSON Schemas of ${what}s by name. Texts become numbers or switches where the schema wants them.`);

const contentTypes = () =>
  z
    .array(z.string().regex(/^[a-z0-9*.+-]+\/[a-z0-9*.+-]+$/, 'must be a content type such as application/json'))
    .min(1)
    .max(50)
    .optional();

const response = z
  .strictObject({
    body: schema('the body of a 2xx response').optional(),
    bodies: z
      .record(
        z.string().regex(/^([2-5]\d\d|[2-5]XX|default)$/, 'must be such as 200, 4XX or default'),
        schema('one body'),
      )
      .prefault({})
      .describe('JSON Schemas of bodies by status: `{ 200: {}, 4XX: {}, default: {} }`; the nearest holds.'),
    records: schema('each line of an NDJSON response, and of the JSON data of each server-sent event')
      .optional()
      .describe(
        'JSON Schema (2020-12) of each line of a 2xx response of NDJSON, and of the data of each server-sent event if that is JSON. They are checked one by one as they come, each up to `maxBodySize`.',
      ),
    headers: byName('header field of the response'),
    contentTypes: contentTypes().describe(
      'Content types that a body with a schema may have. Default: `application/json` and `application/*+json`.',
    ),
    mode: responseMode(),
    unknownStatuses: z.enum(['refuse', 'pass']).prefault('pass').describe('Statuses for which there is no schema.'),
    maxBodySize: responseSize(),
  })
  .describe('What responses must be.');

const validateSchema = z
  .strictObject({
    body: schema('the body').optional(),
    multipart: multipartSchema.optional(),
    contentTypes: contentTypes().describe(
      'Content types that a body may have, such as `application/json` or `image/*`; others are answered 415. Default: `application/json` and `application/*+json` where there is a schema of the body, else any.',
    ),
    bodyRequired: z
      .boolean()
      .prefault(true)
      .describe('A request without body is wrong, where there is a schema of the body.'),
    query: byName('query parameter'),
    params: byName('parameter of the path'),
    headers: byName('header field'),
    cookies: byName('cookie'),
    required: z
      .array(z.string().regex(/^(query|headers|cookies)\.[^\s]+$/, 'must be such as query.limit'))
      .max(100)
      .prefault([])
      .describe('Parameters that must be there, such as `query.limit`. Those of the path always are.'),
    unknownQuery: z.enum(['refuse', 'pass']).prefault('pass').describe('Query parameters that `query` does not have.'),
    mode: z
      .enum(['refuse', 'report'])
      .prefault('refuse')
      .describe('`report` lets a wrong request pass and says in the access record (`invalid`) what is wrong with it.'),
    maxBodySize: size({ min: 1, max: 64 * 1024 ** 2 })
      .prefault('1mb')
      .describe('Largest JSON or form body: it is held in memory while it is checked.'),
    maxDepth: z.int().min(1).max(1_000).prefault(64).describe('Deepest nesting of a JSON body.'),
    safeIntegers: z
      .boolean()
      .prefault(false)
      .describe('Refuses integers beyond 2^53, which some readers round and others do not.'),
    response: response.optional(),
  })
  .describe('What a request must be; a wrong one is answered 400 with each field, its value and what was expected.');

type Options = z.output<typeof validateSchema>;

export const validateOptions = definePolicyOptions({
  key: 'validate',
  schema: validateSchema,
  levels: ['service', 'route'],
  combine: 'all',
  compile(options, context) {
    const settings: ValidateSettings = {
      operations: [
        {
          method: null,
          path: null,
          parameters: [
            ...parametersOf(options, 'query', context),
            ...parametersOf(options, 'params', context),
            ...parametersOf(options, 'headers', context),
            ...parametersOf(options, 'cookies', context),
          ],
          body: bodyOf(options, context),
          ...(options.response === undefined ? {} : { responses: responsesOf(options.response, context) }),
        },
      ],
      definitions: {},
      basePath: '',
      unknownOperations: 'pass',
      unknownQuery: options.unknownQuery,
      mode: options.mode,
      maxBodyBytes: options.maxBodySize,
      maxDepth: options.maxDepth,
      safeIntegers: options.safeIntegers,
      response:
        options.response === undefined
          ? null
          : {
              mode: options.response.mode,
              unknownStatuses: options.response.unknownStatuses,
              maxBodyBytes: options.response.maxBodySize,
              definitions: {},
            },
    };
    for (const [index, name] of options.required.entries()) {
      const [place = '', ...rest] = name.split('.');
      const known = options[place as 'query' | 'headers' | 'cookies'];
      if (!Object.hasOwn(known, rest.join('.')))
        context.problem('has no schema', { at: ['required', index], got: JSON.stringify(name) });
    }
    return [{ name: 'validate', options: settings }];
  },
});

const PLACES = { query: 'query', params: 'path', headers: 'header', cookies: 'cookie' } as const;

function parametersOf(options: Options, key: keyof typeof PLACES, context: OptionContext): ParameterSettings[] {
  const place = PLACES[key];
  const isRequired = (name: string): boolean => place === 'path' || options.required.includes(`${key}.${name}`);
  return namedValues(options[key], place, [key], isRequired, context);
}

function namedValues(
  schemas: Readonly<Record<string, JsonSchema>>,
  place: ParameterPlace,
  above: KeyPath,
  isRequired: (name: string) => boolean,
  context: OptionContext,
): ParameterSettings[] {
  return Object.entries(schemas).flatMap(([name, written]) => {
    const at = [...above, name];
    if (!isUsable(written, at, context)) return [];
    try {
      return [
        {
          in: place,
          name: place === 'header' ? name.toLowerCase() : name,
          required: isRequired(name),
          form: formOf(written, place, {}, '', (inner) => inner),
          schema: written,
        },
      ];
    } catch (error) {
      if (!(error instanceof DocumentError)) throw error;
      context.problem(error.message, { at });
      return [];
    }
  });
}

function responsesOf(options: z.output<typeof response>, context: OptionContext): ResponseSettings[] {
  const headers = namedValues(options.headers, 'header', ['response', 'headers'], () => false, context);
  const written: [status: string, body: JsonSchema, at: KeyPath][] = Object.entries(options.bodies).map(
    ([status, body]) => [status, body, ['response', 'bodies', status]],
  );
  if (options.body !== undefined) written.push(['2XX', options.body, ['response', 'body']]);
  if (options.body !== undefined && Object.hasOwn(options.bodies, '2XX'))
    context.problem('stands beside bodies.2XX, which is the same', { at: ['response', 'body'] });
  const records = recordTypes(options.records, context);
  if (written.length === 0 && headers.length === 0 && options.records === undefined)
    context.problem('says nothing about responses; it needs body, bodies, records or headers', { at: ['response'] });
  const types = options.contentTypes ?? JSON_TYPES;
  const described = written.flatMap(([status, body, at]) =>
    isUsable(body, at, context)
      ? [
          {
            status,
            headers,
            types: [...types.map((type) => bodyTypeOf(type, body)), ...(status.startsWith('2') ? records : [])],
          } satisfies ResponseSettings,
        ]
      : [],
  );
  // Without a schema of whole bodies those are anybody's affair.
  if (records.length > 0 && !described.some(({ status }) => status === '2XX'))
    return [...described, { status: '2XX', headers, types: [...records, bodyTypeOf('*/*', undefined)] }];
  // Fields are those of every success, whether or not its body has a schema.
  return headers.length === 0 || described.some(({ status }) => status === '2XX')
    ? described
    : [...described, { status: '2XX', headers, types: null }];
}

function recordTypes(records: JsonSchema | undefined, context: OptionContext): BodyTypeSettings[] {
  if (records === undefined || !isUsable(records, ['response', 'records'], context)) return [];
  return [...LINE_TYPES, EVENTS].map((type) => ({
    type,
    kind: type === EVENTS ? 'events' : 'lines',
    schema: records,
    fields: {},
  }));
}

const JSON_TYPES = ['application/json', 'application/*+json'];

function bodyOf(options: Options, context: OptionContext): ValidateSettings['operations'][number]['body'] {
  const { body, multipart } = options;
  if (body === undefined && multipart === undefined && options.contentTypes === undefined) return null;
  if (body !== undefined && !isUsable(body, ['body'], context)) return null;
  const types = (options.contentTypes ?? (body === undefined ? [] : JSON_TYPES)).map((type) => bodyTypeOf(type, body));
  const parts =
    multipart === undefined
      ? undefined
      : multipartOptions(multipart, (schema, at) => isUsable(schema, [...at], context), context);
  return {
    required: (body !== undefined || multipart !== undefined) && options.bodyRequired,
    types: parts === undefined ? types : [multipartType(parts), ...types],
  };
}

function multipartType(multipart: MultipartSettings): BodyTypeSettings {
  return { type: 'multipart/form-data', kind: 'multipart', schema: null, fields: {}, multipart };
}

function bodyTypeOf(type: string, body: JsonSchema | undefined): BodyTypeSettings {
  const kind = type === 'application/*+json' ? 'json' : kindOf(type);
  const isChecked = body !== undefined && (kind === 'json' || kind === 'form');
  const properties = isMapping(body) && isMapping(body['properties']) ? body['properties'] : {};
  const fields =
    kind !== 'form'
      ? {}
      : Object.fromEntries(
          Object.entries(properties).map(([name, each]) => [name, formOf(each, 'query', {}, '', (inner) => inner)]),
        );
  return { type, kind, schema: isChecked ? body : null, fields };
}

function isUsable(written: JsonSchema, at: KeyPath, context: OptionContext): boolean {
  const problem = schemaProblem(written);
  if (problem === undefined) return true;
  const [place = '', ...rest] = problem.split(': ');
  const below = place.startsWith('#/') ? place.slice(2).split('/') : [];
  context.problem(rest.join(': ') || problem, { at: [...at, ...below] });
  return false;
}
