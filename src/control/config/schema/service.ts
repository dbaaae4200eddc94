/**
 * One entry of `services`: instances, how one is chosen, how long it may take, when it is tried again. What protects
 * services and callers from failure is in resilience.ts. Compiled by compile/service.ts.
 */
import * as z from 'zod';
import { FAULTS } from '../../../base/errors.ts';
import { duration, durationOrOff, MAX_TIMER_MS, ratio, size } from '../../../base/zod-units.ts';
import { BALANCER_OPTIONS } from '../../../data/catalog.ts';
import type { BalancerOptionsDefinition } from '../../../data/contract/options.ts';
import { LENIENT_FORMS } from '../../../data/contract/snapshot.ts';
import { extensionShape } from './extensions.ts';
import { filePath, method, requestBuffer } from './fields.ts';
import { circuitBreaker, concurrency, ejection, fallback, hedge, sticky, zone } from './resilience.ts';

const deadline = { min: 1, max: MAX_TIMER_MS };

/** Checked here, taken apart by compile/instances.ts. */
const instanceUrl = z.string().min(1).max(2_048);

const instance = z.strictObject({
  url: instanceUrl.describe(
    'Address: `http://host:port`, `https://host:port` or `unix:/path/of.sock`; a path in it goes before the path of every request.',
  ),
  weight: z
    .number()
    .min(0)
    .max(1_000)
    .prefault(1)
    .describe('Share of the traffic, against the other weights; 0 takes no new traffic.'),
  healthy: z
    .boolean()
    .prefault(true)
    .describe('State before the first result of a health check; the state for ever without one.'),
  zone: z.string().min(1).max(100).optional().describe('Zone that the instance is in, for `zone`.'),
  metadata: z
    .record(z.string().min(1).max(100), z.string().max(1_000))
    .prefault({})
    .describe('Facts about the instance, for algorithms and for people.'),
});

/** Chosen where nothing else is; takes turns where all weights are equal. */
export const DEFAULT_ALGORITHM = 'weighted-round-robin';

/** Types of `loadBalancing`: one strict object for each algorithm that exists. */
function loadBalancingSchema() {
  const healthCheckInterval = duration({ min: 100, max: MAX_TIMER_MS })
    .optional()
    .describe('Time between active health checks; the short form of `healthCheck: { interval: ... }`.');
  const meaning = 'How an instance is chosen for each request. Default: `weighted-round-robin`.';
  // Typed as always there; the default algorithm's may be left out.
  const name = (algorithm: string): z.ZodLiteral<string> => {
    const literal = z.literal(algorithm).describe(meaning);
    return algorithm === DEFAULT_ALGORITHM ? (literal.optional() as unknown as z.ZodLiteral<string>) : literal;
  };
  const definitions = BALANCER_OPTIONS as readonly BalancerOptionsDefinition[];
  const options = definitions.map(({ algorithm, schema }) =>
    z.strictObject({
      algorithm: name(algorithm),
      healthCheckInterval,
      ...schema.shape,
    }),
  );
  const [first, ...rest] = options;
  if (first === undefined) throw new TypeError('the catalogue holds no balancing algorithm');
  return z.discriminatedUnion('algorithm', [first, ...rest]);
}

/** What `retries.faults` may name: nothing was decided about the request yet, or it may be idempotent. */
export const RETRIABLE_FAULTS: readonly string[] = Object.values(FAULTS)
  .filter((fault) => fault.side === 'upstream' && fault.retry !== 'never')
  .filter((fault) => fault.phase === 'connect' || fault.phase === 'send' || fault.phase === 'upstreamHead')
  .map((fault) => fault.reason);

const status = z.int().min(100).max(599);

const retriesObject = z.strictObject({
  attempts: z.int().min(0).max(10).prefault(1).describe('Further tries after the first; 0 never tries again.'),
  faults: z
    .array(z.enum(RETRIABLE_FAULTS as [string, ...string[]]))
    .max(20)
    .optional()
    .describe(
      'Faults that are tried again, within what is safe: once bytes were sent, only idempotent requests are. Default: all but `first_byte_timeout`, which is among them when `perTry` is set: what is slow is not made to do the work twice.',
    ),
  statuses: z
    .array(status)
    .max(50)
    .prefault([])
    .describe('Statuses of the service that are tried again, for idempotent requests.'),
  methods: z
    .array(method())
    .max(20)
    .prefault(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])
    .describe('Methods that count as idempotent (RFC 9110 §9.2.2). An `Idempotency-Key` field makes any other one so.'),
  perTry: durationOrOff(deadline)
    .prefault('off')
    .describe('Deadline of each single try to its first byte; `off` goes by `timeouts.firstByte`.'),
  backoff: z
    .strictObject({
      base: duration({ max: 60_000 })
        .prefault('25ms')
        .describe(
          'Longest pause before the first further try; doubled for each next one. The pause is drawn between 0 and that.',
        ),
      max: duration({ max: 60_000 }).prefault('1s').describe('Longest pause at all.'),
    })
    .prefault({})
    .describe('Pauses between tries: exponential, with full jitter.'),
  budget: ratio()
    .prefault('20%')
    .describe('Retries and hedges as a share of requests, over ten seconds and all workers; 100% is no limit.'),
  budgetMinimum: z
    .number()
    .min(0)
    .max(10_000)
    .prefault(3)
    .describe('Retries per second that are always allowed, so that a quiet service can be tried again at all.'),
  maxReplaySize: size({ max: 64 * 1024 ** 2 })
    .prefault('64kb')
    .describe(
      'Request bodies up to this size are kept, so that they can be sent again; requests with larger ones are not tried again once part of the body was sent.',
    ),
});

const retries = z
  .union([z.int().min(0).max(10), retriesObject])
  .prefault({})
  .describe('When a request is tried again; a number is `{ attempts: N }`.');

const timeouts = z
  .strictObject({
    connect: durationOrOff(deadline).prefault('3s').describe('To make a connection, TLS included.'),
    firstByte: durationOrOff(deadline)
      .optional()
      .describe('From the last byte of the request to the first one of the answer. Default: `gateway.serviceTimeout`.'),
    idle: durationOrOff(deadline).prefault('60s').describe('Longest pause inside the body of a response; event streams (`text/event-stream`) have none. Set `off` for long polls.'),
    total: durationOrOff(deadline)
      .prefault('off')
      .describe('The whole exchange, all tries and the body together. Event streams and large downloads need `off`.'),
  })
  .prefault({})
  .describe('Deadlines of the upstream side; missed ones are answered with 504.');

const pool = z
  .strictObject({
    maxConnections: z
      .int()
      .min(1)
      .max(65_535)
      .prefault(256)
      .describe('Most connections for each instance and worker. Over HTTP/2 as many again may be finishing their requests.'),
    maxQueued: z
      .int()
      .min(0)
      .max(1_000_000)
      .prefault(1_024)
      .describe('Requests that may wait for a connection, for each instance and worker; more are answered with 503.'),
    queueTimeout: duration(deadline).prefault('5s').describe('Longest wait for a connection.'),
    perAddress: ratio({ min: 0.001 })
      .prefault('75%')
      .describe(
        'Share of `maxConnections` (over HTTP/2: of their streams) and of `maxQueued` that requests of one address may hold; further ones wait, or are answered with 503. An IPv6 address counts with its /64. `100%` is no limit.',
      ),
    idleTimeout: duration({ min: 100, max: MAX_TIMER_MS })
      .prefault('4s')
      .describe('Idle connections are closed after this long. Keep it below the keep-alive timeout of the service.'),
    maxAge: durationOrOff({ min: 1_000, max: MAX_TIMER_MS })
      .prefault('1h')
      .describe(
        'A connection this old takes no new request and ends when its last one is done, so that names are resolved anew and balancers in between can spread. Each ends up to a tenth earlier, so that not all do at once. `off`: no limit.',
      ),
    pingAfter: durationOrOff({ min: 1_000, max: MAX_TIMER_MS })
      .optional()
      .describe(
        'An HTTP/2 connection on which nothing arrived for this long is sent a PING; HTTP/1.1 has none. Default: `15s`; with `protocol: grpc` `6m`, since gRPC servers end connections that send one more often than every five minutes. `off`: never.',
      ),
    pingTimeout: duration({ min: 1_000, max: MAX_TIMER_MS })
      .prefault('15s')
      .describe('A connection on which nothing arrives for this long after a PING is lost, with the requests on it.'),
  })
  .prefault({})
  .describe('Connections to the instances.');

const tls = z
  .strictObject({
    serverName: z
      .string()
      .min(1)
      .max(253)
      .optional()
      .describe('Name sent (SNI) and checked instead of the host of the instance.'),
    ca: filePath().optional().describe('File with the authorities to trust instead of the system’s, PEM.'),
    cert: filePath()
      .optional()
      .describe('File with the certificate of the gateway, for services that ask for one, PEM.'),
    key: filePath().optional().describe('File with the private key of `cert`, PEM.'),
    verify: z
      .boolean()
      .prefault(true)
      .describe('`false` accepts any certificate. Security: then anybody on the way can read and change everything.'),
  })
  .describe('TLS to `https` instances.');

const host = z
  .union([
    z.enum(['preserve', 'instance']),
    z.strictObject({ fixed: z.string().min(1).max(255).describe('The authority to send.') }),
  ])
  .prefault('preserve')
  .describe(
    '`Host` of upstream requests: the caller’s (`preserve`), the instance’s own (`instance`), or `{ fixed: name }`.',
  );

const core = {
  instances: z
    .array(z.union([instanceUrl, instance]))
    .max(8_000)
    .prefault([])
    .describe('Where the service runs; a text is `{ url: ... }`.'),
  loadBalancing: loadBalancingSchema()
    .optional()
    .describe(
      'How an instance is chosen. Default: `weighted-round-robin`, which takes turns where all weights are equal.',
    ),
  protocol: z
    .enum(['h1', 'h2', 'h2c', 'auto', 'grpc'])
    .prefault('h1')
    .describe(
      'What the instances speak: `h1` is HTTP/1.1; `h2` is HTTP/2, which https instances must choose by ALPN and http ones must know from the first byte (`h2c` says that they all are http); `auto` is what an https instance chooses of the two by ALPN, and HTTP/1.1 for http ones; `grpc` is `h2` for gRPC.',
    ),
  lenient: z
    .array(z.enum(LENIENT_FORMS))
    .min(1)
    .optional()
    .describe(
      'What responses over HTTP/1.1 may do against the grammar, each by name; the gateway writes it anew in the right form. `lengthBesideChunked`: a Content-Length beside `Transfer-Encoding: chunked` is dropped, and the connection not used again. `anyStatus`: statuses from 600 to 999 pass, and count as faults of the service. `lineFeeds`: lines that end with a line feed alone. `folding`: field values over several lines. `blankBeforeColon`: blanks between the name of a field and its colon. `chunkPadding`: blanks between the size of a chunk and the end of its line. Security: an attacker who can put bytes into responses of the service gains more by these; name only what the service needs. Default: nothing. Equal copies of Content-Length are one in any case.',
    ),
  timeout: durationOrOff(deadline).optional().describe('Short form of `timeouts: { firstByte: ... }`.'),
  timeouts,
  retries,
  circuitBreaker: circuitBreaker.optional(),
  ejection: ejection.optional(),
  concurrency: concurrency.optional(),
  hedge: hedge.optional(),
  slowStart: durationOrOff({ min: 100, max: 3_600_000 })
    .prefault('off')
    .describe('How long the share of a new or recovered instance grows to its full weight.'),
  whenAllDown: z
    .enum(['fail', 'try'])
    .prefault('fail')
    .describe('When every instance is down: answer 503 at once (`fail`), or `try` them anyway.'),
  sticky: sticky.optional(),
  zone: zone.optional(),
  fallback: fallback.optional(),
  pool,
  requestBuffer: requestBuffer()
    .prefault('64kb')
    .describe(
      'A connection to an instance is asked for when so much of the request body is here, or all of it: who sends slowly holds none. Not for gRPC, upgrades and clients that wait for `100 Continue`. `off` sends the head at once, for services that read while the client is still thinking.',
    ),
  host,
  tls: tls.optional(),
};

export const serviceSchema = z.strictObject({ ...core, ...(extensionShape('service', Object.keys(core)) as object) });
export type ServiceOptions = z.output<z.ZodObject<typeof core, z.core.$strict>>;
export type ServiceInput = z.input<z.ZodObject<typeof core, z.core.$strict>>;
export type InstanceOptions = z.output<typeof instance>;
export type RetryOptions = z.output<typeof retriesObject>;

/** A number of attempts as the whole. */
export function retryOptions(options: ServiceOptions['retries']): RetryOptions {
  return typeof options === 'number' ? retriesObject.parse({ attempts: options }) : options;
}
