/**
 * One event as a request to a service: CloudEvents over HTTP in structured or binary mode, signed as Standard Webhooks
 * say (https://www.standardwebhooks.com, symmetric `v1`): HMAC-SHA256 of `id.timestamp.body` with each secret.
 */
import { createHmac } from 'node:crypto';
import type { NewEvent } from '../engines/engine.ts';
import { eventJson } from '../event-json.ts';
import type { ConsumerSettings } from './options.ts';

export interface DeliveryRequest {
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
}

type Settings = Pick<ConsumerSettings, 'format' | 'headers' | 'secrets'>;

export function deliveryRequest(event: NewEvent, settings: Settings, nowMs: number): DeliveryRequest {
  const fields: [string, string][] = settings.headers.map(([name, value]) => [name, value]);
  let body: Uint8Array;
  if (settings.format === 'cloudevent') {
    body = Buffer.from(eventJson(event));
    fields.push(['content-type', 'application/cloudevents+json; charset=utf-8']);
  } else {
    body = event.data;
    fields.push(['content-type', event.contentType], ['ce-specversion', '1.0']);
    fields.push(['ce-id', encodeField(event.id)], ['ce-subject', encodeField(event.subject)]);
    for (const [name, value] of Object.entries(event.attributes)) fields.push([`ce-${name}`, encodeField(value)]);
  }
  const { traceparent, tracestate } = event.attributes;
  if (traceparent !== undefined) fields.push(['traceparent', traceparent]);
  if (traceparent !== undefined && tracestate !== undefined) fields.push(['tracestate', encodeField(tracestate)]);
  const id = encodeField(event.id);
  const timestamp = String(Math.floor(nowMs / 1_000));
  fields.push(['webhook-id', id], ['webhook-timestamp', timestamp]);
  if (settings.secrets.length > 0) {
    fields.push(['webhook-signature', settings.secrets.map((key) => sign(key, id, timestamp, body)).join(' ')]);
  }
  return { fields, body };
}

function sign(secret: string, id: string, timestamp: string, body: Uint8Array): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64')}`;
}

/** CloudEvents HTTP binding §3.1.3.2: blanks, `"`, `%` and what is not printable ASCII become `%XX`. */
export function encodeField(text: string): string {
  if (/^[!#$&-~]*$/.test(text)) return text;
  let encoded = '';
  for (const byte of Buffer.from(text, 'utf8')) {
    const isPlain = byte > 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x25;
    encoded += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

export type Verdict =
  | { readonly kind: 'delivered' }
  /** No instance got it: says nothing about the event. */
  | { readonly kind: 'unsent'; readonly problem: string }
  | { readonly kind: 'again'; readonly problem: string; readonly afterMs: number }
  | { readonly kind: 'refused'; readonly problem: string };

/** Statuses of requests that may succeed later (RFC 9110 §15.5.9, RFC 8470 §5.2, RFC 6585 §4). */
const LATER: ReadonlySet<number> = new Set([408, 409, 425, 429]);
const LONGEST_RETRY_AFTER_MS = 3_600_000;

/**
 * What a response means for the event: 2xx is delivered, 5xx is tried again, any other 3xx or 4xx will not get better.
 */
export function verdictOf(status: number, retryAfter: string | null, body: Uint8Array, nowMs: number): Verdict {
  if (status >= 200 && status < 300) return { kind: 'delivered' };
  const words = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8').slice(0, 300);
  const problem = `status ${status}${words === '' ? '' : `: ${words}`}`;
  if (status < 500 && !LATER.has(status)) return { kind: 'refused', problem };
  return { kind: 'again', problem, afterMs: retryAfterMs(retryAfter, nowMs) };
}

/** Seconds or an HTTP date (RFC 9110 §10.2.3); 0 for none. */
function retryAfterMs(text: string | null, nowMs: number): number {
  if (text === null) return 0;
  const ms = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - nowMs;
  return Number.isFinite(ms) ? Math.min(Math.max(0, ms), LONGEST_RETRY_AFTER_MS) : 0;
}
