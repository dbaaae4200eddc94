/**
 * Spans on their way to a collector, as the bytes of OTLP (opentelemetry/proto/trace/v1/trace.proto): each span is
 * written once, and a batch is what stands around them all, a resource and a scope, put in front. Objects of spans
 * would cost several times what an exchange does.
 */
import { WireWriter } from '../../base/protobuf/wire.ts';

/** Field numbers with their wire types: 0 varint, 1 eight bytes, 2 with a length, 5 four bytes. */
export const tag = (field: number, wireType: 0 | 1 | 2 | 5): number => field * 8 + wireType;

const RESOURCE_SPANS = tag(1, 2);
const RESOURCE = tag(1, 2);
const SCOPE_SPANS = tag(2, 2);
const SCHEMA_URL = tag(3, 2);
const SCOPE = tag(1, 2);
const SCOPE_NAME = tag(1, 2);
const SCOPE_VERSION = tag(2, 2);
const RESOURCE_ATTRIBUTE = tag(1, 2);
const KEY = tag(1, 2);
const VALUE = tag(2, 2);
const TEXT = tag(1, 2);
const TRUTH = tag(2, 0);
const WHOLE = tag(3, 0);
const DOUBLE = tag(4, 1);

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

export interface SpanBatch {
  /** Whole `ScopeSpans.spans` fields. */
  readonly bytes: Buffer;
  readonly spans: number;
}

/** Who sends, and in whose words: the same for all batches of a configuration. */
export class BatchEnvelope {
  readonly #resource: Buffer;
  readonly #scope: Buffer;
  readonly #schema: Buffer;

  constructor(
    attributes: Readonly<Record<string, AttributeValue>>,
    scope: { readonly name: string; readonly version: string },
    schemaUrl: string,
  ) {
    const out = new WireWriter();
    out.varint(RESOURCE);
    const resource = out.begin();
    for (const [key, value] of Object.entries(attributes)) writeAttribute(out, RESOURCE_ATTRIBUTE, key, value);
    out.end(resource);
    this.#resource = out.done();
    out.reset();
    out.varint(SCOPE);
    const inner = out.begin();
    out.varint(SCOPE_NAME);
    out.text(scope.name);
    out.varint(SCOPE_VERSION);
    out.text(scope.version);
    out.end(inner);
    this.#scope = out.done();
    out.reset();
    out.varint(SCHEMA_URL);
    out.text(schemaUrl);
    this.#schema = out.done();
  }

  /** An `ExportTraceServiceRequest`. */
  around({ bytes }: SpanBatch): Buffer {
    const scopeSpans = this.#scope.length + bytes.length + this.#schema.length;
    const scopeHead = head(SCOPE_SPANS, scopeSpans);
    const resourceSpans = this.#resource.length + scopeHead.length + scopeSpans + this.#schema.length;
    const outerHead = head(RESOURCE_SPANS, resourceSpans);
    return Buffer.concat([outerHead, this.#resource, scopeHead, this.#scope, bytes, this.#schema, this.#schema]);
  }
}

function head(field: number, length: number): Buffer {
  const out = new WireWriter(16);
  out.varint(field);
  out.varint(length);
  return out.done();
}
