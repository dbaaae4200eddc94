/** What the admin API responds with beyond what health and status have (ops/responses.ts), as schemas. */
import * as z from 'zod';
import { PHASES } from '../../base/vocabulary.ts';
import { configurationStatus, instance, revision, service, status } from '../ops/responses.ts';
import { OVERRIDE_KINDS } from '../overrides.ts';

const text = z.string();
const time = z.iso.datetime();
const texts = z.array(text);

export const override = z.object({
  kind: z.enum(OVERRIDE_KINDS),
  target: text.describe('Id of the instance, name of the service, `gateway`, or the area of a log level.'),
  value: z.union([z.number(), text, z.boolean()]),
  instance: z
    .object({ service: text, url: text, weight: z.number().optional(), zone: text.nullable().optional() })
    .optional()
    .describe('Of what was added or taken out.'),
  owner: text,
  reason: text,
  since: time,
  until: time.nullable().describe('Null: until it is ended by hand.'),
});

const trouble = z.object({ severity: z.enum(['error', 'warning', 'note']), subject: text, message: text });
const { services, features, ...brief } = status.shape;
/** `brief=true` leaves members out. */
export const adminStatus = z.object({
  ...brief,
  services: services.optional(),
  features: features.optional(),
  overrides: z.array(override).optional(),
  objectives: z.unknown().optional(),
  openapi: z.unknown().optional(),
  troubles: z.array(trouble),
});

const field = z.object({
  name: text,
  test: z.union([z.object({ equals: text }), z.object({ regex: text }), z.object({ present: z.boolean() })]),
});
const match = z.object({
  hosts: texts,
  path: z.union([
    z.object({ kind: z.literal('pattern'), pattern: text }),
    z.object({ kind: z.literal('regex'), source: text }),
  ]),
  methods: texts,
  headers: z.array(field),
  query: z.array(field),
});
const counts = z.record(text, z.number());
const routeReport = z.object({
  id: text,
  match,
  priority: z.number(),
  version: text.nullable(),
  action: z.object({
    kind: text,
    targets: z
      .array(z.object({ service: text, weight: z.number() }))
      .optional()
      .describe('Of the kind `service`.'),
  }),
  policies: texts,
  requests: z.number(),
  statuses: counts,
  grpcCalls: counts,
  p50Ms: z.number().nullable(),
  p99Ms: z.number().nullable(),
});
export const routes = z.object({
  routes: z.array(routeReport),
  matching: z.number().describe('How many contain the text.'),
  total: z.number().describe('How many there are.'),
});

const traffic = z.object({ requests: z.number(), errors: z.number(), seconds: z.number() });
export const servicesWithTraffic = z.object({
  at: z.number().describe('When the counts were read, milliseconds since 1970.'),
  services: z.array(
    service.extend({
      instances: z.array(instance.extend({ traffic })),
      matching: z.number(),
      total: z.number(),
      byHand: z.array(override),
    }),
  ),
  matching: z.number().describe('How many services contain the text, or have an instance that does.'),
  total: z.number().describe('How many there are.'),
});

export const explanation = z.object({
  request: text,
  route: z
    .object({
      id: text,
      index: z.number(),
      action: z.looseObject({ kind: text }).describe('As the configuration says it.'),
      params: z.record(text, text),
      policies: texts,
      call: z
        .object({ rpc: text, template: text, fields: z.record(text, text), body: text })
        .nullable()
        .optional()
        .describe('Of a route with `transcode`; null where no method has the path.'),
    })
    .nullable(),
  refusal: z.object({ status: z.number(), reason: text }).nullable(),
  considered: z.array(
    z.object({
      id: text,
      index: z.number(),
      host: text,
      chosen: z.boolean(),
      fits: z.boolean(),
      failed: z.enum(['host', 'path', 'method', 'header', 'query', 'version']).nullable(),
      reason: text,
    }),
  ),
});
const step = z.object({
  phase: z.enum(PHASES),
  name: text.describe('What acted: a policy, a route, an instance, a part; empty for the gateway itself.'),
  startMs: z.number().describe('When it began, in milliseconds since the head of the request was whole.'),
  ms: z.number().describe('How long it took.'),
  failed: text.describe('Why it failed or refused the request; empty where it did not.'),
});
export const tried = explanation.extend({
  requestId: text,
  status: z.int(),
  headers: z.array(z.tuple([text, text])),
  body: text.nullable().describe('Text, cut; null where it is none.'),
  bodyBytes: z.number(),
  isCut: z.boolean(),
  times: z.object({ connectMs: z.number(), headMs: z.number(), endMs: z.number() }),
  phases: z
    .array(z.object({ phase: z.enum(PHASES), policies: texts }))
    .describe('Phases in which policies of the route may act, reached or not.'),
  steps: z.array(step).nullable().describe('In the order in which they began; null where they came too late.'),
  record: z
    .looseObject({ time: text, status: z.number() })
    .nullable()
    .describe('As in the access log, with the times that the gateway took.'),
});

export const configuration = configurationStatus.extend({
  etag: text,
  writable: z.boolean(),
  document: z.looseObject({}).describe('By the schema of the configuration; values that may be secrets are `***`.'),
});
const changes = z.object({
  added: texts,
  removed: texts,
  changed: z.array(z.object({ id: text, keys: texts })),
});
export const trial = z.object({
  ok: z.boolean(),
  problems: z.array(
    z.object({
      severity: z.enum(['error', 'warning']),
      file: text.nullable(),
      line: z.number().nullable(),
      column: z.number().nullable(),
      key: text,
      message: text,
      got: text.optional(),
      expected: text.optional(),
      suggestion: text.optional(),
    }),
  ),
  difference: z
    .object({
      listeners: changes,
      services: changes,
      routes: changes,
      reordered: z.boolean(),
      settings: texts,
      secrets: z.boolean(),
    })
    .nullable()
    .describe('Null for a document that is wrong.'),
  restart: texts,
});
export const outcome = z.object({
  kind: z.literal('done').optional(),
  ok: z.boolean(),
  version: z.number(),
  problems: texts,
  restart: texts,
  etag: text.optional(),
});
export const history = z.object({ live: configurationStatus, revisions: z.array(revision) });
export const revisionText = revision.extend({ text });

export const point = z.object({
  at: z.number().describe('Unix time in seconds.'),
  requestsPerSecond: z.number(),
  errorsPerSecond: z.number(),
  p50Ms: z.number().nullable(),
  p99Ms: z.number().nullable(),
  inFlight: z.number(),
  connections: z.number(),
  tunnels: z.number(),
  residentBytes: z.number(),
  processors: z.number().describe('Of all threads.'),
});
/** Further members are those of the line. */
export const logged = z.looseObject({ id: z.number(), time: text, level: text, message: text });

const frame = z.object({
  functionName: text,
  scriptId: text,
  url: text,
  lineNumber: z.number(),
  columnNumber: z.number(),
});
/** Chrome DevTools Protocol, `Profiler.Profile`. */
export const cpuProfile = z.object({
  nodes: z.array(
    z.looseObject({
      id: z.number(),
      callFrame: frame,
      hitCount: z.number().optional(),
      children: z.array(z.number()).optional(),
    }),
  ),
  startTime: z.number(),
  endTime: z.number(),
  samples: z.array(z.number()).optional(),
  timeDeltas: z.array(z.number()).optional(),
});
/** Chrome DevTools Protocol, `HeapProfiler.SamplingHeapProfile`. */
export const heapProfile = z.object({
  head: z.looseObject({ callFrame: frame, selfSize: z.number(), id: z.number(), children: z.array(z.looseObject({})) }),
  samples: z.array(z.object({ size: z.number(), nodeId: z.number(), ordinal: z.number() })),
});

export const limits = z.object({
  limits: z.array(
    z.object({
      by: text,
      algorithm: text,
      limit: text.describe('Such as `60/1m`.'),
      max: z.number(),
      plan: text.nullable(),
      remaining: z.number(),
      resetMs: z.number().describe('Milliseconds until all of it is there again.'),
      retryMs: z.number().describe('Milliseconds until the next request passes; 0: it would now.'),
      routes: texts,
    }),
  ),
});
