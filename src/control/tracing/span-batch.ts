/**
 * Spans on their way to a collector, as the bytes of OTLP (opentelemetry/proto/trace/v1/trace.proto): workers have
 * written them (data/trace/span-writer.ts), and a batch is what stands around them all, a resource and a scope.
 */
import { type AttributeValue, tag, writeAttribute } from '../../base/protobuf/attributes.ts';
import { WireWriter } from '../../base/protobuf/wire.ts';

const RESOURCE_SPANS = tag(1, 2);
const RESOURCE = tag(1, 2);
const SCOPE_SPANS = tag(2, 2);
const SCHEMA = tag(3, 2);
const SCOPE = tag(1, 2);
const SCOPE_NAME = tag(1, 2);
const SCOPE_VERSION = tag(2, 2);
const RESOURCE_ATTRIBUTE = tag(1, 2);

/** Version of the semantic conventions that names of attributes are of. */
export const SCHEMA_URL = 'https://opentelemetry.io/schemas/1.45.0';

export interface SpanBatch {
  /** Whole `ScopeSpans.spans` fields, all together `length` bytes. */
  readonly pages: readonly Buffer[];
  readonly length: number;
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
    out.varint(SCHEMA);
    out.text(schemaUrl);
    this.#schema = out.done();
  }

  /** An `ExportTraceServiceRequest`. */
  around({ pages, length }: SpanBatch): Buffer {
    const scopeSpans = this.#scope.length + length + this.#schema.length;
    const scopeHead = head(SCOPE_SPANS, scopeSpans);
    const resourceSpans = this.#resource.length + scopeHead.length + scopeSpans + this.#schema.length;
    const outerHead = head(RESOURCE_SPANS, resourceSpans);
    return Buffer.concat([outerHead, this.#resource, scopeHead, this.#scope, ...pages, this.#schema, this.#schema]);
  }
}

function head(field: number, length: number): Buffer {
  const out = new WireWriter(16);
  out.varint(field);
  out.varint(length);
  return out.done();
}
