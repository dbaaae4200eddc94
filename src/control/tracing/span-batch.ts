/**
 * Spans on their way to a collector, as the bytes of OTLP (opentelemetry/proto/trace/v1/trace.proto): workers have
 * written them (data/trace/span-writer.ts), and a batch is what stands around them all, a resource and a scope. The
 * memory of a batch is used again: fresh memory for each costs as much as sending it.
 */
import { type AttributeValue, tag, writeAttribute } from '../../base/protobuf/attributes.ts';
import { WireWriter } from '../../base/protobuf/wire.ts';
import { PAGE_HEAD_BYTES, PAGE_TAIL_BYTES } from '../../data/contract/tracing.ts';

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
/** Of the spans alone, which are less than 256 MB. */
const LENGTH_BYTES = 4;

/** Who sends, and in whose words: the same for all batches of a configuration. */
export class BatchEnvelope {
  /** What stands in front of the spans; the two lengths in it are written into each batch. */
  readonly head: Buffer;
  readonly tail: Buffer;
  readonly #outerAt: number;
  readonly #innerAt: number;
  readonly #schemaBytes: number;

  constructor(
    attributes: Readonly<Record<string, AttributeValue>>,
    scope: { readonly name: string; readonly version: string },
    schemaUrl: string,
  ) {
    const out = new WireWriter();
    const room = Buffer.alloc(LENGTH_BYTES);
    out.varint(RESOURCE_SPANS);
    this.#outerAt = out.length;
    out.raw(room);
    out.varint(RESOURCE);
    const resource = out.begin();
    for (const [key, value] of Object.entries(attributes)) writeAttribute(out, RESOURCE_ATTRIBUTE, key, value);
    out.end(resource);
    out.varint(SCOPE_SPANS);
    this.#innerAt = out.length;
    out.raw(room);
    out.varint(SCOPE);
    const inner = out.begin();
    out.varint(SCOPE_NAME);
    out.text(scope.name);
    out.varint(SCOPE_VERSION);
    out.text(scope.version);
    out.end(inner);
    this.head = out.done();
    out.reset();
    out.varint(SCHEMA);
    out.text(schemaUrl);
    this.#schemaBytes = out.length;
    // Of the scope, then of the resource.
    this.tail = Buffer.concat([out.done(), out.done()]);
  }

  /** Puts what stands around spans into the memory around them, `memory[at, at + length)`; null: there is no room. */
  around(memory: Buffer, at: number, length: number): Buffer | null {
    const { head, tail } = this;
    if (head.length > PAGE_HEAD_BYTES || tail.length > PAGE_TAIL_BYTES) return null;
    const message = memory.subarray(at - head.length, at + length + tail.length);
    message.set(head);
    message.set(tail, head.length + length);
    this.writeLengths(message, message.length);
    return message;
  }

  /** Writes the lengths of a whole message, which ends at `end`. */
  writeLengths(message: Buffer, end: number): void {
    writeLength(message, this.#outerAt, end - this.#outerAt - LENGTH_BYTES);
    writeLength(message, this.#innerAt, end - this.#innerAt - LENGTH_BYTES - this.#schemaBytes);
  }
}

/** A varint that always takes as much room, which every reader of varints takes. */
function writeLength(bytes: Buffer, at: number, length: number): void {
  for (let i = 0; i < LENGTH_BYTES; i++)
    bytes[at + i] = ((length >>> (7 * i)) & 0x7f) | (i < LENGTH_BYTES - 1 ? 0x80 : 0);
}

/** One `ExportTraceServiceRequest`, as it is sent. */
export interface ExportedSpans {
  readonly spans: number;
  readonly message: Buffer;
}

/** One that is gathered from several pages, in memory of its own. */
export class SpanBatch implements ExportedSpans {
  spans = 0;
  readonly #envelope: BatchEnvelope;
  readonly #memory: Buffer;
  #at: number;

  /** `room`: bytes of spans. */
  constructor(envelope: BatchEnvelope, room: number) {
    this.#envelope = envelope;
    this.#memory = Buffer.allocUnsafeSlow(envelope.head.length + room + envelope.tail.length);
    envelope.head.copy(this.#memory);
    this.#at = envelope.head.length;
  }

  /** Bytes of spans that there still is room for. */
  get room(): number {
    return this.#memory.length - this.#at - this.#envelope.tail.length;
  }

  /** Copies whole `ScopeSpans.spans` fields. */
  add(bytes: Uint8Array, spans: number): void {
    this.#memory.set(bytes, this.#at);
    this.#at += bytes.length;
    this.spans += spans;
  }

  /** The message; more may be added afterwards. */
  get message(): Buffer {
    const { tail } = this.#envelope;
    const end = this.#at + tail.length;
    tail.copy(this.#memory, this.#at);
    this.#envelope.writeLengths(this.#memory, end);
    return this.#memory.subarray(0, end);
  }

  /** Another one in the same memory. */
  clear(): void {
    this.spans = 0;
    this.#at = this.#envelope.head.length;
  }
}
