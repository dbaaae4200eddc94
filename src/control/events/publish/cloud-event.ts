/**
 * A request's body to events: CloudEvents 1.0 in structured mode (`application/cloudevents+json`), batched mode
 * (`application/cloudevents-batch+json`) or binary mode (`ce-*` fields), or anything else as raw data with the
 * attributes that the route gives. What is no CloudEvent though it says it is one is refused with the attribute that is
 * wrong.
 */
import { isUtf8 } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { isJsonType } from '../event-json.ts';
import { invalid, type Refusal } from '../http.ts';

/** Fields of a request, by names in lower case. */
export type Fields = Readonly<Record<string, string | undefined>>;

export interface EventParts {
  readonly id: string;
  readonly contentType: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly data: Uint8Array;
}

/** As it was read. */
interface ReadParts extends EventParts {
  /** Its data was written as JSON here: it need not be read again to know. */
  readonly isJson?: boolean;
}

export interface EventDefaults {
  readonly body: 'any' | 'json' | 'cloudevent';
  readonly type: string;
  readonly source: string;
  readonly nowMs: number;
}

const STRUCTURED = /^application\/cloudevents\+json\s*(;|$)/i;
const BATCH = /^application\/cloudevents-batch\+json\s*(;|$)/i;
const OTHER_FORMAT = /^application\/cloudevents(-batch)?(\+|\s*;|$)/i;
/** Of one request. Their bytes are bounded by the route's `maxSize`. */
const MAX_BATCH = 1_000;
/** CloudEvents 1.0 §3: attribute names are lower-case letters and digits. */
const ATTRIBUTE_NAME = /^[a-z0-9]{1,20}$/;
const MAX_ATTRIBUTES = 30;
const MAX_ATTRIBUTE_LENGTH = 2_000;
/** The subject is the route's to give: a filter that a publisher could write would decide who reads what. */
const NOT_ATTRIBUTES: ReadonlySet<string> = new Set([
  'specversion',
  'id',
  'subject',
  'datacontenttype',
  'data',
  'data_base64',
]);

/** A request with several events (CloudEvents HTTP binding §3.3). */
export function isBatch(headers: Fields): boolean {
  return BATCH.test(headers['content-type'] ?? '');
}

export function readEvent(headers: Fields, body: Buffer, defaults: EventDefaults): EventParts | Refusal {
  const contentType = headers['content-type'] ?? 'application/octet-stream';
  if (STRUCTURED.test(contentType)) {
    const written = parsed(body);
    return written === undefined
      ? invalid(422, 'body', '', 'a CloudEvent as JSON')
      : completed(structured(written), headers, defaults);
  }
  if (OTHER_FORMAT.test(contentType)) {
    const message = 'CloudEvents are taken as JSON: application/cloudevents+json or application/cloudevents-batch+json';
    return { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE', message };
  }
  const parts =
    headers['ce-specversion'] !== undefined
      ? binary(headers, contentType, body)
      : defaults.body === 'cloudevent'
        ? invalid(422, 'content-type', contentType, 'application/cloudevents+json, or ce-* fields')
        : { id: '', contentType, attributes: {}, data: body };
  return completed(parts, headers, defaults);
}

/** All of them, or what is wrong with the first that cannot be one. */
export function readBatch(headers: Fields, body: Buffer, defaults: EventDefaults): readonly EventParts[] | Refusal {
  const written = parsed(body);
  if (!Array.isArray(written)) return invalid(422, 'body', '', 'a JSON array of CloudEvents');
  if (written.length > MAX_BATCH) return invalid(422, 'body', String(written.length), `at most ${MAX_BATCH} events`);
  const events: EventParts[] = [];
  for (const [index, event] of written.entries()) {
    const parts = completed(structured(event), headers, defaults);
    if ('status' in parts) return placed(parts, index);
    events.push(parts);
  }
  return events;
}

/** Says which event of a batch it is about. */
function placed({ fields = [], ...refusal }: Refusal, index: number): Refusal {
  const message = `event ${index} of the batch: ${refusal.message}`;
  return { ...refusal, message, fields: fields.map((each) => ({ ...each, field: `[${index}].${each.field}` })) };
}

/** With what the route gives to an event that does not bring it. */
function completed(parts: ReadParts | Refusal, headers: Fields, defaults: EventDefaults): EventParts | Refusal {
  if ('status' in parts) return parts;
  const { id, data, attributes } = parts;
  const wantsJson = defaults.body === 'json' || (isJsonType(parts.contentType) && parts.data.byteLength > 0);
  if (wantsJson && parts.isJson !== true && !isJson(data)) return invalid(422, 'body', '', 'valid JSON in UTF-8');
  const contentOf = defaults.body === 'json' && !isJsonType(parts.contentType) ? 'application/json' : parts.contentType;
  return {
    id: id === '' ? randomUUID() : id,
    contentType: contentOf,
    data,
    attributes: {
      source: defaults.source,
      type: defaults.type,
      time: attributes['time'] ?? timeText(defaults.nowMs),
      ...traceOf(headers),
      ...decidedBy(headers, attributes),
    },
  };
}

/** Of the millisecond before: all events of a batch have the same. */
let lastMs = Number.NaN;
let lastText = '';

function timeText(nowMs: number): string {
  if (nowMs !== lastMs) {
    lastMs = nowMs;
    lastText = new Date(nowMs).toISOString();
  }
  return lastText;
}

/**
 * An event that brings a trace of its own keeps it, but whether that is sampled is decided as for the request:
 * deliveries follow the flag, and strangers could have all of them recorded.
 */
function decidedBy(headers: Fields, attributes: EventParts['attributes']): EventParts['attributes'] {
  const { traceparent: own } = attributes;
  const { traceparent: ofRequest } = traceOf(headers);
  if (own === undefined || ofRequest === undefined || !TRACEPARENT.test(own)) return attributes;
  return { ...attributes, traceparent: own.slice(0, FLAGS_AT) + ofRequest.slice(FLAGS_AT) };
}

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;
const FLAGS_AT = 53;

/** CloudEvents extension for distributed tracing, so that who handles the event joins the publisher's trace. */
function traceOf(headers: Fields): Record<string, string> {
  const { traceparent, tracestate } = headers;
  if (typeof traceparent !== 'string' || !TRACEPARENT.test(traceparent)) {
    return {};
  }
  return { traceparent, ...(typeof tracestate === 'string' && tracestate.length <= 512 ? { tracestate } : {}) };
}

/** Undefined for what is no JSON in UTF-8. */
function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(utf8(body) ?? '');
  } catch {
    return undefined;
  }
}

function structured(written: unknown): ReadParts | Refusal {
  if (typeof written !== 'object' || written === null || Array.isArray(written)) {
    return invalid(422, 'body', '', 'a CloudEvent as a JSON object');
  }
  const event = written as Readonly<Record<string, unknown>>;
  const attributes: Record<string, string> = {};
  for (const [name, value] of Object.entries(event)) {
    if (NOT_ATTRIBUTES.has(name)) continue;
    const problem = addAttribute(attributes, name, value);
    if (problem !== undefined) return problem;
  }
  const { data, data_base64: base64 } = event;
  if (data !== undefined && base64 !== undefined) {
    return invalid(422, 'data_base64', '', 'data or data_base64, not both');
  }
  if (base64 !== undefined && (typeof base64 !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64))) {
    return invalid(422, 'data_base64', '', 'base64');
  }
  const written_type = event['datacontenttype'];
  const contentType = typeof written_type === 'string' && written_type !== '' ? written_type : 'application/json';
  if (!/^[\x20-\x7e]{1,200}$/.test(contentType)) return invalid(422, 'datacontenttype', contentType, 'a media type');
  const bytes = base64 === undefined ? bytesOf(data, contentType) : Buffer.from(base64 as string, 'base64');
  if (bytes === null) return invalid(422, 'data', '', 'JSON that is not nested as deep');
  const id = event['id'];
  const isJson = data !== undefined && isJsonType(contentType);
  const parts = { id: typeof id === 'string' ? id : '', contentType, attributes, data: bytes, isJson };
  return checked(parts, event['specversion']);
}

/** Null: nested so deep that it cannot be written again. */
function bytesOf(data: unknown, contentType: string): Buffer | null {
  if (data === undefined) return Buffer.alloc(0);
  if (typeof data === 'string' && !isJsonType(contentType)) return Buffer.from(data);
  try {
    return Buffer.from(JSON.stringify(data));
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

function binary(headers: Fields, contentType: string, body: Buffer): EventParts | Refusal {
  const attributes: Record<string, string> = {};
  let id = '';
  for (const [field, value] of Object.entries(headers)) {
    if (!field.startsWith('ce-')) continue;
    const name = field.slice(3);
    const text = decodeField(String(value));
    if (text === null) return invalid(422, field, String(value), 'percent-encoded UTF-8');
    if (name === 'id') id = text;
    if (NOT_ATTRIBUTES.has(name)) continue;
    const problem = addAttribute(attributes, name, text);
    if (problem !== undefined) return problem;
  }
  return checked({ id, contentType, attributes, data: body }, headers['ce-specversion']);
}

/** CloudEvents HTTP binding §3.1.3.2. */
function decodeField(value: string): string | null {
  try {
    return decodeURIComponent(value);
  } catch {
    return null;
  }
}

function addAttribute(attributes: Record<string, string>, name: string, value: unknown): Refusal | undefined {
  if (!ATTRIBUTE_NAME.test(name)) return invalid(422, name, '', 'an attribute name of lower-case letters and digits');
  if (value === null) return undefined;
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
    return invalid(422, name, '', 'a text, a number or a boolean');
  }
  const text = String(value);
  if (text.length > MAX_ATTRIBUTE_LENGTH) return invalid(422, name, '', `at most ${MAX_ATTRIBUTE_LENGTH} characters`);
  if (Object.keys(attributes).length >= MAX_ATTRIBUTES) {
    return invalid(422, name, '', `at most ${MAX_ATTRIBUTES} attributes`);
  }
  attributes[name] = text;
  return undefined;
}

/** CloudEvents 1.0 §3.1: the attributes that every event has. */
function checked(parts: ReadParts, version: unknown): ReadParts | Refusal {
  if (version !== '1.0') return invalid(422, 'specversion', String(version ?? ''), '1.0');
  if (parts.id === '' || parts.id.length > 500) return invalid(422, 'id', parts.id, 'a text of 1 to 500 characters');
  for (const name of ['source', 'type']) {
    if ((parts.attributes[name] ?? '') === '') return invalid(422, name, '', 'a text that is not empty');
  }
  const { time } = parts.attributes;
  if (time !== undefined && (!/^\d{4}-\d\d-\d\dT/.test(time) || Number.isNaN(Date.parse(time)))) {
    return invalid(422, 'time', time, 'a time of RFC 3339');
  }
  return parts;
}

function isJson(data: Uint8Array): boolean {
  return parsed(data) !== undefined;
}

/** Null for bytes that are not UTF-8. */
function utf8(data: Uint8Array): string | null {
  return isUtf8(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8') : null;
}
