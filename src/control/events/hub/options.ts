/** Options of `events.hub`: topics, rights and limits of the real-time hub. */
import * as z from 'zod';
import { duration, size } from '../../../base/zod-units.ts';
import { REALTIME_SERVICE, REALTIME_STREAM } from '../../../data/contract/events.ts';
import { subjectProblem } from '../../../data/contract/subjects.ts';
import type { SectionContext } from '../../config/section.ts';
import type { StreamSettings } from '../engines/engine.ts';
import { PLACEHOLDER, type TopicRule } from './rights.ts';

const topic = z
  .string()
  .min(1)
  .max(255)
  .check(({ value, issues }) => {
    const message = subjectProblem(value.replace(PLACEHOLDER, 'x'), true);
    if (message !== undefined) issues.push({ code: 'custom', input: value, message });
  });

const names = z.array(z.string().min(1).max(200)).max(50).prefault([]);
const right = (otherwise: 'users' | 'nobody') =>
  z
    .union([
      z.enum(['anyone', 'users', 'nobody']),
      z.strictObject({
        roles: names.describe('The caller must have one of them.'),
        scopes: names.describe('The caller must have all of them.'),
      }),
    ])
    .prefault(otherwise);

const rule = z.strictObject({
  topic: topic.describe(
    'Topics that the rule is about: dotted parts, `*` is any one part, a final `>` one part or more, `{auth.sub}`, `{auth.account}` (apart for each issuer) and `{auth.plan}` fill one part with what is known of the caller.',
  ),
  join: z.boolean().prefault(false).describe('Clients are subscribed to the topic as soon as they are known.'),
  subscribe: right('users').describe(
    'Who may subscribe: `anyone`, `users` (callers who are known), `nobody`, or callers with roles and scopes.',
  ),
  publish: right('nobody').describe('Who may publish, over the connection or by the API.'),
  presence: z
    .boolean()
    .prefault(false)
    .describe('Whether subscribers can ask who else is there, and get notices of joins and leaves.'),
});

const limitShape = {
  connections: z
    .int()
    .min(1)
    .max(1_000_000)
    .describe('Connections of one caller, or of one address for anonymous callers.'),
  topics: z.int().min(1).max(10_000).describe('Subscriptions of one connection.'),
  messagesPerSecond: z
    .number()
    .min(0.1)
    .max(10_000)
    .describe('Messages that a client may send, with a burst of ten seconds.'),
};

export const hubSchema = z
  .strictObject({
    topics: z.array(rule).min(1).max(500).describe('Rules; the first one that covers a topic decides.'),
    engine: z
      .string()
      .max(100)
      .prefault('embedded')
      .describe('Engine that keeps messages and carries them between gateways, as for streams.'),
    window: duration({ min: 60_000, max: 7 * 86_400_000 })
      .prefault('10m')
      .describe('How long messages are kept, so that a client that comes back can go on where it was.'),
    authTimeout: duration({ min: 500, max: 60_000 })
      .prefault('5s')
      .describe('Longest time in which a client that came without a credential has to say who it is.'),
    ticketTtl: duration({ min: 5_000, max: 300_000 }).prefault('30s').describe('How long a ticket can be used, once.'),
    heartbeat: duration({ min: 1_000, max: 60_000 })
      .prefault('15s')
      .describe('Pause between pings of the hub; who does not answer until the next one is taken for gone.'),
    messageSize: size({ min: 64, max: 1024 ** 2 })
      .prefault('64kb')
      .describe('Largest message.'),
    limits: z
      .strictObject({
        connections: limitShape.connections.prefault(20),
        topics: limitShape.topics.prefault(100),
        messagesPerSecond: limitShape.messagesPerSecond.prefault(10),
      })
      .prefault({})
      .describe('What one caller may have.'),
    plans: z
      .record(
        z.string().max(100),
        z.strictObject({
          connections: limitShape.connections.optional(),
          topics: limitShape.topics.optional(),
          messagesPerSecond: limitShape.messagesPerSecond.optional(),
        }),
      )
      .prefault({})
      .describe('Other limits for callers of a plan.'),
  })
  .describe(
    'Real-time hub: topics over WebSocket and server-sent events, for routes with `builtin: realtime`. Default: off.',
  );

export interface HubLimits {
  readonly connections: number;
  readonly topics: number;
  readonly messagesPerSecond: number;
}

export interface HubSettings {
  readonly topics: readonly TopicRule[];
  readonly engine: string;
  readonly authTimeoutMs: number;
  readonly ticketTtlMs: number;
  readonly heartbeatMs: number;
  readonly maxMessageBytes: number;
  readonly limits: HubLimits;
  readonly plans: Readonly<Record<string, HubLimits>>;
}

export function compileHub(
  options: z.output<typeof hubSchema> | undefined,
  streams: readonly StreamSettings[],
  context: SectionContext,
): { readonly hub: HubSettings; readonly stream: StreamSettings } | null {
  if (options === undefined) return null;
  context.addService(REALTIME_SERVICE);
  if (streams.some(({ name }) => name === REALTIME_STREAM)) {
    context.problem('is the name of the stream of the hub', {
      at: ['streams', REALTIME_STREAM],
      expected: 'another name, since `events.hub` is there',
    });
  }
  const { limits, plans } = options;
  return {
    hub: {
      topics: options.topics,
      engine: options.engine,
      authTimeoutMs: options.authTimeout,
      ticketTtlMs: options.ticketTtl,
      heartbeatMs: options.heartbeat,
      maxMessageBytes: options.messageSize,
      limits,
      plans: Object.fromEntries(
        Object.entries(plans).map(([plan, given]) => [
          plan,
          {
            connections: given.connections ?? limits.connections,
            topics: given.topics ?? limits.topics,
            messagesPerSecond: given.messagesPerSecond ?? limits.messagesPerSecond,
          },
        ]),
      ),
    },
    stream: {
      name: REALTIME_STREAM,
      engine: options.engine,
      subjects: ['>'],
      maxAgeMs: options.window,
      maxEvents: 1_000_000,
      maxBytes: 256 * 1024 ** 2,
    },
  };
}
