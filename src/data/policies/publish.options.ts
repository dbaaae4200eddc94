/** Options of `publish`, a route's action. */
import * as z from 'zod';
import { duration, size } from '../../base/zod-units.ts';
import type { PublishSettings } from '../contract/events.ts';
import { definePolicyOptions } from '../contract/options.ts';
import { checkRoutable, checkStream, streamName, subjectTemplate } from './event-parts.options.ts';

/** NATS and RabbitMQ take 1 MiB by default; with 8 MiB a batch of commits still fits. */
const MOST_BYTES = 8 * 1024 ** 2;

export const publishSchema = z
  .strictObject({
    stream: streamName().describe('Stream of `events.streams` that gets the event.'),
    subject: subjectTemplate(false)
      .optional()
      .describe(
        'Subject of the event, with placeholders such as `{params.id}` and `{auth.sub}`, each of which fills one part. Default: the name of the stream.',
      ),
    key: subjectTemplate(false)
      .optional()
      .describe('Events with the same key are delivered one after the other, with placeholders. Default: the subject.'),
    body: z
      .enum(['any', 'json', 'cloudevent'])
      .prefault('any')
      .describe(
        'What a body must be: `any`; `json`, else 422; `cloudevent`, a CloudEvent in structured, batched or binary mode, else 422. CloudEvents are recognised in any case.',
      ),
    type: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .describe('CloudEvents `type` of events that bring none. Default: the subject.'),
    source: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .describe('CloudEvents `source` of events that bring none. Default: `/` and the name of the stream.'),
    maxSize: size({ min: 1, max: MOST_BYTES })
      .prefault('256kb')
      .describe('Largest event, or batch of events; larger ones are answered with 413.'),
    ackTimeout: duration({ min: 50, max: 30_000 })
      .prefault('2s')
      .describe('Longest wait for the acknowledgement of the engine, then 503, or 202 by way of the outbox.'),
    outbox: z
      .boolean()
      .prefault(false)
      .describe(
        'Keeps events that the engine does not acknowledge in the SQL store and hands them over when it is back, in order; the response is 202 once the row is durable.',
      ),
    idempotencyKey: z
      .enum(['optional', 'required'])
      .prefault('optional')
      .describe('Whether a request without the field `Idempotency-Key` is answered with 400.'),
    keepKeys: duration({ min: 60_000, max: 30 * 86_400_000 })
      .prefault('24h')
      .describe('How long the response to an `Idempotency-Key` is kept and given again.'),
  })
  .describe('Action: publishes the request as an event; 202 once it is durable.');

export const publishOptions = definePolicyOptions({
  key: 'publish',
  schema: publishSchema,
  levels: ['route'],
  compile(options, context) {
    const { stream, subject = stream, key, type, source } = options;
    const found = checkStream(stream, context);
    if (found === undefined) return [];
    checkRoutable(subject, stream, found, context);
    const settings: PublishSettings = {
      stream,
      subject,
      key: key ?? null,
      body: options.body,
      type: type ?? '',
      source: source ?? `/${stream}`,
      maxBytes: options.maxSize,
      ackTimeoutMs: options.ackTimeout,
      outbox: options.outbox,
      idempotencyKey: options.idempotencyKey,
      keysForMs: options.keepKeys,
    };
    return [{ name: 'publish', options: settings }];
  },
});
