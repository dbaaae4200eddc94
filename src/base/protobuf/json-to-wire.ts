/**
 * JSON values to messages, by the rules of ProtoJSON (protobuf.dev/programming-guides/json). Integers of 64 bits are
 * exact: as text, or as a `bigint` if the JSON reader made one of a number that a double cannot hold. What
 * does not fit is reported with its JSON Pointer, all of it up to a limit; the message is then invalid.
 */
import type { FieldKind } from './schema.ts';
import { type FieldType, LENGTH_DELIMITED, type MessageType, type TypeSet, wireTypeOf } from './types.ts';
import { isWrapper, readDuration, readMask, readTimestamp } from './well-known.ts';
import { WireWriter } from './wire.ts';

export interface JsonProblem {
  /** JSON Pointer. */
  readonly path: string;
  /** What was there; undefined where it does not matter. */
  readonly value: unknown;
  readonly expected: string;
}

const MAX_PROBLEMS = 20;
const MAX_DEPTH = 100;
const MAX_FLOAT = 3.402_823_466_385_288_6e38;

export class JsonEncoder {
  readonly problems: JsonProblem[] = [];
  readonly #types: TypeSet;
  readonly #out = new WireWriter();
  readonly #path: (string | number)[] = [];

  constructor(types: TypeSet) {
    this.#types = types;
  }

  /** The message behind `room` bytes; null when there are `problems`, which the next call forgets. */
  encode(type: MessageType, value: unknown, room = 0): Buffer | null {
    this.problems.length = 0;
    this.#path.length = 0;
    this.#out.reset();
    this.#message(type, value);
    return this.problems.length === 0 ? this.#out.done(room) : null;
  }

  #message(type: MessageType, value: unknown): void {
    if (this.#path.length > MAX_DEPTH) this.#refuse(undefined, `at most ${MAX_DEPTH} levels of nesting`);
    else if (type.isWellKnown) this.#wellKnown(type, value);
    else this.#fields(type, value);
  }

  #fields(type: MessageType, value: unknown, left = ''): void {
    if (!isObject(value)) {
      this.#refuse(value, 'an object');
      return;
    }
    let chosen: Set<string> | null = null;
    for (const name of Object.keys(value)) {
      if (name === left) continue;
      const field = type.byName.get(name);
      this.#path.push(name);
      if (field === undefined) this.#refuse(undefined, `no such field in ${type.name}`);
      else {
        const inner = value[name];
        if (inner !== null || takesNull(field)) {
          // Both names of one field, or two fields of one oneof, would leave open which one holds.
          if (name !== field.jsonName && Object.hasOwn(value, field.jsonName))
            this.#refuse(undefined, `the field once: it is also there as ${field.jsonName}`);
          if (field.oneof !== null) {
            chosen ??= new Set();
            if (chosen.has(field.oneof)) this.#refuse(undefined, `one field of ${field.oneof}`);
            chosen.add(field.oneof);
          }
          this.#field(field, inner);
        }
      }
      this.#path.pop();
    }
  }

  #field(field: FieldType, value: unknown): void {
    if (field.mapKey !== null) this.#map(field, field.mapKey, value);
    else if (field.repeated) this.#list(field, value);
    else {
      this.#out.varint(field.tag);
      this.#value(field, field.kind, value);
    }
  }

  #list(field: FieldType, value: unknown): void {
    if (!Array.isArray(value)) {
      this.#refuse(value, 'a list');
      return;
    }
    if (value.length === 0) return;
    const start = field.packed && field.wireType !== LENGTH_DELIMITED ? this.#beginPacked(field) : -1;
    for (let i = 0; i < value.length; i++) {
      this.#path.push(i);
      if (start < 0) this.#out.varint(field.tag);
      if (value[i] === null && !takesNull(field)) this.#refuse(null, 'no null in a list');
      else this.#value(field, field.kind, value[i]);
      this.#path.pop();
    }
    if (start >= 0) this.#out.end(start);
  }

  #beginPacked(field: FieldType): number {
    this.#out.varint(field.number * 8 + LENGTH_DELIMITED);
    return this.#out.begin();
  }

  #map(field: FieldType, keyKind: FieldKind, value: unknown): void {
    if (!isObject(value)) {
      this.#refuse(value, 'an object');
      return;
    }
    for (const key of Object.keys(value)) {
      this.#path.push(key);
      this.#out.varint(field.tag);
      const start = this.#out.begin();
      this.#out.varint(8 + wireTypeOf(keyKind));
      this.#value(field, keyKind, keyKind === 'bool' && isBoolText(key) ? key === 'true' : key);
      this.#out.varint(16 + field.wireType);
      if (value[key] === null && !takesNull(field)) this.#refuse(null, 'no null in a map');
      else this.#value(field, field.kind, value[key]);
      this.#out.end(start);
      this.#path.pop();
    }
  }

  #value(field: FieldType, kind: FieldKind, value: unknown): void {
    const out = this.#out;
    switch (kind) {
      case 'string':
        if (typeof value === 'string') out.text(value);
        else this.#refuse(value, 'a string');
        return;
      case 'int32':
        this.#int32(value);
        return;
      case 'bool':
        if (typeof value === 'boolean') out.varint(value ? 1 : 0);
        else this.#refuse(value, 'true or false');
        return;
      case 'message': {
        const start = out.begin();
        this.#message(field.message!, value);
        out.end(start);
        return;
      }
      case 'enum':
        this.#enum(field, value);
        return;
      case 'uint32':
        out.varint(this.#integer(value, 0, 4_294_967_295));
        return;
      case 'sint32': {
        const number = this.#integer(value, -2_147_483_648, 2_147_483_647);
        out.varint(((number << 1) ^ (number >> 31)) >>> 0);
        return;
      }
      case 'fixed32':
        out.fixed32(this.#integer(value, 0, 4_294_967_295));
        return;
      case 'sfixed32':
        out.fixed32(this.#integer(value, -2_147_483_648, 2_147_483_647));
        return;
      case 'int64':
        this.#varint64(this.#long(value, true));
        return;
      case 'uint64':
        this.#varint64(this.#long(value, false));
        return;
      case 'sint64': {
        const number = BigInt(this.#long(value, true));
        out.varint64((number << 1n) ^ (number >> 63n));
        return;
      }
      case 'fixed64':
        out.fixed64(BigInt(this.#long(value, false)));
        return;
      case 'sfixed64':
        out.fixed64(BigInt(this.#long(value, true)));
        return;
      case 'double':
        out.double(this.#double(value, Number.MAX_VALUE));
        return;
      case 'float':
        out.float(this.#double(value, MAX_FLOAT));
        return;
      case 'bytes':
        this.#bytes(value);
        return;
    }
  }

  #int32(value: unknown): void {
    const number = this.#integer(value, -2_147_483_648, 2_147_483_647);
    if (number >= 0) this.#out.varint(number);
    else this.#out.varint64(BigInt(number));
  }

  /** A number or its text; 0 when it is none, which is reported. */
  #integer(value: unknown, least: number, most: number): number {
    const number =
      typeof value === 'number' ? value : typeof value === 'string' && INTEGER.test(value) ? Number(value) : Number.NaN;
    if (Number.isInteger(number) && number >= least && number <= most) return number;
    this.#refuse(value, `an integer from ${least} to ${most}`);
    return 0;
  }

  /** A number where that is exact, else a `bigint`. */
  #long(value: unknown, isSigned: boolean): number | bigint {
    if (typeof value === 'number' && Number.isSafeInteger(value) && (isSigned || value >= 0)) return value;
    const whole = longOf(value);
    if (whole !== null) {
      const least = isSigned ? -(1n << 63n) : 0n;
      const most = isSigned ? (1n << 63n) - 1n : (1n << 64n) - 1n;
      if (whole >= least && whole <= most) return whole;
    }
    this.#refuse(value, isSigned ? 'an integer of 64 bits, as text beyond 2^53' : 'an integer from 0 to 2^64-1');
    return 0;
  }

  #varint64(value: number | bigint): void {
    if (typeof value === 'number' && value >= 0) this.#out.varint(value);
    else this.#out.varint64(BigInt(value));
  }

  #double(value: unknown, most: number): number {
    if (value === 'NaN') return Number.NaN;
    if (value === 'Infinity') return Number.POSITIVE_INFINITY;
    if (value === '-Infinity') return Number.NEGATIVE_INFINITY;
    const isText = typeof value === 'string' && /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(value);
    const number = typeof value === 'number' ? value : isText || typeof value === 'bigint' ? Number(value) : Number.NaN;
    if (Number.isFinite(number) && Math.abs(number) <= most) return number;
    this.#refuse(value, 'a number');
    return 0;
  }

  #bytes(value: unknown): void {
    if (value instanceof Uint8Array) this.#out.blob(value);
    else if (typeof value === 'string' && BASE64.test(value)) this.#out.blob(Buffer.from(value, 'base64'));
    else this.#refuse(value, 'base64');
  }

  #enum(field: FieldType, value: unknown): void {
    const type = field.enumType!;
    const number =
      value === null
        ? 0
        : typeof value === 'string'
          ? type.byName.get(value)
          : typeof value === 'number'
            ? value
            : undefined;
    if (number !== undefined && Number.isInteger(number) && Math.abs(number) <= 2_147_483_648) {
      this.#int32(number);
      return;
    }
    const names = [...type.byName.keys()];
    this.#refuse(value, names.length > 8 ? `a name of ${type.name}` : `one of ${names.join(', ')}`);
  }

  // --- types that JSON writes in its own way ------------------------------------------------------------------------

  #wellKnown(type: MessageType, value: unknown): void {
    const { name } = type;
    if (isWrapper(name)) {
      const field = type.byNumber.get(1)!;
      this.#out.varint(field.tag);
      this.#value(field, field.kind, value);
      return;
    }
    switch (name) {
      case 'google.protobuf.Timestamp':
        this.#moment(
          typeof value === 'string' ? readTimestamp(value) : null,
          value,
          'a time such as 2026-01-31T12:00:00Z',
        );
        return;
      case 'google.protobuf.Duration':
        this.#moment(typeof value === 'string' ? readDuration(value) : null, value, 'a duration such as 1.5s');
        return;
      case 'google.protobuf.FieldMask': {
        const paths = typeof value === 'string' ? readMask(value) : null;
        if (paths === null) this.#refuse(value, 'names of fields, with commas between them');
        else
          for (const path of paths) {
            this.#out.varint(10);
            this.#out.text(path);
          }
        return;
      }
      case 'google.protobuf.Any':
        this.#any(value);
        return;
      case 'google.protobuf.Value':
        this.#anyValue(value);
        return;
      case 'google.protobuf.Struct':
        this.#struct(value);
        return;
      case 'google.protobuf.ListValue':
        this.#valueList(value);
        return;
      default:
        this.#fields(type, value);
    }
  }

  #moment(read: { readonly seconds: bigint; readonly nanos: number } | null, value: unknown, expected: string): void {
    if (read === null) {
      this.#refuse(value, expected);
      return;
    }
    this.#out.varint(8);
    this.#out.varint64(read.seconds);
    this.#out.varint(16);
    this.#out.varint64(BigInt(read.nanos));
  }

  #any(value: unknown): void {
    if (!isObject(value)) {
      this.#refuse(value, 'an object with @type');
      return;
    }
    const url = value['@type'];
    if (url === undefined && Object.keys(value).length === 0) return;
    const type = typeof url === 'string' ? this.#types.find(url.slice(url.lastIndexOf('/') + 1)) : undefined;
    if (typeof url !== 'string' || type === undefined) {
      this.#path.push('@type');
      this.#refuse(url, 'the URL of a known type, such as type.googleapis.com/google.protobuf.Duration');
      this.#path.pop();
      return;
    }
    this.#out.varint(10);
    this.#out.text(url);
    this.#out.varint(18);
    const start = this.#out.begin();
    if (type.isWellKnown && type.name !== 'google.protobuf.Empty') {
      this.#path.push('value');
      this.#message(type, value['value']);
      this.#path.pop();
    } else this.#fields(type, value, '@type');
    this.#out.end(start);
  }

  #anyValue(value: unknown): void {
    const out = this.#out;
    if (value === null) {
      out.varint(8);
      out.varint(0);
    } else if (typeof value === 'number' || typeof value === 'bigint') {
      out.varint(17);
      out.double(Number(value));
    } else if (typeof value === 'string') {
      out.varint(26);
      out.text(value);
    } else if (typeof value === 'boolean') {
      out.varint(32);
      out.varint(value ? 1 : 0);
    } else {
      out.varint(Array.isArray(value) ? 50 : 42);
      const start = out.begin();
      if (this.#path.length > MAX_DEPTH) this.#refuse(undefined, `at most ${MAX_DEPTH} levels of nesting`);
      else if (Array.isArray(value)) this.#valueList(value);
      else this.#struct(value);
      out.end(start);
    }
  }

  #struct(value: unknown): void {
    if (!isObject(value)) {
      this.#refuse(value, 'an object');
      return;
    }
    const out = this.#out;
    for (const key of Object.keys(value)) {
      out.varint(10);
      const entry = out.begin();
      out.varint(10);
      out.text(key);
      out.varint(18);
      const start = out.begin();
      this.#path.push(key);
      this.#anyValue(value[key]);
      this.#path.pop();
      out.end(start);
      out.end(entry);
    }
  }

  #valueList(value: unknown): void {
    if (!Array.isArray(value)) {
      this.#refuse(value, 'a list');
      return;
    }
    for (let i = 0; i < value.length; i++) {
      this.#out.varint(10);
      const start = this.#out.begin();
      this.#path.push(i);
      this.#anyValue(value[i]);
      this.#path.pop();
      this.#out.end(start);
    }
  }

  #refuse(value: unknown, expected: string): void {
    if (this.problems.length >= MAX_PROBLEMS) return;
    const shown = typeof value === 'bigint' ? `${value}` : value;
    this.problems.push({ path: pointer(this.#path), value: shown, expected });
  }
}

const INTEGER = /^-?\d+$/;
/** RFC 4648 §4 or §5, padded or not. */
const BASE64 = /^(?:[A-Za-z0-9+/_-]{4})*(?:[A-Za-z0-9+/_-]{2}(?:==)?|[A-Za-z0-9+/_-]{3}=?)?$/;

function pointer(path: readonly (string | number)[]): string {
  return path.map((step) => `/${`${step}`.slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

function longOf(value: unknown): bigint | null {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'string') return value.length <= 20 && INTEGER.test(value) ? BigInt(value) : null;
  // Such as 1e18: exact, though not a safe integer.
  return typeof value === 'number' && Number.isInteger(value) && Math.abs(value) < 2 ** 64 ? BigInt(value) : null;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function isBoolText(text: string): boolean {
  return text === 'true' || text === 'false';
}

/** Null is a value of its own there; elsewhere it means that the field is not given. */
function takesNull(field: FieldType): boolean {
  return (
    field.message?.name === 'google.protobuf.Value' ||
    (field.kind === 'enum' && field.enumType!.name === 'google.protobuf.NullValue')
  );
}
