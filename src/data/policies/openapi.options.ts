/**
 * `openapi`: an OpenAPI 3.0 or 3.1 document as what requests (and, if asked for, responses) are checked by. The
 * document is read, understood and translated here, on the control side; workers get plain operations
 * (contract/validation.ts) and compile their schemas before the configuration is live.
 */
import { parseDocument } from 'yaml';
import * as z from 'zod';
import { size } from '../../base/zod-units.ts';
import { isJsonType } from '../content/media-type.ts';
import { schemaProblem } from '../content/schema-keywords.ts';
import { definePolicyOptions, type OptionContext } from '../contract/options.ts';
import type { JsonSchema } from '../contract/user-policy.ts';
import type {
  BodySettings,
  BodyTypeSettings,
  OperationSettings,
  ParameterPlace,
  ParameterSettings,
  ResponseRules,
  ResponseSettings,
  ValidateSettings,
} from '../contract/validation.ts';
import { multipartOf } from './multipart.options.ts';
import { DocumentError, isMapping, type Mapping, pointerValue, SchemaTranslator } from './openapi-schemas.options.ts';
import { formOf } from './parameter-form.options.ts';

const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'];
const MAX_DOCUMENT_BYTES = 5 * 1_024 * 1_024;
/** Described elsewhere in the document, by `security` and the media types (OpenAPI 3.1 §4.8.12.1). */
const IGNORED_HEADERS = ['accept', 'content-type', 'authorization'];

const file = () =>
  z
    .string()
    .regex(/\.(yaml|yml|json)$/, 'must be a YAML or JSON file')
    .describe('OpenAPI 3.0 or 3.1 document, relative to the configuration file.');

export const responseMode = () =>
  z
    .enum(['refuse', 'report'])
    .prefault('refuse')
    .describe(
      'What becomes of a wrong response: 502 in its place, or `invalid_response` in the access record while it passes. `refuse` holds bodies back until they are known to be right.',
    );

export const responseSize = () =>
  size({ min: 1, max: 64 * 1024 ** 2 })
    .prefault('1mb')
    .describe('Largest JSON body of a response: it is held in memory while it is checked. A longer one is wrong.');

const full = z.strictObject({
  file: file(),
  basePath: z
    .string()
    .regex(/^(\/[^/?#\s]+)*$/, 'must be a path such as /api/v1, without a slash at its end')
    .optional()
    .describe('What requests have before the paths of the document. Default: the path of its first server.'),
  unknownOperations: z
    .enum(['refuse', 'pass'])
    .prefault('refuse')
    .describe('Requests for paths and methods that the document does not have: 404 or 405, or unchecked.'),
  unknownQuery: z
    .enum(['refuse', 'pass'])
    .prefault('pass')
    .describe('Query parameters that the operation does not have.'),
  mode: z
    .enum(['refuse', 'report'])
    .prefault('refuse')
    .describe('`report` lets a wrong request pass and says in the access record (`invalid`) what is wrong with it.'),
  maxBodySize: size({ min: 1, max: 64 * 1024 ** 2 })
    .prefault('1mb')
    .describe('Largest JSON or form body: it is held in memory while it is checked. Others are streamed.'),
  response: z
    .union([
      z.enum(['refuse', 'report']),
      z.strictObject({
        mode: responseMode(),
        unknownStatuses: z
          .enum(['refuse', 'pass'])
          .prefault('pass')
          .describe('Statuses that the operation does not have.'),
        maxBodySize: responseSize(),
      }),
    ])
    .optional()
    .describe('Checks responses too: status, fields, content types and JSON bodies. Default: they are not looked at.'),
});

export const openapiOptions = definePolicyOptions({
  key: 'openapi',
  schema: z
    .union([file(), full])
    .describe('Checks requests against an OpenAPI document: paths, parameters, headers, bodies.'),
  levels: ['service', 'route'],
  policy: 'validate',
  compile(written, context) {
    const options = typeof written === 'string' ? full.parse({ file: written }) : written;
    const at = typeof written === 'string' ? [] : ['file'];
    const text = context.readText(options.file, { at });
    if (text === undefined) return [];
    const settings = compileDocument(
      text,
      options,
      (message, place) => context.problem(message, { at, ...(place === '' ? {} : { got: place }) }),
      (message) => context.warning(message, { at }),
    );
    return settings === undefined ? [] : [{ name: 'validate', options: settings }];
  },
});

type Options = z.output<typeof full>;
type Complain = (message: string, place: string) => void;

/** Undefined when the document cannot be used, which then was said. */
export function compileDocument(
  text: string,
  options: Options,
  problem: Complain,
  warning: OptionContext['warning'],
): ValidateSettings | undefined {
  try {
    const document = readDocument(text);
    const response = options.response === undefined ? null : responseRules(options.response);
    const compiler = new DocumentCompiler(document, response !== null);
    const operations = compiler.operations();
    const { definitions } = compiler.schemas;
    refuseUnusable(definitions, compiler.compiled);
    if (response !== null) refuseUnusable(compiler.responseSchemas.definitions, compiler.compiledResponses);
    if (compiler.unknownFormats.size > 0)
      warning(`the document has formats that are not checked: ${[...compiler.unknownFormats].slice(0, 10).join(', ')}`);
    return {
      operations,
      definitions,
      basePath: options.basePath ?? compiler.basePath(),
      unknownOperations: options.unknownOperations,
      unknownQuery: options.unknownQuery,
      mode: options.mode,
      maxBodyBytes: options.maxBodySize,
      maxDepth: 64,
      safeIntegers: false,
      response: response === null ? null : { ...response, definitions: compiler.responseSchemas.definitions },
    };
  } catch (error) {
    if (!(error instanceof DocumentError)) throw error;
    problem(`the document cannot be used: ${error.message}`, error.at);
    return undefined;
  }
}

function responseRules(written: NonNullable<Options['response']>): Omit<ResponseRules, 'definitions'> {
  const { mode, unknownStatuses, maxBodySize } =
    typeof written === 'string'
      ? ({ mode: written, unknownStatuses: 'pass', maxBodySize: 1_024 ** 2 } as const)
      : written;
  return { mode, unknownStatuses, maxBodyBytes: maxBodySize };
}

function refuseUnusable(definitions: Readonly<Record<string, JsonSchema>>, compiled: readonly JsonSchema[]): void {
  const unusable = schemaProblem({ $defs: definitions, allOf: [true, ...compiled] }, MAX_DOCUMENT_BYTES);
  if (unusable !== undefined) throw new DocumentError(unusable.split(': ')[0] ?? '', unusable.replace(/^[^:]*: /, ''));
}

function readDocument(text: string): Record<string, unknown> {
  if (text.length > MAX_DOCUMENT_BYTES) throw new DocumentError('', 'it is longer than 5 MB');
  // YAML is a superset; JSON's own reader is 50 times as fast.
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    const parsed = parseDocument(text, { prettyErrors: false, logLevel: 'error' });
    const [error] = parsed.errors;
    if (error !== undefined) throw new DocumentError('', error.message.split('\n', 1)[0] ?? 'it is no YAML');
    try {
      value = parsed.toJS({ maxAliasCount: 10_000 });
    } catch {
      throw new DocumentError('', 'its aliases expand without end');
    }
  }
  if (!isMapping(value)) throw new DocumentError('', 'it is no mapping');
  const version = String(value['openapi'] ?? value['swagger'] ?? '');
  if (!/^3\.[01]\./.test(version))
    throw new DocumentError('openapi', `version 3.0 or 3.1 is expected, not ${JSON.stringify(version)}`);
  if (!isMapping(value['paths'])) throw new DocumentError('paths', 'there are no paths');
  return value;
}

class DocumentCompiler {
  readonly schemas: SchemaTranslator;
  /** Of responses: other members are hidden there. */
  readonly responseSchemas: SchemaTranslator;
  readonly unknownFormats = new Set<string>();
  /** Every schema that an operation uses itself, to be looked through. */
  readonly compiled: JsonSchema[] = [];
  readonly compiledResponses: JsonSchema[] = [];
  readonly #withResponses: boolean;
  readonly #document: Record<string, unknown>;

  constructor(document: Record<string, unknown>, withResponses: boolean) {
    this.#document = document;
    this.#withResponses = withResponses;
    const isOld = String(document['openapi']).startsWith('3.0');
    this.schemas = new SchemaTranslator(document, isOld, 'readOnly', this.unknownFormats);
    this.responseSchemas = new SchemaTranslator(document, isOld, 'writeOnly', this.unknownFormats);
  }

  basePath(): string {
    const servers = this.#document['servers'];
    const url = Array.isArray(servers) && isMapping(servers[0]) ? String(servers[0]['url'] ?? '') : '';
    const path = url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, '').replace(/\/$/, '');
    return path.startsWith('/') && !path.includes('{') ? path : '';
  }

  operations(): OperationSettings[] {
    return Object.entries(this.#document['paths'] as Record<string, unknown>).flatMap(([path, written]) => {
      if (path.startsWith('x-')) return [];
      const at = `paths/${path}`;
      if (!path.startsWith('/')) throw new DocumentError(at, 'a path begins with /');
      const item = this.#resolve(written, at);
      const shared = this.#parameters(item['parameters'], at);
      return METHODS.filter((method) => item[method] !== undefined).map((method) =>
        this.#operation(path, method, item[method], shared),
      );
    });
  }

  #operation(path: string, method: string, written: unknown, shared: readonly ParameterSettings[]): OperationSettings {
    const at = `paths/${path}/${method}`;
    const operation = this.#resolve(written, at);
    const own = this.#parameters(operation['parameters'], at);
    const isOwn = (each: ParameterSettings): boolean =>
      own.some((other) => other.in === each.in && other.name === each.name);
    const parameters = [...shared.filter((each) => !isOwn(each)), ...own];
    for (const [, name] of path.matchAll(/\{([^}]*)\}/g))
      if (!parameters.some((each) => each.in === 'path' && each.name === name))
        throw new DocumentError(at, `the path parameter {${name}} is not described`);
    return {
      method: method.toUpperCase(),
      path,
      parameters,
      body: this.#body(operation['requestBody'], at),
      ...(this.#withResponses ? { responses: this.#responses(operation['responses'], at) } : {}),
    };
  }

  #responses(written: unknown, at: string): ResponseSettings[] {
    if (!isMapping(written)) return [];
    return Object.entries(written).flatMap(([status, each]) => {
      if (status.startsWith('x-')) return [];
      const here = `${at}/responses/${status}`;
      if (!/^([1-5]\d\d|[1-5]XX|default)$/.test(status)) throw new DocumentError(here, 'it is no status');
      const { headers, content } = this.#resolve(each, here);
      return [
        {
          status,
          headers: this.#responseFields(headers, `${here}/headers`),
          types: isMapping(content) ? this.#types(content, `${here}/content`, true) : null,
        },
      ];
    });
  }

  #responseFields(written: unknown, at: string): ParameterSettings[] {
    if (!isMapping(written)) return [];
    return Object.entries(written).flatMap(([name, each]) => {
      const field = this.#resolve(each, `${at}/${name}`);
      return this.#parameter({ ...field, in: 'header', name }, `${at}/${name}`, true);
    });
  }

  #parameters(written: unknown, at: string): ParameterSettings[] {
    if (written === undefined) return [];
    if (!Array.isArray(written)) throw new DocumentError(at, 'parameters are a list');
    return written.flatMap((each, i) =>
      this.#parameter(this.#resolve(each, `${at}/parameters/${i}`), `${at}/parameters/${i}`),
    );
  }

  #parameter(parameter: Record<string, unknown>, at: string, ofResponse = false): ParameterSettings[] {
    const place = parameter['in'] as ParameterPlace;
    const name = parameter['name'];
    if (!['query', 'path', 'header', 'cookie'].includes(place)) throw new DocumentError(at, 'it is in no known place');
    if (typeof name !== 'string' || name === '') throw new DocumentError(at, 'it has no name');
    if (place === 'header' && IGNORED_HEADERS.includes(name.toLowerCase())) return [];
    const { content } = parameter;
    const isJson = isMapping(content);
    const written = isJson ? (Object.values(content)[0] as { schema?: unknown })?.schema : parameter['schema'];
    const schema = this.#schema(written ?? true, `${at}/schema`, ofResponse);
    const form = isJson
      ? ({ kind: 'json' } as const)
      : formOf(this.#resolvedSchema(written), place, parameter, at, (inner) => this.#resolvedSchema(inner));
    return [
      {
        in: place,
        name: place === 'header' ? name.toLowerCase() : name,
        required: place === 'path' || parameter['required'] === true,
        form,
        schema,
      },
    ];
  }

  #body(written: unknown, at: string): BodySettings | null {
    if (written === undefined) return null;
    const body = this.#resolve(written, `${at}/requestBody`);
    const { content } = body;
    if (!isMapping(content)) throw new DocumentError(`${at}/requestBody`, 'it has no content');
    return { required: body['required'] === true, types: this.#types(content, `${at}/requestBody/content`, false) };
  }

  #types(content: Record<string, unknown>, at: string, ofResponse: boolean): BodyTypeSettings[] {
    return Object.entries(content).map(([written, media]) => {
      const type = (written.split(';', 1)[0] ?? '').trim().toLowerCase();
      const schema = isMapping(media) ? media['schema'] : undefined;
      const kind = kindOf(type);
      // What is in a part or a file of another format is not looked into.
      if (schema === undefined || kind === 'other') return { type, kind, schema: null, fields: {} };
      if (kind === 'multipart')
        return this.#multipart(type, schema, (media as Mapping)['encoding'], `${at}/${written}`);
      const resolved = this.#resolvedSchema(schema);
      const properties = isMapping(resolved) && isMapping(resolved['properties']) ? resolved['properties'] : {};
      const fields =
        kind !== 'form'
          ? {}
          : Object.fromEntries(
              Object.entries(properties).map(([name, each]) => [
                name,
                formOf(this.#resolvedSchema(each), 'query', {}, `${at}/${written}/${name}`, (inner) =>
                  this.#resolvedSchema(inner),
                ),
              ]),
            );
      return { type, kind, schema: this.#schema(schema, `${at}/${written}/schema`, ofResponse), fields };
    });
  }

  #multipart(type: string, schema: unknown, encoding: unknown, at: string): BodyTypeSettings {
    const multipart = multipartOf(schema, encoding, at, {
      resolve: (inner) => this.#resolvedSchema(inner),
      translate: (inner, place) => this.#schema(inner, place, false),
    });
    return { type, kind: 'multipart', schema: null, fields: {}, multipart };
  }

  #schema(written: unknown, at: string, ofResponse: boolean): JsonSchema {
    const schema = (ofResponse ? this.responseSchemas : this.schemas).translate(written, at);
    (ofResponse ? this.compiledResponses : this.compiled).push(schema);
    return schema;
  }

  #resolvedSchema(schema: unknown): unknown {
    let value = schema;
    for (let i = 0; i < 16 && isMapping(value) && typeof value['$ref'] === 'string'; i++)
      value = pointerValue(this.#document, value['$ref']);
    return value;
  }

  #resolve(written: unknown, at: string): Record<string, unknown> {
    let value = written;
    for (let i = 0; isMapping(value) && typeof value['$ref'] === 'string'; i++) {
      const reference = value['$ref'];
      if (i > 16 || !reference.startsWith('#/'))
        throw new DocumentError(
          at,
          `only references inside the document are supported, not ${JSON.stringify(reference)}`,
        );
      value = pointerValue(this.#document, reference);
      if (value === undefined) throw new DocumentError(at, `there is nothing at ${reference}`);
    }
    if (!isMapping(value)) throw new DocumentError(at, 'a mapping is expected');
    return value;
  }
}

export function kindOf(type: string): BodyTypeSettings['kind'] {
  if (isJsonType(type)) return 'json';
  if (type === 'multipart/form-data') return 'multipart';
  return type === 'application/x-www-form-urlencoded' ? 'form' : 'other';
}
