/**
 * Messages to JSON values, by the rules of ProtoJSON: integers of 64 bits as text, bytes as base64, enums by name, the
 * types of google.protobuf in the forms that they have there. What is not known of a message is left out. Throws a
 * `WireFault` on bytes that are no message.
 */
import type { FieldKind } from './schema.ts';
import { type FieldType, LENGTH_DELIMITED, type MessageType, type TypeSet, wireTypeOf } from './types.ts';
import { durationText, isWrapper, maskText, timestampText } from './well-known.ts';
import { WireFault, WireReader } from './wire.ts';

export interface JsonStyle {
  /** Names as in the file in place of JSON names. Default false. */
  readonly fileNames?: boolean;
  /** Write fields without presence also where they have their default value. Default false. */
  readonly defaults?: boolean;
}

type Json = Record<string, unknown>;

const MAX_DEPTH = 100;

export class JsonDecoder {
  readonly #types: TypeSet;
  readonly #fileNames: boolean;
  readonly #defaults: boolean;
  readonly #in = new WireReader();
  #depth = 0;

  constructor(types: TypeSet, { fileNames = false, defaults = false }: JsonStyle = {}) {
    this.#types = types;
    this.#fileNames = fileNames;
    this.#defaults = defaults;
  }

  decode(type: MessageType, bytes: Buffer): unknown {
    this.#in.open(bytes);
    this.#depth = 0;
    return this.#message(type, undefined);
  }

  /** Reads to the end of the message; `before` is what the same field had before, which it adds to. */
  #message(type: MessageType, before: unknown): unknown {
    if (++this.#depth > MAX_DEPTH) throw new WireFault('nested too deep');
    const value = type.isWellKnown ? this.#wellKnown(type) : this.#fields(type, before as Json | undefined);
    this.#depth--;
    return value;
  }

  #fields(type: MessageType, before: Json | undefined): Json {
    const reader = this.#in;
    const json = before ?? this.#blank(type);
    while (reader.at < reader.end) {
      const tag = reader.varint();
      const field = type.byNumber.get(tag >>> 3);
      if (field === undefined || !this.#field(json, field, tag)) reader.skip(tag);
    }
    return json;
  }

  /** Where defaults are written they are there from the start, in the order of the file. */
  #blank(type: MessageType): Json {
    const json: Json = {};
    if (!this.#defaults) return json;
    for (const field of type.fields) {
      if (field.mapKey !== null) json[this.#nameOf(field)] = {};
      else if (field.repeated) json[this.#nameOf(field)] = [];
      else if (!field.hasPresence) json[this.#nameOf(field)] = defaultOf(field);
    }
    return json;
  }

  #nameOf(field: FieldType): string {
    return this.#fileNames ? field.name : field.jsonName;
  }

  /** False: the wire type is not that of the field, which then counts as unknown. */
  #field(json: Json, field: FieldType, tag: number): boolean {
    const name = this.#nameOf(field);
    const wireType = tag & 7;
    if (field.mapKey !== null) {
      if (wireType !== LENGTH_DELIMITED) return false;
      json[name] ??= {};
      this.#entry(json[name] as Json, field, field.mapKey);
      return true;
    }
    const own = field.wireType;
    if (field.repeated) {
      const isPacked = wireType === LENGTH_DELIMITED && own !== LENGTH_DELIMITED;
      if (!isPacked && wireType !== own) return false;
      json[name] ??= [];
      const list = json[name] as unknown[];
      if (isPacked) this.#packed(list, field);
      else list.push(this.#value(field, field.kind, undefined));
      return true;
    }
    if (wireType !== own) return false;
    for (const rival of field.rivals) delete json[this.#nameOf(rival)];
    const value = this.#value(field, field.kind, json[name]);
    // Without presence the default is as good as nothing.
    if (field.hasPresence || this.#defaults || value !== defaultOf(field)) json[name] = value;
    else delete json[name];
    return true;
  }

  #packed(list: unknown[], field: FieldType): void {
    const reader = this.#in;
    const { end } = reader;
    reader.end = reader.lengthEnd();
    while (reader.at < reader.end) list.push(this.#value(field, field.kind, undefined));
    reader.end = end;
  }

  #entry(map: Json, field: FieldType, keyKind: FieldKind): void {
    const reader = this.#in;
    const { end } = reader;
    reader.end = reader.lengthEnd();
    let key: unknown;
    let value: unknown;
    while (reader.at < reader.end) {
      const tag = reader.varint();
      if (tag >>> 3 === 1 && (tag & 7) === wireTypeOf(keyKind)) key = this.#value(field, keyKind, undefined);
      else if (tag >>> 3 === 2 && (tag & 7) === field.wireType) value = this.#value(field, field.kind, undefined);
      else reader.skip(tag);
    }
    reader.end = end;
    key ??= keyKind === 'string' ? '' : keyKind === 'bool' ? false : 0;
    if (value === undefined) value = field.kind === 'message' ? this.#emptyOf(field.message!) : defaultOf(field);
    put(map, `${key as string}`, value);
  }

  #emptyOf(type: MessageType): unknown {
    const reader = this.#in;
    const { at, end } = reader;
    reader.end = at;
    const value = this.#message(type, undefined);
    reader.end = end;
    return value;
  }

  #value(field: FieldType, kind: FieldKind, before: unknown): unknown {
    const reader = this.#in;
    switch (kind) {
      case 'string':
        return reader.text();
      case 'int32':
        return reader.varint() | 0;
      case 'bool':
        reader.varint64();
        return reader.low !== 0 || reader.high !== 0;
      case 'message': {
        const { end } = reader;
        reader.end = reader.lengthEnd();
        const value = this.#message(field.message!, before);
        reader.end = end;
        return value;
      }
      case 'enum': {
        const number = reader.varint() | 0;
        const { name, byNumber } = field.enumType!;
        return name === 'google.protobuf.NullValue' ? null : (byNumber.get(number) ?? number);
      }
      case 'int64':
        reader.varint64();
        return reader.signedText();
      case 'uint64':
        reader.varint64();
        return reader.unsignedText();
      case 'sint64':
        reader.varint64();
        return reader.zigzagText();
      case 'fixed64':
        reader.fixed64();
        return reader.unsignedText();
      case 'sfixed64':
        reader.fixed64();
        return reader.signedText();
      case 'uint32':
        return reader.varint();
      case 'sint32': {
        const number = reader.varint();
        return (number >>> 1) ^ -(number & 1);
      }
      case 'fixed32':
        return reader.fixed32();
      case 'sfixed32':
        return reader.fixed32() | 0;
      case 'double':
        return numberOf(reader.double());
      case 'float':
        return numberOf(shortestFloat(reader.float()));
      case 'bytes':
        return reader.blob().toString('base64');
    }
  }

  // --- types that JSON writes in its own way ------------------------------------------------------------------------

  #wellKnown(type: MessageType): unknown {
    const { name } = type;
    if (isWrapper(name)) {
      const field = type.byNumber.get(1)!;
      let value = defaultOf(field);
      this.#each((tag) => {
        if (tag !== field.tag) return false;
        value = this.#value(field, field.kind, undefined);
        return true;
      });
      return value;
    }
    switch (name) {
      case 'google.protobuf.Timestamp':
        return this.#moment(timestampText, 'a time');
      case 'google.protobuf.Duration':
        return this.#moment(durationText, 'a duration');
      case 'google.protobuf.FieldMask': {
        const paths: string[] = [];
        this.#each((tag) => {
          if (tag !== 10) return false;
          paths.push(this.#in.text());
          return true;
        });
        return maskText(paths);
      }
      case 'google.protobuf.Any':
        return this.#any();
      case 'google.protobuf.Value':
        return this.#anyValue();
      case 'google.protobuf.Struct':
        return this.#struct();
      case 'google.protobuf.ListValue': {
        const list: unknown[] = [];
        this.#each((tag) => {
          if (tag !== 10) return false;
          list.push(this.#nested(() => this.#anyValue()));
          return true;
        });
        return list;
      }
      default:
        return this.#fields(type, undefined);
    }
  }

  /** `read`: takes the value of this tag, or says no. */
  #each(read: (tag: number) => boolean): void {
    const reader = this.#in;
    while (reader.at < reader.end) {
      const tag = reader.varint();
      if (!read(tag)) reader.skip(tag);
    }
  }

  #nested<T>(read: () => T): T {
    if (++this.#depth > MAX_DEPTH) throw new WireFault('nested too deep');
    const reader = this.#in;
    const { end } = reader;
    reader.end = reader.lengthEnd();
    const value = read();
    reader.end = end;
    this.#depth--;
    return value;
  }

  #moment(text: (seconds: bigint, nanos: number) => string | null, what: string): string {
    let seconds = 0n;
    let nanos = 0;
    this.#each((tag) => {
      if (tag === 8) {
        this.#in.varint64();
        seconds = BigInt(this.#in.signedText());
      } else if (tag === 16) nanos = this.#in.varint() | 0;
      else return false;
      return true;
    });
    const written = text(seconds, nanos);
    if (written === null) throw new WireFault(`${what} out of range`);
    return written;
  }

  #any(): unknown {
    let url = '';
    let bytes: Buffer = Buffer.alloc(0);
    this.#each((tag) => {
      if (tag === 10) url = this.#in.text();
      else if (tag === 18) bytes = this.#in.blob();
      else return false;
      return true;
    });
    if (url === '') return {};
    const type = this.#types.find(url.slice(url.lastIndexOf('/') + 1));
    // ProtoJSON has no form for an unknown type; its bytes are better than no response.
    if (type === undefined) return { '@type': url, value: bytes.toString('base64') };
    const { bytes: around, at, end } = this.#in;
    this.#in.open(bytes);
    const value = this.#message(type, undefined);
    this.#in.open(around, at, end);
    if (type.isWellKnown && type.name !== 'google.protobuf.Empty') return { '@type': url, value };
    return { '@type': url, ...(value as Json) };
  }

  #anyValue(): unknown {
    let value: unknown = null;
    this.#each((tag) => {
      const reader = this.#in;
      if (tag === 8) {
        reader.varint();
        value = null;
      } else if (tag === 17) {
        value = reader.double();
        if (!Number.isFinite(value)) throw new WireFault('a Value is no finite number');
      } else if (tag === 26) value = reader.text();
      else if (tag === 32) value = reader.varint() !== 0;
      else if (tag === 42) value = this.#nested(() => this.#struct());
      else if (tag === 50) value = this.#nested(() => this.#wellKnown(LIST));
      else return false;
      return true;
    });
    return value;
  }

  #struct(): Json {
    const json: Json = {};
    this.#each((tag) => {
      if (tag !== 10) return false;
      let key = '';
      let value: unknown = null;
      this.#nested(() =>
        this.#each((inner) => {
          if (inner === 10) key = this.#in.text();
          else if (inner === 18) value = this.#nested(() => this.#anyValue());
          else return false;
          return true;
        }),
      );
      put(json, key, value);
      return true;
    });
    return json;
  }
}

/** All that reading a list looks at is its name. */
const LIST = { name: 'google.protobuf.ListValue' } as MessageType;

/** A key of a map may be any text, also one that means something to JavaScript. */
function put(json: Json, key: string, value: unknown): void {
  if (key === '__proto__')
    Object.defineProperty(json, key, { value, enumerable: true, configurable: true, writable: true });
  else json[key] = value;
}

function defaultOf(field: FieldType): unknown {
  switch (field.kind) {
    case 'string':
    case 'bytes':
      return '';
    case 'bool':
      return false;
    case 'int64':
    case 'uint64':
    case 'sint64':
    case 'fixed64':
    case 'sfixed64':
      return '0';
    case 'enum':
      return field.enumType!.name === 'google.protobuf.NullValue' ? null : (field.enumType!.byNumber.get(0) ?? 0);
    case 'message':
      return undefined;
    default:
      return 0;
  }
}

function numberOf(value: number): number | string {
  return Number.isFinite(value) ? value : Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
}

/** The shortest number that is the same float: 0.1 and not 0.10000000149011612. */
function shortestFloat(value: number): number {
  if (!Number.isFinite(value) || Number.isInteger(value)) return value;
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return Number(value.toPrecision(9));
}
