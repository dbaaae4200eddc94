/**
 * The key `events`: streams, the engines that keep them, and the endpoints of the event bridge. What routes do with
 * streams is in the actions `publish` and `subscribe` (data/policies/).
 */
import * as z from 'zod';
import { sqlUrl } from '../../base/store-urls.ts';
import { duration, size } from '../../base/zod-units.ts';
import { EVENTS_SERVICE } from '../../data/contract/events.ts';
import { subjectProblem } from '../../data/contract/subjects.ts';
import { defineSection } from '../config/section.ts';
import { type ConsumerSettings, compileConsumers, consumerSchema } from './deliver/options.ts';
import type { StreamSettings } from './engines/engine.ts';
import { compileEngines, EMBEDDED, type EngineSettings, engineSchema } from './engines/options.ts';
import { compileHub, type HubSettings, hubSchema } from './hub/options.ts';

const name = z
  .string()
  .max(100)
  .regex(/^[A-Za-z][A-Za-z0-9_-]*$/, 'must be a name of letters, digits, "_" and "-" that begins with a letter');

const pattern = z
  .string()
  .min(1)
  .max(255)
  .check(({ value, issues }) => {
    const message = subjectProblem(value, true);
    if (message !== undefined) issues.push({ code: 'custom', input: value, message });
  });

const stream = z
  .strictObject({
    engine: name
      .prefault(EMBEDDED)
      .describe('Who keeps the events: `embedded`, the SQL store of the gateway, or a key of `events.engines`.'),
    subjects: z
      .array(pattern)
      .min(1)
      .max(50)
      .optional()
      .describe(
        'Patterns of which the subject of an event must match one. Default: the name of the stream, and everything below it.',
      ),
    maxAge: duration({ min: 60_000, max: 3_650 * 86_400_000 })
      .prefault('7d')
      .describe('Older events are removed.'),
    maxEvents: z.int().min(1).max(1_000_000_000).prefault(1_000_000).describe('Most events that are kept.'),
    maxSize: size({ min: 64 * 1024 })
      .prefault('1gb')
      .describe('Most bytes that are kept.'),
  })
  .describe('What is kept of a stream, and where.');

const eventsOptions = z.strictObject({
  store: sqlUrl()
    .optional()
    .describe(
      'Database of the embedded engine, the outbox, idempotency keys and consumers. Default: `stores.sql` if that is PostgreSQL, otherwise SQLite in the data folder, in a file of its own.',
    ),
  path: z
    .union([
      z.literal('off'),
      z
        .string()
        .max(200)
        .regex(/^(\/[A-Za-z0-9._~-]+)+$/, 'must be a path such as /events'),
    ])
    .prefault('/events')
    .describe('Path below which the bridge has its own endpoints, for callers who are known; `off` is none.'),
  engines: z
    .record(name, engineSchema)
    .prefault({})
    .describe('Brokers by name. None is needed: without them the SQL store keeps the events.'),
  streams: z.record(name, stream).prefault({}).describe('Streams by name.'),
  consumers: z
    .record(name, consumerSchema(name, pattern))
    .prefault({})
    .describe('Services that are called with the events of a stream, by a name that stays.'),
  hub: hubSchema.optional(),
  maxSubscribers: z
    .int()
    .min(1)
    .max(1_000_000)
    .prefault(5_000)
    .describe(
      'Open subscriptions of the process; more are answered with 503. Each takes three file descriptors of its limit.',
    ),
});

export interface EventsPlan {
  /** Secret id of the database's URL; null: the file. */
  readonly store: string | null;
  readonly storeFile: string;
  readonly path: string | null;
  readonly engines: readonly EngineSettings[];
  readonly streams: readonly StreamSettings[];
  readonly consumers: readonly ConsumerSettings[];
  readonly hub: HubSettings | null;
  readonly maxSubscribers: number;
}

export const eventsSection = defineSection({
  at: 'top',
  key: 'events',
  schema: eventsOptions.describe(
    'Streams of events, for the route actions `publish` and `subscribe`, and services that get them. Default: off.',
  ),
  /** Null: nothing runs. */
  compile(options, context): EventsPlan | null {
    if (options === undefined) return null;
    context.addService(EVENTS_SERVICE);
    const path = options.path === 'off' ? null : options.path;
    if (path !== null) {
      context.addRoute({
        id: `${EVENTS_SERVICE}${path}`,
        service: EVENTS_SERVICE,
        path: `${path}/*`,
        movedBy: 'events.path',
        authenticated: true,
      });
      // Who publishes what there is, publishes the channels that anybody may use, too.
      if (context.document?.['openapi'] !== undefined)
        context.addRoute({
          id: `${EVENTS_SERVICE}${path}/asyncapi/public.json`,
          service: EVENTS_SERVICE,
          path: `${path}/asyncapi/public.json`,
          methods: ['GET', 'HEAD'],
          movedBy: 'events.path',
        });
    }
    const engines = compileEngines(options.engines, context);
    const known = [EMBEDDED, ...engines.map((engine) => engine.name)];
    const checkEngine = (engine: string, at: readonly string[]): void => {
      if (known.includes(engine)) return;
      context.problem('there is no such engine', {
        at: [...at, 'engine'],
        got: JSON.stringify(engine),
        expected:
          known.length === 1 ? 'embedded, or a key of events.engines, which is empty' : `one of ${known.join(', ')}`,
      });
    };
    const streams = Object.entries(options.streams).map(([key, settings]): StreamSettings => {
      checkEngine(settings.engine, ['streams', key]);
      return {
        name: key,
        engine: settings.engine,
        subjects: settings.subjects ?? [key, `${key}.>`],
        maxAgeMs: settings.maxAge,
        maxEvents: settings.maxEvents,
        maxBytes: settings.maxSize,
      };
    });
    if (options.hub !== undefined) checkEngine(options.hub.engine, ['hub']);
    const hub = compileHub(options.hub, streams, context);
    if (hub !== null) streams.push(hub.stream);
    const stores = context.document?.['stores'] as { readonly sql?: unknown } | undefined;
    const shared = typeof stores?.sql === 'string' && /^postgres/.test(stores.sql) ? stores.sql : undefined;
    const url = options.store ?? shared;
    const isOneOfMany = options.hub?.engine !== EMBEDDED || context.document?.['cluster'] !== undefined;
    if (hub !== null && isOneOfMany && url?.startsWith('postgres') !== true)
      context.warning('tickets and presence are those of this gateway alone: others refuse its tickets', {
        at: ['hub'],
        expected: 'PostgreSQL in stores.sql or events.store, where there are several gateways',
      });
    return {
      store: url === undefined ? null : context.secret('store', url),
      storeFile: `${context.dataDir}/events.db`,
      path,
      engines,
      streams,
      consumers: compileConsumers(
        options.consumers,
        streams.map((each) => each.name),
        context,
      ),
      hub: hub?.hub ?? null,
      maxSubscribers: options.maxSubscribers,
    };
  },
});
