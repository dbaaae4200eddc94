/**
 * The OpenAPI document of a route with `transcode`, made of the same bindings and types that traffic goes by: paths,
 * parameters, bodies, responses, streams, errors. Plain data, to show or merge.
 */
import type { FieldKind, FieldSchema, MessageSchema, ProtoSchema } from '../../base/protobuf/schema.ts';
import { parseTemplate } from '../../data/contract/path-template.ts';
import type { RouteSettings } from '../../data/contract/snapshot.ts';
import type { TranscodeBinding, TranscodeSettings } from '../../data/contract/transcode.ts';

export type Json = { readonly [key: string]: unknown };

const INTEGER_TEXT = { type: 'string', format: 'int64' };
const SCALARS: Readonly<Record<Exclude<FieldKind, 'enum' | 'message'>, Json>> = {
  double: { type: 'number', format: 'double' },
  float: { type: 'number', format: 'float' },
  int32: { type: 'integer', format: 'int32' },
  sint32: { type: 'integer', format: 'int32' },
  sfixed32: { type: 'integer', format: 'int32' },
  uint32: { type: 'integer', minimum: 0, maximum: 4_294_967_295 },
  fixed32: { type: 'integer', minimum: 0, maximum: 4_294_967_295 },
  int64: INTEGER_TEXT,
  sint64: INTEGER_TEXT,
  sfixed64: INTEGER_TEXT,
  uint64: { type: 'string', format: 'uint64' },
  fixed64: { type: 'string', format: 'uint64' },
  bool: { type: 'boolean' },
  string: { type: 'string' },
  bytes: { type: 'string', contentEncoding: 'base64' },
};

/** Types whose JSON is not an object of their fields. */
const WELL_KNOWN: Readonly<Record<string, Json>> = {
  'google.protobuf.Timestamp': { type: 'string', format: 'date-time' },
  'google.protobuf.Duration': { type: 'string', examples: ['1.5s'] },
  'google.protobuf.FieldMask': { type: 'string', description: 'Names of fields, with commas between them.' },
  'google.protobuf.Struct': { type: 'object' },
  'google.protobuf.Value': {},
  'google.protobuf.ListValue': { type: 'array' },
  'google.protobuf.Empty': { type: 'object' },
  'google.protobuf.Any': { type: 'object', properties: { '@type': { type: 'string' } } },
};

const HTTP_BODY = 'google.api.HttpBody';
const STATUS = 'google.rpc.Status';

/** Null for routes without `transcode`, and where only the running service knows what it offers. */
export function openApiOf({ id, match, rewrite, transcode }: RouteSettings, version: string): Json | null {
  if (transcode?.api == null) return null;
  // A template begins where the service's path does: behind what the route takes off.
  const prefix = rewrite?.stripPrefix ?? '';
  const document = new Document(transcode.api.schema, transcode, prefix);
  const paths: Record<string, Record<string, Json>> = {};
  for (const binding of transcode.api.bindings) {
    if (!/^(GET|PUT|POST|DELETE|PATCH|HEAD|OPTIONS)$/.test(binding.verb)) continue;
    const path = document.path(binding.template);
    paths[path] ??= {};
    paths[path][binding.verb.toLowerCase()] ??= document.operation(binding);
  }
  const servers = match.hosts.filter((host) => !host.includes('*')).map((host) => ({ url: `https://${host}` }));
  return {
    openapi: '3.1.0',
    info: { title: id, version },
    ...(servers.length === 0 ? {} : { servers }),
    paths,
    components: { schemas: document.components() },
  };
}

class Document {
  readonly #schema: ProtoSchema;
  readonly #fileNames: boolean;
  readonly #prefix: string;
  readonly #used = new Set<string>([STATUS]);

  constructor(schema: ProtoSchema, { fileNames }: TranscodeSettings, prefix: string) {
    this.#schema = schema;
    this.#fileNames = fileNames;
    this.#prefix = prefix;
  }

  /** `/v1/{name=shelves/*}:move` as `/v1/{name}:move`: OpenAPI knows no slashes in a parameter. */
  path(template: string): string {
    return this.#prefix + template.replace(/\{([^}=]+)(=[^}]*)?\}/g, '{$1}');
  }

  operation(binding: TranscodeBinding): Json {
    const { rpc, comment = '', body, serverStreams, clientStreams } = binding;
    const input = this.#schema.messages[binding.input]!;
    const named = parseTemplate(binding.template).variables.map(({ field }) => field.join('.'));
    const [, service = '', method = ''] = rpc.split('/');
    const query = body === '*' ? [] : this.#query(input, '', [...named, body]);
    const parameters = [...named.map((name) => this.#pathParameter(input, name, binding.template)), ...query];
    const content = body === '' ? null : this.#bodyContent(input, binding, clientStreams);
    return {
      operationId: `${method}_${binding.verb.toLowerCase()}`,
      tags: [service.slice(service.lastIndexOf('.') + 1)],
      ...(comment === '' ? {} : { description: comment }),
      ...(parameters.length === 0 ? {} : { parameters }),
      ...(content === null ? {} : { requestBody: { content, required: body !== '*' } }),
      responses: {
        200: {
          description: serverStreams ? 'One line or event for each message.' : 'OK',
          content: this.#responseContent(binding),
        },
        default: {
          description: 'The call failed, or the gateway refused it.',
          content: { 'application/json': { schema: this.#reference(STATUS) } },
        },
      },
    };
  }

  #pathParameter(input: MessageSchema, name: string, template: string): Json {
    const pattern = new RegExp(`\\{${name.replaceAll('.', '\\.')}=([^}]*)\\}`).exec(template)?.[1];
    const field = this.#fieldAt(input, name.split('.'));
    const description = [field?.comment ?? '', pattern === undefined ? '' : `Of the form \`${pattern}\`.`].filter(
      Boolean,
    );
    return {
      name,
      in: 'path',
      required: true,
      ...(description.length === 0 ? {} : { description: description.join(' ') }),
      schema: field === undefined ? { type: 'string' } : this.#one(field),
    };
  }

  /** Parameters of all fields that are one value or a list of such, those of messages in it by dotted names. */
  #query(message: MessageSchema, prefix: string, without: readonly string[], depth = 0): Json[] {
    return message.fields.flatMap((field) => {
      const name = `${prefix}${this.#fileNames ? field.name : field.jsonName}`;
      if (without.includes(`${prefix}${field.name}`) || field.mapKey !== null) return [];
      const isMessage = field.kind === 'message' && this.#plain(field.type) === null;
      if (isMessage) {
        const inner = this.#schema.messages[field.type];
        return field.repeated || inner === undefined || depth > 2
          ? []
          : this.#query(inner, `${name}.`, without, depth + 1);
      }
      const description = field.comment === '' ? {} : { description: field.comment };
      return [{ name, in: 'query', ...description, schema: this.#of(field) }];
    });
  }

  #bodyContent(input: MessageSchema, { body, input: name, template }: TranscodeBinding, isStream: boolean): Json {
    const field = input.fields.find((each) => each.name === body);
    if ((field === undefined ? name : field.type) === HTTP_BODY) return { '*/*': {} };
    const whole = field === undefined ? this.#without(name, input, template) : this.#of(field);
    return { [isStream ? 'application/x-ndjson' : 'application/json']: { schema: whole } };
  }

  /** All of the request that the path does not say. */
  #without(name: string, input: MessageSchema, template: string): Json {
    const named = parseTemplate(template).variables.map(({ field }) => field[0]);
    if (named.length === 0) return this.#reference(name);
    return this.#object({ ...input, fields: input.fields.filter((field) => !named.includes(field.name)) });
  }

  #responseContent({ output, responseBody, serverStreams }: TranscodeBinding): Json {
    const message = this.#schema.messages[output];
    const field = message?.fields.find(({ name }) => name === responseBody);
    if ((field === undefined ? output : field.type) === HTTP_BODY) return { '*/*': {} };
    const schema = field === undefined ? this.#reference(output) : this.#of(field);
    if (!serverStreams) return { 'application/json': { schema } };
    return { 'application/x-ndjson': { schema }, 'text/event-stream': { schema } };
  }

  components(): Json {
    const schemas: Record<string, Json> = {};
    // What is described refers to further types.
    for (const name of this.#used) {
      const enumeration = this.#schema.enums[name];
      const message = this.#schema.messages[name];
      if (enumeration !== undefined)
        schemas[name] = { type: 'string', enum: enumeration.values.map(([each]) => each), ...described(enumeration) };
      else if (message !== undefined) schemas[name] = this.#object(message);
    }
    return schemas;
  }

  #object(message: MessageSchema): Json {
    const properties = Object.fromEntries(
      message.fields.map((field) => [
        this.#fileNames ? field.name : field.jsonName,
        { ...this.#of(field), ...described(field) },
      ]),
    );
    return { type: 'object', ...described(message), properties };
  }

  #of(field: FieldSchema): Json {
    if (field.mapKey !== null) return { type: 'object', additionalProperties: this.#one(field) };
    return field.repeated ? { type: 'array', items: this.#one(field) } : this.#one(field);
  }

  #one({ kind, type }: FieldSchema): Json {
    if (kind === 'enum') return type === 'google.protobuf.NullValue' ? { type: 'null' } : this.#reference(type);
    return kind === 'message' ? this.#reference(type) : SCALARS[kind];
  }

  #reference(type: string): Json {
    const plain = this.#plain(type);
    if (plain !== null) return plain;
    this.#used.add(type);
    return { $ref: `#/components/schemas/${type}` };
  }

  /** The form of a type that JSON writes in its own way, or null. */
  #plain(type: string): Json | null {
    const wrapped = /^google\.protobuf\.\w+Value$/.test(type) ? this.#schema.messages[type]?.fields : undefined;
    const known = WELL_KNOWN[type];
    if (known !== undefined) return known;
    return wrapped?.length === 1 && wrapped[0]!.name === 'value' ? this.#one(wrapped[0]!) : null;
  }

  #fieldAt(message: MessageSchema, names: readonly string[]): FieldSchema | undefined {
    let at: MessageSchema | undefined = message;
    let field: FieldSchema | undefined;
    for (const name of names) {
      field = at?.fields.find((each) => each.name === name);
      at = field === undefined ? undefined : this.#schema.messages[field.type];
    }
    return field;
  }
}

function described({ comment }: { readonly comment: string }): Json {
  return comment === '' ? {} : { description: comment };
}
