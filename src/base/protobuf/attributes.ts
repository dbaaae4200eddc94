/** Attributes as the messages of OpenTelemetry have them (opentelemetry/proto/common/v1/common.proto, `KeyValue`). */
import type { WireWriter } from './wire.ts';

/** Field numbers with their wire types: 0 varint, 1 eight bytes, 2 with a length, 5 four bytes. */
export const tag = (field: number, wireType: 0 | 1 | 2 | 5): number => field * 8 + wireType;

export const KEY: number = tag(1, 2);
export const VALUE: number = tag(2, 2);
/** Of `AnyValue`. */
export const TEXT: number = tag(1, 2);
const TRUTH = tag(2, 0);
export const WHOLE: number = tag(3, 0);
export const DOUBLE: number = tag(4, 1);

export type AttributeValue = string | number | boolean;

/** A `KeyValue` in the field `field` of whatever is being written. */
export function writeAttribute(out: WireWriter, field: number, key: string, value: AttributeValue): void {
  out.varint(field);
  const pair = out.begin();
  out.varint(KEY);
  out.text(key);
  out.varint(VALUE);
  const inner = out.begin();
  if (typeof value === 'string') {
    out.varint(TEXT);
    out.text(value);
  } else if (typeof value === 'boolean') {
    out.varint(TRUTH);
    out.varint(value ? 1 : 0);
  } else if (Number.isSafeInteger(value) && value >= 0) {
    out.varint(WHOLE);
    out.varint(value);
  } else {
    out.varint(DOUBLE);
    out.double(value);
  }
  out.end(inner);
  out.end(pair);
}
