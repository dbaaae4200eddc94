/**
 * The section `gateway`: where the process listens, what it grants to connections, how it talks about itself. Compiled
 * by compile/gateway.ts; listeners and their certificates are in listener.ts.
 */
import * as z from 'zod';
import { LOG_AREAS, LOG_LEVELS } from '../../../base/log.ts';
import { cidr, duration, durationOrOff, MAX_TIMER_MS, ratio, size, sizeOrUnlimited } from '../../../base/zod-units.ts';
import { extensionShape } from './extensions.ts';
import { filePath, plainPath, TOKEN } from './fields.ts';
import { host, listener, port } from './listener.ts';

const deadline = { min: 100, max: MAX_TIMER_MS };

const perAddress = z
  .strictObject({
    connections: ratio({ min: 0.001 })
      .prefault('75%')
      .describe('Share of `maxConnections` that one address may have open; further ones are closed unread. `100%` is no limit.'),
    slowBodies: z
      .int()
      .min(1)
      .max(1_000_000)
      .prefault(256)
      .describe(
        'Most request bodies of one address that come at less than 8 KB a second, for each worker; of more, the slowest are answered with 408.',
      ),
  })
  .prefault({})
  .describe(
    'What one address may hold of a worker, so that others always have a part. An IPv6 address counts with its /64. Clients of `trustProxy` count by their own address, the proxies not at all.',
  );

const limits = z
  .strictObject({
    maxHeadSize: size({ min: 1024, max: 1024 ** 2 })
      .prefault('32kb')
      .describe('Largest request head: request line and header fields together. A larger one is answered with 431.'),
    maxTargetSize: size({ min: 256, max: 64 * 1024 })
      .prefault('8kb')
      .describe('Longest request target (path and query). A longer one is answered with 414.'),
    maxFields: z
      .int()
      .min(10)
      .max(1_000)
      .prefault(100)
      .describe('Most header fields of a request; more are answered with 431.'),
    maxConnections: z
      .int()
      .min(1)
      .max(1_000_000)
      .prefault(20_000)
      .describe('Most open downstream connections for each worker. Further ones are answered with 503 and closed.'),
    perAddress,
    maxTunnels: z
      .int()
      .min(0)
      .max(1_000_000)
      .prefault(10_000)
      .describe('Most open tunnels (WebSocket) for each worker.'),
    maxRequestsPerConnection: z
      .int()
      .min(1)
      .max(1_000_000_000)
      .prefault(100_000)
      .describe('After this many requests a connection is closed, which lets load spread anew.'),
    minBodyRate: size({ max: 1024 ** 3 })
      .prefault('240b')
      .describe(
        'Least average size per second of a request body, after a grace of `timeouts.bodyIdle`; slower ones are answered with 408. 0 turns it off.',
      ),
    minReadRate: size({ max: 1024 ** 3 })
      .prefault('240b')
      .describe(
        'Least average size per second that a client takes of a response while bytes wait for it, over `timeouts.write`; the connection of a slower one is closed. 0: any byte in that time will do.',
      ),
  })
  .prefault({})
  .describe('Sizes and counts granted to downstream connections.');

const http2 = z
  .strictObject({
    maxConcurrentStreams: z
      .int()
      .min(1)
      .max(10_000)
      .prefault(100)
      .describe('Most requests in flight on one connection; a client that opens more has them refused, unprocessed.'),
    streamWindow: size({ min: 65_535, max: 64 * 1024 ** 2 })
      .prefault('256kb')
      .describe('How much of one request body may wait here for a slow service. Larger is faster over long distances.'),
    connectionWindow: size({ min: 65_535, max: 256 * 1024 ** 2 })
      .prefault('1mb')
      .describe('The same for all request bodies of one connection together; never less than `streamWindow`.'),
  })
  .prefault({})
  .describe('What one downstream HTTP/2 connection may have at a time.');

const timeouts = z
  .strictObject({
    head: durationOrOff(deadline)
      .prefault('10s')
      .describe('From the first byte of a request to the end of its head; later is answered with 408.'),
    keepAlive: durationOrOff(deadline)
      .prefault('75s')
      .describe('Longest pause between two requests on one connection.'),
    bodyIdle: durationOrOff(deadline)
      .prefault('30s')
      .describe('Longest pause inside a request body; longer is answered with 408.'),
    write: durationOrOff(deadline)
      .prefault('60s')
      .describe('Longest time that a caller may leave written bytes unread before the connection is closed.'),
    tunnelIdle: durationOrOff(deadline)
      .prefault('1h')
      .describe('Longest pause, in both directions, in a tunnel (WebSocket).'),
  })
  .prefault({})
  .describe('Deadlines of downstream connections.');

const endpointPath = z.union([z.literal('off'), plainPath()]);

const endpoints = z
  .union([
    z.literal('off'),
    z.strictObject({
      health: endpointPath.prefault('/health').describe('Health of the gateway and its services in short.'),
      live: endpointPath.prefault('/health/live').describe('Liveness: answers as long as the process works.'),
      ready: endpointPath
        .prefault('/health/ready')
        .describe('Readiness: fails while the gateway starts, drains or lacks what it needs.'),
      detailed: endpointPath.prefault('/health/detailed').describe('Health in detail: instances, balancers, breakers.'),
      status: endpointPath.prefault('/status').describe('What runs: version, workers, uptime.'),
      metrics: endpointPath
        .prefault('/metrics')
        .describe('Metrics, as Prometheus text or JSON: as `Accept` asks for, else as `metricsFormat` says.'),
      prometheus: endpointPath.prefault('/metrics/prometheus').describe('Metrics as Prometheus text.'),
      grpcHealth: z
        .boolean()
        .prefault(false)
        .describe(
          'Answers `grpc.health.v1.Health` (`Check`, `Watch`): readiness of the gateway for the empty name, else the service of that name.',
        ),
    }),
  ])
  .prefault({})
  .describe('Paths of the built-in endpoints; `off` turns one, or all of them, off.');

const operations = z
  .strictObject({
    from: z
      .array(cidr())
      .max(1_000)
      .prefault(['127.0.0.0/8', '::1/128'])
      .describe(
        'Blocks of addresses that may read health in detail, status and metrics on the listeners of the gateway; others get 403. They tell versions, instances and routes. Behind a proxy on this machine, name it in `trustProxy`, or all its clients come from here.',
      ),
    port: port()
      .optional()
      .describe('Port of a listener of its own for all endpoints. Health in detail, status and metrics are then on no other.'),
    host: host().prefault('127.0.0.1').describe('Address of that listener.'),
  })
  .prefault({})
  .describe('Who may see how the gateway is. `/health`, `/health/live` and `/health/ready` are open to all.');

const accessLog = z
  .union([z.enum(['off', 'stdout']), z.strictObject({ file: filePath().describe('File that lines are added to.') })])
  .prefault('off')
  .describe('Where the access log goes, one JSON object a line: `off`, `stdout`, or `{ file: ... }`.');

const core = {
  name: z.string().min(1).max(100).prefault('gatehouse').describe('Name of this gateway in logs, health and traces.'),
  version: z
    .string()
    .min(1)
    .max(100)
    .optional()
    .describe('Version that the health endpoint reports. Default: the version of Gatehouse.'),
  port: port().prefault(8000).describe('Port to listen on; 0 lets the system choose. Not with `listeners`.'),
  host: host().prefault('0.0.0.0').describe('Address to listen on. Not with `listeners`.'),
  listeners: z
    .array(listener)
    .min(1)
    .max(32)
    .optional()
    .describe('Several addresses, TLS, PROXY protocol; instead of `port` and `host`.'),
  workers: z
    .union([z.literal('auto'), z.int().min(1).max(64)])
    .prefault('auto')
    .describe(
      'Worker threads that serve traffic. `auto` is one for each processor; where the system cannot share a port between threads (macOS, Windows) it is one.',
    ),
  spareWorker: z
    .boolean()
    .prefault(true)
    .describe(
      'Where there is one worker thread, another one stands by, ready but for its sockets (about 17 MB), so that the death of the worker costs what it had in flight and no start. Read at start.',
    ),
  clusterMode: z
    .boolean()
    .optional()
    .describe('`false` is one worker thread, whatever `workers` says; `true` goes by `workers`.'),
  dataDir: filePath()
    .prefault('./data')
    .describe('Folder for everything the gateway keeps: control socket, databases, keys. Made when it is missing.'),
  watch: z
    .boolean()
    .prefault(true)
    .describe('Reload when the configuration, or a file that it names, changes. `false` waits for `gatehouse reload`.'),
  logLevel: z.enum(LOG_LEVELS).prefault('info').describe('Least level of the process log on standard error.'),
  logLevels: z
    .partialRecord(z.enum(LOG_AREAS), z.enum(LOG_LEVELS))
    .optional()
    .describe('Least level of areas that have one of their own: `{ discovery: debug }`. Default: `logLevel`.'),
  accessLog,
  operations,
  metricsFormat: z
    .enum(['prometheus', 'json'])
    .prefault('prometheus')
    .describe('What `endpoints.metrics` answers where `Accept` names neither `text/plain` nor `application/json`.'),
  nativeHistograms: z
    .boolean()
    .prefault(false)
    .describe(
      'Gives a Prometheus that asks for protobuf the native histograms of durations too, each bucket 9 % wide. A Prometheus of before 2.45 then keeps no classic buckets, which the generated dashboards read.',
    ),
  errorFormat: z
    .enum(['problem', 'nested', 'flat'])
    .prefault('problem')
    .describe('Shape of error bodies where `Accept` does not decide: `problem` (RFC 9457), `nested` or `flat`.'),
  trustProxy: z
    .array(cidr())
    .max(10_000)
    .prefault([])
    .describe(
      'Blocks of addresses whose `X-Forwarded-*`, `Forwarded`, `X-Request-ID` and PROXY headers are believed. Security: list only proxies of your own.',
    ),
  via: z
    .string()
    .max(100)
    .regex(TOKEN, 'must be a name without blanks, or off')
    .prefault('gatehouse')
    .describe('Name of the gateway in `Via` fields (RFC 9110 §7.6.3); `off` sends none.'),
  forwarded: z
    .strictObject({
      realIp: z.boolean().prefault(false).describe('`X-Real-IP`: the address of the client, one without a list.'),
      port: z
        .boolean()
        .prefault(false)
        .describe(
          '`X-Forwarded-Port`: the port that the client asked. What a proxy in `trustProxy` says of it passes in any case.',
        ),
    })
    .optional()
    .describe(
      'Fields about the client that services get beside `X-Forwarded-For`, `-Proto`, `-Host`, `-Prefix` and `Forwarded`.',
    ),
  shutdownDelay: duration({ max: 600_000 })
    .prefault('0s')
    .describe(
      'How long a gateway that stops goes on accepting while readiness already fails, so that balancers in front stop sending first. Each response says meanwhile that it is the last of its connection.',
    ),
  shutdownTimeout: duration({ max: 3_600_000 })
    .prefault('30s')
    .describe('How long requests in flight may take to finish when the gateway stops, or a reload takes their listener away.'),
  maxRequestSize: sizeOrUnlimited()
    .prefault('10mb')
    .describe(
      'Largest request body, counted while it streams; a larger one is answered with 413. Routes may say otherwise.',
    ),
  serviceTimeout: durationOrOff({ min: 1, max: MAX_TIMER_MS })
    .prefault('30s')
    .describe(
      'How long a service may take to start its answer, for services that set neither `timeout` nor `timeouts.firstByte`.',
    ),
  limits,
  http2,
  timeouts,
  endpoints,
};

/**
 * The Enhanced document's `rateLimit`, which must load as it stands. Without a feature that owns the key, the document
 * is accepted with a warning (compile/gateway.ts); this is the one key that a version without the feature lets pass.
 */
const documentRateLimit = z
  .strictObject({
    windowMs: duration({ min: 1_000 }).describe('Length of the window.'),
    max: z.int().min(1).max(1_000_000_000).describe('Most requests of one address in the window.'),
  })
  .describe('Not enforced by this version, which warns about it.');

const extensions = extensionShape('gateway', Object.keys(core));
/** True where a feature enforces `gateway.rateLimit`. */
export const HAS_RATE_LIMIT: boolean = 'rateLimit' in extensions;

export const gatewaySchema = z.strictObject({
  ...core,
  ...((HAS_RATE_LIMIT ? {} : { rateLimit: documentRateLimit.optional() }) as object),
  ...(extensions as object),
});
export type GatewayOptions = z.output<z.ZodObject<typeof core, z.core.$strict>>;
export type GatewayInput = z.input<z.ZodObject<typeof core, z.core.$strict>>;
