/** A `ProtoSchema` made ready for translation: types that know each other, fields by number and by name. */
import type { FieldKind, FieldSchema, ProtoSchema } from './schema.ts';
import { WELL_KNOWN } from './well-known.ts';

export interface EnumType {
  readonly name: string;
  readonly byName: ReadonlyMap<string, number>;
  readonly byNumber: ReadonlyMap<number, string>;
}

export class MessageType {
  readonly name: string;
  /** JSON has a form of its own for it. */
  readonly isWellKnown: boolean;
  fields: readonly FieldType[] = [];
  readonly byNumber = new Map<number, FieldType>();
  /** By JSON name and by name in the file: both are read. */
  readonly byName = new Map<string, FieldType>();

  constructor(name: string) {
    this.name = name;
    this.isWellKnown = WELL_KNOWN.has(name);
  }
}

export class FieldType {
  readonly number: number;
  readonly name: string;
  readonly jsonName: string;
  readonly kind: FieldKind;
  readonly repeated: boolean;
  readonly mapKey: FieldKind | null;
  readonly packed: boolean;
  readonly hasPresence: boolean;
  readonly oneof: string | null;
  /** Of one value, without packing. */
  readonly wireType: number;
  /** What is written before a value, without packing. */
  readonly tag: number;
  message: MessageType | null = null;
  enumType: EnumType | null = null;
  /** The other members of its oneof. */
  rivals: readonly FieldType[] = [];

  constructor(schema: FieldSchema) {
    this.number = schema.number;
    this.name = schema.name;
    this.jsonName = schema.jsonName;
    this.kind = schema.kind;
    this.repeated = schema.repeated;
    this.mapKey = schema.mapKey;
    this.packed = schema.packed;
    this.hasPresence = schema.hasPresence;
    this.oneof = schema.oneof;
    this.wireType = wireTypeOf(schema.kind);
    this.tag = schema.number * 8 + (schema.mapKey === null ? this.wireType : LENGTH_DELIMITED);
  }
}

const VARINT = 0;
const FIXED64 = 1;
export const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

export function wireTypeOf(kind: FieldKind): number {
  switch (kind) {
    case 'double':
    case 'fixed64':
    case 'sfixed64':
      return FIXED64;
    case 'float':
    case 'fixed32':
    case 'sfixed32':
      return FIXED32;
    case 'string':
    case 'bytes':
    case 'message':
      return LENGTH_DELIMITED;
    default:
      return VARINT;
  }
}

export class TypeSet {
  readonly #messages = new Map<string, MessageType>();
  readonly #enums = new Map<string, EnumType>();

  /** Throws a `TypeError` when a type that is referred to is not there. */
  constructor(schema: ProtoSchema) {
    for (const [name, { values }] of Object.entries(schema.enums)) {
      const byNumber = new Map<number, string>();
      // Of two names for one number the first is written.
      for (const [each, number] of values) if (!byNumber.has(number)) byNumber.set(number, each);
      this.#enums.set(name, { name, byName: new Map(values), byNumber });
    }
    for (const name of Object.keys(schema.messages)) this.#messages.set(name, new MessageType(name));
    for (const [name, { fields }] of Object.entries(schema.messages)) this.#fill(this.#messages.get(name)!, fields);
  }

  find(name: string): MessageType | undefined {
    return this.#messages.get(name);
  }

  /** Throws a `TypeError` when it is not there. */
  message(name: string): MessageType {
    const found = this.#messages.get(name);
    if (found === undefined) throw new TypeError(`there is no message ${name}`);
    return found;
  }

  #fill(type: MessageType, schemas: readonly FieldSchema[]): void {
    const fields = schemas.map((schema) => {
      const field = new FieldType(schema);
      if (schema.kind === 'message') field.message = this.message(schema.type);
      if (schema.kind === 'enum') {
        field.enumType = this.#enums.get(schema.type) ?? null;
        if (field.enumType === null) throw new TypeError(`there is no enum ${schema.type}`);
      }
      type.byNumber.set(field.number, field);
      return field;
    });
    // The JSON name of one field wins over the name in the file of another.
    for (const field of fields) type.byName.set(field.jsonName, field);
    for (const field of fields) if (!type.byName.has(field.name)) type.byName.set(field.name, field);
    for (const field of fields)
      if (field.oneof !== null) field.rivals = fields.filter((other) => other !== field && other.oneof === field.oneof);
    type.fields = fields;
  }
}
