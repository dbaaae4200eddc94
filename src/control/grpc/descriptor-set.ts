/**
 * Descriptors (google/protobuf/descriptor.proto), in a file of protoc or of a service that reflects, to a model. They
 * are read by the same translation that traffic goes through, with the types of the descriptors themselves.
 */
import type { EnumSchema, FieldKind, FieldSchema, MessageSchema, ProtoSchema } from '../../base/protobuf/schema.ts';
import { jsonNameOf } from '../../base/protobuf/schema.ts';
import { TypeSet } from '../../base/protobuf/types.ts';
import { WireFault } from '../../base/protobuf/wire.ts';
import { JsonDecoder } from '../../base/protobuf/wire-to-json.ts';
import { KNOWN_PROTOS } from './known-protos.ts';
import { type MethodModel, ProtoFault, type ProtoModel, rulesOf, type ServiceModel } from './model.ts';
import { readProtoFiles } from './proto-files.ts';

/** `extend google.protobuf.MethodOptions { HttpRule http = 72295728; }` */
const HTTP_OPTION = 72_295_728;

interface Field {
  readonly name: string;
  readonly number: number;
  readonly label?: string;
  readonly type?: string;
  readonly type_name?: string;
  readonly json_name?: string;
  readonly oneof_index?: number;
  readonly proto3_optional?: boolean;
  readonly options?: { readonly packed?: boolean; readonly features?: { readonly field_presence?: string } };
}

interface Message {
  readonly name: string;
  readonly field?: readonly Field[];
  readonly nested_type?: readonly Message[];
  readonly enum_type?: readonly Enum[];
  readonly oneof_decl?: readonly { readonly name: string }[];
  readonly options?: { readonly map_entry?: boolean };
}

interface Enum {
  readonly name: string;
  readonly value?: readonly { readonly name: string; readonly number?: number }[];
}

interface Method {
  readonly name: string;
  readonly input_type: string;
  readonly output_type: string;
  readonly client_streaming?: boolean;
  readonly server_streaming?: boolean;
  readonly options?: { readonly deprecated?: boolean; readonly http?: unknown };
}

interface File {
  readonly name?: string;
  readonly dependency?: readonly string[];
  readonly package?: string;
  readonly syntax?: string;
  readonly message_type?: readonly Message[];
  readonly enum_type?: readonly Enum[];
  readonly service?: readonly { readonly name: string; readonly method?: readonly Method[] }[];
}

let descriptorTypes: TypeSet | null = null;

/** A serialized FileDescriptorSet. Throws a `ProtoFault` when it is none. */
export function readDescriptorSet(bytes: Buffer): ProtoModel {
  return modelOf(
    (decode('google.protobuf.FileDescriptorSet', bytes) as { readonly file?: readonly File[] }).file ?? [],
  );
}

/** Serialized FileDescriptorProtos, each once. */
export function readDescriptors(files: readonly Buffer[]): ProtoModel {
  return modelOf(files.map((bytes) => decode('google.protobuf.FileDescriptorProto', bytes) as File));
}

/** Name and imports of a serialized FileDescriptorProto. */
export function fileHead(bytes: Buffer): { readonly name: string; readonly imports: readonly string[] } {
  const { name = '', dependency = [] } = decode('google.protobuf.FileDescriptorProto', bytes) as File;
  return { name, imports: dependency };
}

function decode(type: string, bytes: Buffer): unknown {
  descriptorTypes ??= new TypeSet(descriptorSchema());
  try {
    return new JsonDecoder(descriptorTypes, { fileNames: true }).decode(descriptorTypes.message(type), bytes);
  } catch (error) {
    if (error instanceof WireFault) throw new ProtoFault(`not a descriptor set: ${error.message}`);
    throw error;
  }
}

function descriptorSchema(): ProtoSchema {
  const imports = ['google/protobuf/descriptor.proto', 'google/api/http.proto'].map((name) => `import "${name}";`);
  const text = `syntax = "proto3"; ${imports.join(' ')}`;
  const { schema } = readProtoFiles([{ name: 'descriptors.proto', text }], () => undefined);
  const options = schema.messages['google.protobuf.MethodOptions']!;
  const http: FieldSchema = {
    number: HTTP_OPTION,
    name: 'http',
    jsonName: 'http',
    kind: 'message',
    type: 'google.api.HttpRule',
    repeated: false,
    mapKey: null,
    packed: false,
    hasPresence: true,
    oneof: null,
    comment: '',
  };
  const extended = { ...options, fields: [...options.fields, http] };
  return { ...schema, messages: { ...schema.messages, 'google.protobuf.MethodOptions': extended } };
}

function modelOf(files: readonly File[]): ProtoModel {
  const messages = new Map<string, { readonly message: Message; readonly file: File }>();
  const enums: Record<string, EnumSchema> = {};
  const addEnum = (prefix: string, { name, value = [] }: Enum): void => {
    enums[`${prefix}${name}`] = { values: value.map((each) => [each.name, each.number ?? 0]), comment: '' };
  };
  const add = (prefix: string, message: Message, file: File): void => {
    const name = `${prefix}${message.name}`;
    messages.set(name, { message, file });
    for (const inner of message.nested_type ?? []) add(`${name}.`, inner, file);
    for (const inner of message.enum_type ?? []) addEnum(`${name}.`, inner);
  };
  for (const file of files) {
    const prefix = prefixOf(file);
    for (const message of file.message_type ?? []) add(prefix, message, file);
    for (const each of file.enum_type ?? []) addEnum(prefix, each);
  }
  const schemas: Record<string, MessageSchema> = {};
  for (const [name, { message, file }] of messages) {
    if (message.options?.map_entry === true) continue;
    const fields = (message.field ?? []).map((field) => fieldSchema(field, message, file, messages));
    schemas[name] = { fields, comment: '' };
  }
  const known = knownSchema();
  return {
    schema: { messages: { ...known.messages, ...schemas }, enums: { ...known.enums, ...enums } },
    services: files.flatMap(servicesOf),
  };
}

function prefixOf(file: File): string {
  return file.package === undefined ? '' : `${file.package}.`;
}

function fieldSchema(
  field: Field,
  message: Message,
  file: File,
  messages: ReadonlyMap<string, { readonly message: Message }>,
): FieldSchema {
  const type = (field.type_name ?? '').replace(/^\./, '');
  const kind = (field.type ?? '').replace(/^TYPE_/, '').toLowerCase();
  if (kind === 'group') throw new ProtoFault(`${message.name}.${field.name} is a group, which has no place in JSON`);
  const isRepeated = field.label === 'LABEL_REPEATED';
  const entry = messages.get(type)?.message;
  const isMap = entry?.options?.map_entry === true;
  const base = {
    number: field.number,
    name: field.name,
    jsonName: field.json_name ?? jsonNameOf(field.name),
    comment: '',
  };
  if (isMap) {
    const [key, value] = [1, 2].map((number) => entry!.field!.find((each) => each.number === number)!);
    const values = fieldSchema(value!, entry!, file, messages);
    const keyKind = (key!.type ?? '').replace(/^TYPE_/, '').toLowerCase() as FieldKind;
    return { ...values, ...base, mapKey: keyKind, repeated: false, hasPresence: false, oneof: null };
  }
  const isSynthetic = field.proto3_optional === true;
  const isImplicit =
    file.syntax === 'proto3'
      ? field.oneof_index === undefined
      : field.options?.features?.field_presence === 'IMPLICIT' && file.syntax === 'editions';
  return {
    ...base,
    kind: kind as FieldKind,
    type,
    repeated: isRepeated,
    mapKey: null,
    packed: isRepeated && (field.options?.packed ?? file.syntax !== undefined),
    hasPresence: !isRepeated && (kind === 'message' || !isImplicit),
    oneof:
      field.oneof_index === undefined || isSynthetic ? null : (message.oneof_decl?.[field.oneof_index]?.name ?? null),
  };
}

function servicesOf(file: File): ServiceModel[] {
  return (file.service ?? []).map(({ name, method = [] }) => ({
    name: `${prefixOf(file)}${name}`,
    comment: '',
    methods: method.map(methodModel),
  }));
}

function methodModel(method: Method): MethodModel {
  return {
    name: method.name,
    input: method.input_type.replace(/^\./, ''),
    output: method.output_type.replace(/^\./, ''),
    clientStreams: method.client_streaming === true,
    serverStreams: method.server_streaming === true,
    deprecated: method.options?.deprecated === true,
    comment: '',
    rules: rulesOf(method.options?.http),
  };
}

/** What statuses are made of, whether or not the descriptors have it. */
function knownSchema(): ProtoSchema {
  const imports = Object.keys(KNOWN_PROTOS).map((name) => `import "${name}";`);
  return readProtoFiles([{ name: 'known.proto', text: `syntax = "proto3"; ${imports.join(' ')}` }], () => undefined)
    .schema;
}
