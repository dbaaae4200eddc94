/** Options of `subscribe`, a route's action. */
import * as z from 'zod';
import { duration } from '../../base/zod-units.ts';
import type { SubscribeSettings } from '../contract/events.ts';
import { definePolicyOptions } from '../contract/options.ts';
import { checkRoutable, checkStream, originList, streamName, subjectTemplate } from './event-parts.options.ts';

export const subscribeSchema = z
  .strictObject({
    stream: streamName().describe('Stream of `events.streams` that is read.'),
    subject: subjectTemplate(true)
      .optional()
      .describe(
        'Pattern of the subjects that a client gets: `*` is any one part, a final `>` one part or more. Placeholders such as `{auth.sub}` fill one part each and can widen nothing; a request without such a value is answered with 403. Default: all of the stream.',
      ),
    from: z
      .enum(['now', 'earliest'])
      .prefault('now')
      .describe('Where a client without a position begins: with new events, or with the oldest event kept.'),
    format: z
      .enum(['cloudevent', 'data'])
      .prefault('cloudevent')
      .describe('What a client gets: CloudEvents as JSON, or what was published, alone.'),
    heartbeat: duration({ min: 1_000, max: 30_000 })
      .prefault('15s')
      .describe('Pause after which a comment is sent, so that no proxy takes the connection for dead.'),
    retry: duration({ min: 0, max: 3_600_000 })
      .prefault('2s')
      .describe('How long a client waits before it connects again (`retry:`).'),
    slow: z
      .enum(['catch-up', 'gap', 'close'])
      .prefault('catch-up')
      .describe(
        'What happens to a client that reads more slowly than events come: `catch-up` reads what it missed from the engine; `gap` tells it that events are missing and goes on with the newest; `close` ends the connection, and it resumes where it was.',
      ),
    maxPerCaller: z
      .int()
      .min(1)
      .max(100_000)
      .prefault(20)
      .describe('Connections that one caller (or one address, for anonymous callers) may have open, then 429.'),
    origins: originList()
      .optional()
      .describe(
        'Origins of pages that may open a WebSocket here. Browsers send cookies with it from any page, so others are answered with 403. Default: pages of the host that is asked.',
      ),
  })
  .describe(
    'Action: sends events to the client as they come, as server-sent events or over a WebSocket, and again from where it was.',
  );

export const subscribeOptions = definePolicyOptions({
  key: 'subscribe',
  schema: subscribeSchema,
  levels: ['route'],
  compile(options, context) {
    const { stream, subject = '>' } = options;
    const found = checkStream(stream, context);
    if (found === undefined) return [];
    checkRoutable(subject, stream, found, context);
    const settings: SubscribeSettings = {
      stream,
      subject,
      key: null,
      from: options.from,
      format: options.format,
      heartbeatMs: options.heartbeat,
      retryMs: options.retry,
      slow: options.slow,
      maxPerCaller: options.maxPerCaller,
      origins: options.origins ?? [],
    };
    return [{ name: 'subscribe', options: settings }];
  },
});
