/**
 * What publishes and subscribes, in words for API documents: the action `publish`, the real-time hub, and the endpoints
 * of the bridge's own.
 */
import * as z from 'zod';
import type { PublishSettings } from '../../data/contract/events.ts';
import type { OperationText } from '../openapi-document.ts';

const time = z.iso.datetime();
const outcome = z.enum(['accepted', 'queued']).describe('`queued`: durable in the outbox, and handed over later.');
const position = z.string().nullable().describe('In the stream; null while it is queued.');
export const published = z.object({
  id: z.string(),
  stream: z.string(),
  subject: z.string(),
  position,
  status: outcome,
  time,
});
export const batch = z.object({
  stream: z.string(),
  subject: z.string(),
  status: outcome,
  events: z.array(z.object({ id: z.string(), position, status: outcome, time, location: z.string().optional() })),
});

/** Of the methods of a route those that make something, such as an event; none stand for all of them. */
export function makingMethods(methods: readonly string[]): readonly string[] {
  const making = methods.filter((method) => method === 'POST' || method === 'PUT');
  return making.length === 0 ? ['POST'] : making;
}

/** The response to one event or, to a batch of CloudEvents, to all of them. */
export function publishText(settings: Pick<PublishSettings, 'idempotencyKey' | 'maxBytes'>): OperationText {
  return {
    summary: 'Publishes an event',
    who: 'public',
    status: 202,
    body: z.any(),
    otherBodies: ['application/cloudevents+json', 'application/cloudevents-batch+json', '*/*'],
    response: z.union([published, batch]).describe('The event is durable.'),
    fields: {
      'Idempotency-Key': {
        meaning: 'A key of the request, such as a UUID: the same request again gets the same response.',
        required: settings.idempotencyKey === 'required',
      },
    },
    responseFields: {
      Location: 'Where to ask what became of the event; not for a batch.',
      'Idempotency-Replayed': '`true`: the response to an earlier request with this key.',
    },
    errors: {
      400: 'The Idempotency-Key or the request is not valid',
      404: 'No stream takes events of this subject',
      409: 'A request with this Idempotency-Key is in progress',
      413: `The event is larger than ${settings.maxBytes} bytes`,
      415: 'The content type is none of an event',
      422: 'The event is not valid, or the Idempotency-Key was used for another request',
      503: 'The event could not be made durable; Retry-After says when to try again',
    },
  };
}

export const SUBSCRIBE_TEXT: OperationText = {
  summary: 'Subscribes to events, as server-sent events or over a WebSocket',
  who: 'public',
  query: z.object({ after: z.string().optional().describe('Goes on after this event.') }),
  mediaType: 'text/event-stream',
  response: z.string(),
  fields: { 'Last-Event-ID': { meaning: 'Goes on after this event; wins over `after`.' } },
  errors: { 400: 'The position is not valid', 503: 'There are too many subscriptions, or the stream is away' },
};

/** The hub, below the path of its route. */
export function hubOperations(base: string): Record<string, OperationText> {
  return {
    [`GET ${base}`]: {
      summary: 'Messages of topics: a WebSocket, or server-sent events without Upgrade',
      who: 'public',
      query: z.object({
        topic: z.string().optional().describe('Topics to subscribe to, separated by commas.'),
        ticket: z.string().optional().describe('Of POST /ticket: who cannot send a credential sends it.'),
        after: z.string().optional().describe('Goes on after this message.'),
        format: z.enum(['data']).optional().describe('Server-sent events without an envelope: what was published.'),
      }),
      mediaType: 'text/event-stream',
      response: z.string(),
      fields: { 'Last-Event-ID': { meaning: 'Goes on after this message.' } },
      errors: {
        401: 'The topic is for callers who are known',
        403: 'The caller may not subscribe to the topic, or the page is of another origin',
        429: 'The caller has too many connections',
      },
    },
    [`POST ${base}/ticket`]: {
      summary: 'Makes a single-use ticket that opens one connection',
      who: 'signed-in',
      status: 201,
      response: z.object({ ticket: z.string(), expiresIn: z.int().describe('Seconds.') }),
      errors: { 401: 'The caller is not known' },
    },
    [`POST ${base}/topics/:topic`]: {
      summary: 'Publishes a message to a topic',
      who: 'signed-in',
      status: 202,
      body: z.any().describe('JSON.'),
      response: z.object({ id: z.string(), topic: z.string() }),
      errors: {
        400: 'The topic is not valid',
        401: 'The caller is not known',
        403: 'The caller may not publish to the topic',
        413: 'The message is too large',
        422: 'The message is not JSON',
        503: 'The message could not be made durable',
      },
    },
    [`GET ${base}/topics/:topic/presence`]: {
      summary: 'Who is subscribed to a topic',
      who: 'signed-in',
      response: z.object({ topic: z.string(), users: z.array(z.string()) }),
      errors: { 403: 'The topic shows no presence, or not to this caller' },
    },
  };
}

/** AsyncAPI 3.0, Root Object. */
export const asyncApi = z.object({
  asyncapi: z.literal('3.0.0'),
  info: z.object({ title: z.string(), version: z.string(), description: z.string().optional() }),
  defaultContentType: z.string(),
  servers: z.record(
    z.string(),
    z.object({ host: z.string(), protocol: z.string(), description: z.string().optional() }),
  ),
  channels: z.record(z.string(), z.looseObject({ address: z.string() })),
  operations: z.record(z.string(), z.looseObject({ action: z.enum(['send', 'receive']) })),
  components: z.looseObject({ schemas: z.record(z.string(), z.unknown()) }),
});

/** What the bridge serves itself, below `events.path`. */
export function bridgeOperations(base: string): Record<string, OperationText> {
  return {
    [`GET ${base}/published/:token`]: {
      summary: 'What became of a published event: the Location of its 202',
      who: 'signed-in',
      response: z.object({
        id: z.string(),
        stream: z.string(),
        position: z.string().nullable(),
        status: z.enum(['stored', 'queued', 'refused']),
        attempts: z.int().optional(),
        problem: z.string().nullable().optional(),
      }),
      errors: { 404: 'The gateway gave no such Location' },
    },
    [`GET ${base}/asyncapi.json`]: {
      summary: 'Channels that callers may use, as an AsyncAPI 3 document',
      who: 'signed-in',
      response: asyncApi,
    },
    [`GET ${base}/asyncapi/public.json`]: {
      summary: 'Channels that anybody may use, as an AsyncAPI 3 document',
      who: 'public',
      response: asyncApi,
    },
    [`GET ${base}/asyncapi/admin.json`]: {
      summary: 'All channels, deliveries to services too, as an AsyncAPI 3 document',
      who: 'admin',
      response: asyncApi,
      errors: { 403: 'The caller has not the role admin' },
    },
  };
}
