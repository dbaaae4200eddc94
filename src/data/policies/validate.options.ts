/**
 * Options of `validate`: what a route's requests must be, by JSON Schemas written in the configuration. An API that has
 * an OpenAPI document names it by `openapi` instead (openapi.options.ts); both compile to the same.
 */
import * as z from 'zod';
import { size } from '../../base/zod-units.ts';
import { schemaProblem } from '../content/schema-keywords.ts';
import { definePolicyOptions, type OptionContext } from '../contract/options.ts';
import type { JsonSchema } from '../contract/user-policy.ts';
import type { ParameterPlace, ParameterSettings, ValidateSettings } from '../contract/validation.ts';
import { kindOf } from './openapi.options.ts';
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

export const validateSchema = z
  .strictObject({
    body: schema('the body').optional(),
    contentTypes: z
      .array(z.string().regex(/^[a-z0-9*.+-]+\/[a-z0-9*.+-]+$/, 'must be a content type such as application/json'))
      .min(1)
      .max(50)
      .optional()
      .describe(
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
            ...parametersOf(options, 'query', 'query', context),
            ...parametersOf(options, 'params', 'path', context),
            ...parametersOf(options, 'headers', 'header', context),
            ...parametersOf(options, 'cookies', 'cookie', context),
          ],
          body: bodyOf(options, context),
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

type Place = 'query' | 'params' | 'headers' | 'cookies';

function parametersOf(
  options: Options,
  key: Place,
  place: ParameterPlace,
  context: OptionContext,
): ParameterSettings[] {
  return Object.entries(options[key]).flatMap(([name, written]) => {
    const at = [key, name];
    if (!isUsable(written, at, context)) return [];
    try {
      return [
        {
          in: place,
          name: place === 'header' ? name.toLowerCase() : name,
          required: place === 'path' || options.required.includes(`${key}.${name}`),
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

function bodyOf(options: Options, context: OptionContext): ValidateSettings['operations'][number]['body'] {
  const { body } = options;
  if (body === undefined && options.contentTypes === undefined) return null;
  if (body !== undefined && !isUsable(body, ['body'], context)) return null;
  const types = options.contentTypes ?? ['application/json', 'application/*+json'];
  const properties = isMapping(body) && isMapping(body['properties']) ? body['properties'] : {};
  return {
    required: body !== undefined && options.bodyRequired,
    types: types.map((type) => {
      const kind = type === 'application/*+json' ? 'json' : kindOf(type);
      const isChecked = body !== undefined && (kind === 'json' || kind === 'form');
      const fields =
        kind !== 'form'
          ? {}
          : Object.fromEntries(
              Object.entries(properties).map(([name, each]) => [name, formOf(each, 'query', {}, '', (inner) => inner)]),
            );
      return { type, kind, schema: isChecked ? (body as JsonSchema) : null, fields };
    }),
  };
}

function isUsable(written: JsonSchema, at: string[], context: OptionContext): boolean {
  const problem = schemaProblem(written);
  if (problem === undefined) return true;
  const [place = '', ...rest] = problem.split(': ');
  const below = place.startsWith('#/') ? place.slice(2).split('/') : [];
  context.problem(rest.join(': ') || problem, { at: [...at, ...below] });
  return false;
}
