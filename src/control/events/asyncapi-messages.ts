/**
 * The messages on channels of events, as schemas for the AsyncAPI document: what clients publish, what they are sent as
 * server-sent events and over WebSockets, what the hub and its clients say to each other, and what services are called
 * with. test/integration/events-document.test.ts compares them with what goes over the wire.
 */
import * as z from 'zod';
import { batch, published } from './api-description.ts';
import type { HubEnd } from './hub/hub.ts';
import type { EndReason } from './subscribe/subscriptions.ts';

export type Json = Readonly<Record<string, unknown>>;

const TEXT = { type: 'string' };
const ID = { type: 'string', description: 'A position: what `after` and `Last-Event-ID` resume from.' };
const ANYTHING = { description: 'What was published.' };
const TOPIC_DATA = {
  description: 'What was published; of topics with presence also `{"type":"presence","topic","user","change"}`.',
};

function object(required: Json, optional: Json = {}, description?: string): Json {
  return {
    type: 'object',
    ...(description === undefined ? {} : { description }),
    required: Object.keys(required),
    properties: { ...required, ...optional },
    additionalProperties: false,
  };
}

/** A message with its own `type`. */
const typed = (type: string, required: Json = {}, optional: Json = {}): Json =>
  object({ type: { const: type }, ...required }, optional);

function response(schema: z.ZodType): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { target: 'draft-7', io: 'output' }) as Json;
  return rest;
}

export const SCHEMAS = {
  CloudEvent: {
    type: 'object',
    description: 'CloudEvents 1.0, JSON format. Of `data` and `data_base64` there is one, or none.',
    required: ['specversion', 'id', 'source', 'type'],
    properties: {
      specversion: { const: '1.0' },
      id: TEXT,
      source: { type: 'string', format: 'uri-reference' },
      type: TEXT,
      subject: TEXT,
      time: { type: 'string', format: 'date-time' },
      datacontenttype: TEXT,
      dataschema: TEXT,
      data: ANYTHING,
      data_base64: { type: 'string', description: 'What is neither JSON nor text.' },
    },
    // CloudEvents §3.3: extension attributes; here each is a text.
    additionalProperties: { type: 'string' },
  },
  Accepted: response(published),
  AcceptedBatch: response(batch),
} as const satisfies Readonly<Record<string, Json>>;

const ref = (name: keyof typeof SCHEMAS): Json => ({ $ref: `#/components/schemas/${name}` });

const CLOUD_EVENT: Json = {
  name: 'event',
  title: 'CloudEvent',
  contentType: 'application/cloudevents+json',
  payload: ref('CloudEvent'),
};

const REF = { description: 'The sender’s; it comes back with the response.' };

/** Of a `publish` route. `schema` is the one that the route checks bodies by; null: there is none. */
export function publishMessages(
  body: 'any' | 'json' | 'cloudevent',
  needsKey: boolean,
  schema: Json | null,
): Readonly<Record<string, Json>> {
  const headers = {
    type: 'object',
    ...(needsKey ? { required: ['Idempotency-Key'] } : {}),
    properties: {
      'Idempotency-Key': { type: 'string', description: 'The same request again has one effect and one response.' },
    },
  };
  const bindings = { http: { headers, bindingVersion: '0.3.0' } };
  const payload =
    schema === null ? ANYTHING : { schemaFormat: 'application/schema+json;version=draft-2020-12', schema };
  const data = {
    name: 'data',
    title: body === 'json' ? 'JSON' : 'Data of any type, also a CloudEvent in binary mode',
    ...(body === 'json' ? { contentType: 'application/json' } : {}),
    payload,
    headers,
    bindings,
  };
  const batchOf = {
    name: 'batch',
    title: 'Up to 1,000 CloudEvents',
    contentType: 'application/cloudevents-batch+json',
    payload: { type: 'array', items: ref('CloudEvent'), minItems: 1, maxItems: 1_000 },
    headers,
    bindings,
  };
  return {
    ...(body === 'cloudevent' ? {} : { data }),
    ...(body === 'json' ? {} : { event: { ...CLOUD_EVENT, headers, bindings }, batch: batchOf }),
    accepted: {
      name: 'accepted',
      title: '202: the event is durable',
      contentType: 'application/json',
      payload: ref('Accepted'),
      bindings: { http: { statusCode: 202, bindingVersion: '0.3.0' } },
    },
    ...(body === 'json'
      ? {}
      : {
          acceptedBatch: {
            name: 'acceptedBatch',
            title: '202: all events are durable',
            contentType: 'application/json',
            payload: ref('AcceptedBatch'),
            bindings: { http: { statusCode: 202, bindingVersion: '0.3.0' } },
          },
        }),
  };
}

/** Who went away by itself gets nothing. */
const REASONS = {
  enum: Object.keys({
    token_expired: true,
    route_changed: true,
    too_slow: true,
    shutting_down: true,
  } satisfies Record<Exclude<EndReason, 'gone'>, true>),
};

/** The data of the server-sent events of a `subscribe` route; the name of the event is the name of the message. */
export function sseMessages(format: 'cloudevent' | 'data', schema: Json | null): Readonly<Record<string, Json>> {
  return {
    event: eventOf(format, schema),
    gap: { name: 'gap', title: 'Events are missing here', payload: object({ stream: TEXT }) },
    end: { name: 'end', title: 'The connection ends', payload: object({ reason: REASONS }) },
  };
}

/** Text messages of the same route over a WebSocket. */
export function socketMessages(format: 'cloudevent' | 'data', schema: Json | null): Readonly<Record<string, Json>> {
  const event = { name: 'event', title: 'An event', payload: typed('event', { id: ID, event: ref('CloudEvent') }) };
  return {
    event: format === 'data' ? eventOf(format, schema) : event,
    gap: { name: 'gap', title: 'Events are missing here', payload: typed('gap', { stream: TEXT }) },
    end: { name: 'end', title: 'The connection ends', payload: typed('end', { reason: REASONS }) },
    pong: { name: 'pong', title: 'The response to a ping', payload: typed('pong', {}, { id: ID }) },
    error: { name: 'error', title: 'A message that is none', payload: typed('error', { message: TEXT }) },
    ping: { name: 'ping', title: 'Asks for the position', payload: typed('ping') },
  };
}
export const SOCKET_RECEIVES = ['ping'];

function eventOf(format: 'cloudevent' | 'data', schema: Json | null): Json {
  if (format === 'cloudevent') return CLOUD_EVENT;
  const payload =
    schema === null ? ANYTHING : { schemaFormat: 'application/schema+json;version=draft-2020-12', schema };
  return { name: 'event', title: 'What was published, to the letter', payload };
}

const HUB_ENDS = {
  enum: Object.keys({ token_expired: true, route_changed: true, shutting_down: true } satisfies Record<
    Exclude<HubEnd, 'gone'>,
    true
  >),
};
const TOPIC = { topic: TEXT };
const REPLY = { ref: REF };
/** By the key of the message; `type` is the key but where two sides use one word. */
const HUB: Readonly<Record<string, { readonly type?: string; readonly required?: Json; readonly optional?: Json }>> = {
  ping: { optional: REPLY },
  auth: { optional: { token: TEXT, apiKey: TEXT, ticket: TEXT, after: ID, ...REPLY } },
  subscribe: { required: TOPIC, optional: { after: ID, ...REPLY } },
  unsubscribe: { required: TOPIC, optional: REPLY },
  publish: { required: { ...TOPIC, data: ANYTHING }, optional: REPLY },
  askPresence: { type: 'presence', required: TOPIC, optional: REPLY },
  pong: { optional: { id: ID, ...REPLY } },
  authenticated: {
    required: { user: { type: ['string', 'null'] } },
    optional: { expires: { type: 'string', format: 'date-time' }, ...REPLY },
  },
  subscribed: { required: TOPIC, optional: { id: ID, ...REPLY } },
  unsubscribed: { required: TOPIC, optional: REPLY },
  published: { required: { ...TOPIC, id: ID }, optional: REPLY },
  message: { required: { ...TOPIC, id: ID, data: TOPIC_DATA } },
  presence: { required: { ...TOPIC, users: { type: 'array', items: TEXT } }, optional: REPLY },
  gap: { required: TOPIC },
  error: { required: { code: TEXT, message: TEXT }, optional: { ...TOPIC, ...REPLY } },
  end: { required: { reason: HUB_ENDS } },
};
export const HUB_RECEIVES = ['ping', 'auth', 'subscribe', 'unsubscribe', 'publish', 'askPresence'];

/** Text messages of the hub with the subprotocol `gatehouse.v1`; without it `message` is the data alone. */
export function hubMessages(): Readonly<Record<string, Json>> {
  const messages = Object.entries(HUB).map(([key, { type = key, required = {}, optional = {} }]) => [
    key,
    { name: type, payload: typed(type, required, optional) },
  ]);
  const plain = { name: 'data', title: 'Without the subprotocol, in place of `message`', payload: TOPIC_DATA };
  return { ...Object.fromEntries(messages), data: plain };
}

/** Data of the hub's server-sent events. */
export function hubSseMessages(): Readonly<Record<string, Json>> {
  const { required = {} } = HUB['message']!;
  return {
    message: { name: 'message', payload: typed('message', required) },
    data: { name: 'data', title: 'With `format=data`, in place of `message`', payload: ANYTHING },
    gap: { name: 'gap', payload: typed('gap') },
    end: { name: 'end', payload: typed('end', { reason: HUB_ENDS }) },
  };
}

/** What services publish to a topic, by HTTP. */
export const HUB_PUBLISH: Readonly<Record<string, Json>> = {
  data: { name: 'data', title: 'What the topic gets', contentType: 'application/json', payload: ANYTHING },
  accepted: {
    name: 'accepted',
    title: '202: it is durable',
    contentType: 'application/json',
    payload: object({ ...TOPIC, id: ID }),
    bindings: { http: { statusCode: 202, bindingVersion: '0.3.0' } },
  },
};

/** What a service is called with. */
export function deliveryMessages(format: string, isSigned: boolean): Readonly<Record<string, Json>> {
  const webhook = {
    'webhook-id': { type: 'string', description: 'The id of the event: the same in each attempt.' },
    'webhook-timestamp': { type: 'string', pattern: '^\\d+$', description: 'Seconds since 1970.' },
  };
  const signature = {
    'webhook-signature': {
      type: 'string',
      description: '`v1,` and HMAC-SHA256 as Standard Webhooks say, for each secret.',
    },
  };
  const attributes = { 'ce-specversion': { const: '1.0' }, 'ce-id': TEXT, 'ce-source': TEXT, 'ce-type': TEXT };
  const isBinary = format !== 'cloudevent';
  const needed = { ...webhook, ...(isSigned ? signature : {}), ...(isBinary ? attributes : {}) };
  const headers = { type: 'object', required: Object.keys(needed), properties: { ...needed, traceparent: TEXT } };
  const binary = { name: 'event', title: 'CloudEvent in binary mode: what was published', payload: ANYTHING };
  return {
    event: {
      ...(isBinary ? binary : CLOUD_EVENT),
      headers,
      bindings: { http: { headers, bindingVersion: '0.3.0' } },
    },
  };
}
