/**
 * `.proto` files to a model. The parser is protobufjs, loaded when the first file is read; it only parses and resolves
 * names here, nothing of it runs in a worker and no code is made of what stands in a file.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type * as protobuf from 'protobufjs';
import type { EnumSchema, FieldKind, FieldSchema, MessageSchema } from '../../base/protobuf/schema.ts';
import { KNOWN_PROTOS } from './known-protos.ts';
import { type MethodModel, ProtoFault, type ProtoModel, rulesOf, type ServiceModel } from './model.ts';

type Protobuf = typeof protobuf;

/** The text of an import, by its name there; undefined where no file has it. */
export type ReadImport = (name: string) => string | undefined;

export interface ProtoFile {
  readonly name: string;
  readonly text: string;
}

let library: Protobuf | null = null;

/** Throws a `ProtoFault` when something in a file cannot be understood or found. */
export function readProtoFiles(files: readonly ProtoFile[], readImport: ReadImport): ProtoModel {
  library ??= createRequire(import.meta.url)('protobufjs') as Protobuf;
  return new Reading(library, readImport).read(files);
}

class Reading {
  readonly #library: Protobuf;
  readonly #readImport: ReadImport;
  readonly #root: protobuf.Root;
  readonly #seen = new Set<string>();
  readonly #missing: string[] = [];

  constructor(library: Protobuf, readImport: ReadImport) {
    this.#library = library;
    this.#readImport = readImport;
    this.#root = new library.Root();
  }

  read(files: readonly ProtoFile[]): ProtoModel {
    const own: string[] = [];
    for (const { name, text } of files) {
      const before = new Set(servicesIn(this.#root).map(({ fullName }) => fullName));
      this.#seen.add(name);
      const imports = this.#parse(name, text);
      own.push(...servicesIn(this.#root).flatMap(({ fullName }) => (before.has(fullName) ? [] : [fullName])));
      this.#follow(imports);
    }
    this.#follow(['google/rpc/status.proto', 'google/rpc/error_details.proto']);
    try {
      this.#root.resolveAll();
    } catch (error) {
      const missing = this.#missing.length === 0 ? '' : `; not found: ${this.#missing.join(', ')}`;
      throw new ProtoFault(`${(error as Error).message}${missing}`);
    }
    const services = servicesIn(this.#root).filter(({ fullName }) => own.includes(fullName));
    return { schema: schemaOf(this.#root), services: services.map(serviceModel) };
  }

  #parse(name: string, text: string): readonly string[] {
    const parse = this.#library.parse as Protobuf['parse'] & { filename: string | null };
    try {
      parse.filename = name;
      const { imports, weakImports } = parse(text, this.#root, { keepCase: true, alternateCommentMode: true });
      return [...(imports ?? []), ...(weakImports ?? [])];
    } catch (error) {
      throw new ProtoFault(error instanceof Error ? error.message : String(error));
    } finally {
      parse.filename = null;
    }
  }

  #follow(imports: readonly string[]): void {
    for (const name of imports) {
      if (this.#seen.has(name)) continue;
      this.#seen.add(name);
      const text = this.#readImport(name) ?? KNOWN_PROTOS[name] ?? packaged(name);
      if (text !== undefined) this.#follow(this.#parse(name, text));
      else if (!this.#addCommon(name)) this.#missing.push(name);
    }
  }

  /** Of google/protobuf, as it comes with the parser. Files that only add options need not be there. */
  #addCommon(name: string): boolean {
    const common = this.#library.common.get(name);
    if (common?.nested === undefined) return false;
    this.#root.addJSON(common.nested);
    return true;
  }
}

const DESCRIPTOR = 'google/protobuf/descriptor.proto';

function packaged(name: string): string | undefined {
  if (name !== DESCRIPTOR) return undefined;
  return readFileSync(createRequire(import.meta.url).resolve(`protobufjs/${DESCRIPTOR}`), 'utf8');
}

function isKind<T extends protobuf.ReflectionObject>(object: protobuf.ReflectionObject, name: string): object is T {
  return object.constructor.name === name;
}

function* objectsIn(namespace: protobuf.NamespaceBase): Generator<protobuf.ReflectionObject> {
  for (const object of namespace.nestedArray) {
    yield object;
    if ('nestedArray' in object) yield* objectsIn(object as protobuf.NamespaceBase);
  }
}

function servicesIn(root: protobuf.Root): protobuf.Service[] {
  return [...objectsIn(root)].filter((object) => isKind<protobuf.Service>(object, 'Service'));
}

function schemaOf(root: protobuf.Root): ProtoModel['schema'] {
  const messages: Record<string, MessageSchema> = {};
  const enums: Record<string, EnumSchema> = {};
  for (const object of objectsIn(root)) {
    const name = nameOf(object);
    if (isKind<protobuf.Type>(object, 'Type')) {
      const fields = object.fieldsArray.filter(({ declaringField }) => declaringField === null);
      messages[name] = { fields: fields.map(fieldSchema), comment: object.comment ?? '' };
    } else if (isKind<protobuf.Enum>(object, 'Enum'))
      enums[name] = { values: Object.entries(object.values), comment: object.comment ?? '' };
  }
  return { messages, enums };
}

/** Full, without the dot in front. */
function nameOf({ fullName }: protobuf.ReflectionObject): string {
  return fullName.replace(/^\./, '');
}

function fieldSchema(field: protobuf.Field): FieldSchema {
  const { resolvedType, partOf } = field;
  if (
    resolvedType !== null &&
    isKind<protobuf.Type>(resolvedType, 'Type') &&
    (resolvedType as { group?: boolean }).group === true
  )
    throw new ProtoFault(`${field.fullName.slice(1)} is a group, which has no place in JSON`);
  const isMap = field.map;
  const isSynthetic = partOf !== null && field.options?.['proto3_optional'] === true;
  const kind = resolvedType === null ? field.type : resolvedType.constructor.name === 'Enum' ? 'enum' : 'message';
  return {
    number: field.id,
    name: field.name,
    jsonName: field.jsonName,
    kind: kind as FieldKind,
    type: resolvedType === null ? '' : nameOf(resolvedType),
    repeated: field.repeated,
    mapKey: isMap ? ((field as unknown as protobuf.MapField).keyType as FieldKind) : null,
    packed: field.repeated && field.packed,
    hasPresence: !isMap && (kind === 'message' || field.hasPresence) && !field.repeated,
    oneof: partOf === null || isSynthetic ? null : partOf.name,
    comment: field.comment ?? '',
  };
}

function serviceModel(service: protobuf.Service): ServiceModel {
  return { name: nameOf(service), comment: service.comment ?? '', methods: service.methodsArray.map(methodModel) };
}

function methodModel(method: protobuf.Method): MethodModel {
  // One entry for each option, in the form of its text.
  const options = (method.parsedOptions ?? []) as unknown as readonly Readonly<Record<string, unknown>>[];
  return {
    name: method.name,
    input: nameOf(method.resolvedRequestType!),
    output: nameOf(method.resolvedResponseType!),
    clientStreams: method.requestStream === true,
    serverStreams: method.responseStream === true,
    deprecated: options.some((option) => option['deprecated'] === true),
    comment: method.comment ?? '',
    rules: options.flatMap((option) => rulesOf(option['(google.api.http)'])),
  };
}
