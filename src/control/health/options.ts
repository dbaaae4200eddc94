/**
 * The service key `healthCheck`, the one source of its types, defaults, bounds and words, and what it compiles to: the
 * form that the monitor reads, with units in the names. The Enhanced document's shorthand
 * `loadBalancing.healthCheckInterval` means an HTTP probe of /health at that interval; `healthCheck` says more and
 * wins.
 */
import * as z from 'zod';
import { regexProblem } from '../../base/safe-regex.ts';
import { formatDuration } from '../../base/units.ts';
import { duration, MAX_TIMER_MS, ratio, size } from '../../base/zod-units.ts';
import { defineSection } from '../config/section.ts';

const STATUS_RANGE = /^([1-5]\d\d)-([1-5]\d\d)$/;

const status = z.int().min(100).max(599);
const statusRange = z.string().regex(STATUS_RANGE, 'must be a range of statuses such as 200-299');

export const healthCheckOptions = z
  .strictObject({
    kind: z
      .enum(['http', 'https', 'tcp', 'grpc'])
      .optional()
      .describe(
        'What is asked: an HTTP response (`http`, `https`), a TCP connection (`tcp`), or `grpc.health.v1.Health/Check` (`grpc`, with TLS when the instance has it). Default: http or https, as the instance URL says.',
      ),
    path: z
      .string()
      .regex(/^\/[^\s#]*$/, 'must be a path that starts with /')
      .prefault('/health')
      .describe('Path and query that HTTP probes ask for, behind the path of the instance URL if it has one.'),
    method: z.enum(['GET', 'HEAD']).prefault('GET').describe('Method of HTTP probes.'),
    interval: duration({ min: 100, max: MAX_TIMER_MS })
      .prefault('10s')
      .describe('Time from the start of one probe of an instance to the start of the next.'),
    timeout: duration({ min: 10, max: MAX_TIMER_MS })
      .optional()
      .describe(
        'A probe without its whole answer after this long has failed. Default 2s, or the interval if that is shorter.',
      ),
    jitter: ratio({ max: 0.5 })
      .prefault('10%')
      .describe('Random share by which each interval is made longer or shorter, so that probes do not march in step.'),
    healthyThreshold: z
      .int()
      .min(1)
      .max(100)
      .prefault(2)
      .describe('Good responses in a row that bring an instance back. The very first needs no second.'),
    unhealthyThreshold: z.int().min(1).max(100).prefault(3).describe('Failures in a row that take an instance out.'),
    expectStatus: z
      .union([
        status,
        statusRange,
        z
          .array(z.union([status, statusRange]))
          .min(1)
          .max(32),
      ])
      .prefault('200-299')
      .describe('Statuses that count as good: a number, a range such as `200-299`, or a list of both. HTTP only.'),
    expectBody: z
      .union([
        z.string().min(1),
        z.strictObject({ regex: z.string().min(1).describe('What must be found in the first 8 KiB of the body.') }),
      ])
      .optional()
      .describe(
        'Text that the body must contain, or `{ regex: ... }` that must be found in its first 8 KiB. HTTP only.',
      ),
    maxBody: size({ min: 1, max: 1024 ** 2 })
      .prefault('64kb')
      .describe('How much of the body is read; `expectBody` looks at no more than this.'),
    headers: z
      .record(z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'must be a field name'), z.string())
      .prefault({})
      .describe('Fields that HTTP and gRPC probes send. `Host` replaces the instance’s own authority.'),
    port: z
      .int()
      .min(1)
      .max(65_535)
      .optional()
      .describe('Port to probe, when it is not the one that takes the traffic.'),
    grpcService: z
      .string()
      .max(256)
      .prefault('')
      .describe('Service name that gRPC probes ask about; empty asks about the server as a whole.'),
  })
  .check((context) => {
    const { interval, timeout, expectBody, expectStatus, method } = context.value;
    const refuse = (path: string, input: unknown, message: string, expected: string): void => {
      context.issues.push({ code: 'custom', path: [path], input, message, params: { expected } });
    };
    if (timeout !== undefined && timeout > interval) {
      refuse('timeout', timeout, 'longer than the interval', `at most ${formatDuration(interval)}`);
    }
    if (method === 'HEAD' && expectBody !== undefined) {
      refuse('expectBody', expectBody, 'a response to HEAD has no body', '`method: GET`, or no `expectBody`');
    }
    const slow = typeof expectBody === 'object' ? regexProblem(expectBody.regex) : undefined;
    if (slow !== undefined) refuse('expectBody', expectBody, slow, 'a regular expression that no text can make slow');
    for (const range of [expectStatus].flat()) {
      if (typeof range === 'string' && statusBounds(range).first > statusBounds(range).last) {
        refuse('expectStatus', range, 'runs backwards', 'a range from the lower to the higher status');
      }
    }
  });

/** As written in a configuration. */
export type HealthCheckInput = z.input<typeof healthCheckOptions>;
export type HealthCheckOptions = z.output<typeof healthCheckOptions>;

export interface StatusRange {
  readonly first: number;
  readonly last: number;
}

/** What the monitor and the probes read. Plain data, so that two of them can be compared as JSON. */
export interface HealthCheckSettings {
  /** `auto` is http or https, as the instance's URL says. */
  readonly kind: 'auto' | 'http' | 'https' | 'tcp' | 'grpc';
  readonly path: string;
  readonly method: 'GET' | 'HEAD';
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly jitterRatio: number;
  readonly healthyThreshold: number;
  readonly unhealthyThreshold: number;
  readonly expectStatus: readonly StatusRange[];
  readonly expectBody: { readonly contains: string } | { readonly regex: string } | null;
  readonly maxBodyBytes: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly port: number | null;
  readonly grpcService: string;
}

const DEFAULT_TIMEOUT_MS = 2_000;

export function healthCheckSettings(options: HealthCheckOptions): HealthCheckSettings {
  return {
    kind: options.kind ?? 'auto',
    path: options.path,
    method: options.method,
    intervalMs: options.interval,
    timeoutMs: options.timeout ?? Math.min(DEFAULT_TIMEOUT_MS, options.interval),
    jitterRatio: options.jitter,
    healthyThreshold: options.healthyThreshold,
    unhealthyThreshold: options.unhealthyThreshold,
    expectStatus: [options.expectStatus].flat().map(statusBounds),
    expectBody:
      typeof options.expectBody === 'string' ? { contains: options.expectBody } : (options.expectBody ?? null),
    maxBodyBytes: options.maxBody,
    headers: options.headers,
    port: options.port ?? null,
    grpcService: options.grpcService,
  };
}

/** Milliseconds of the shorthand, as a whole check. */
function fromInterval(intervalMs: number | undefined): HealthCheckSettings | null {
  return intervalMs === undefined ? null : healthCheckSettings(healthCheckOptions.parse({ interval: intervalMs }));
}

export const healthCheckSection = defineSection({
  at: 'service',
  key: 'healthCheck',
  schema: healthCheckOptions.describe(
    'Asks every instance again and again whether it is well; one that is not gets no requests until it is.',
  ),
  /** Null: the service is not probed. */
  compile(options, context): HealthCheckSettings | null {
    return options === undefined ? fromInterval(context.healthCheckIntervalMs) : healthCheckSettings(options);
  },
});

function statusBounds(range: number | string): StatusRange {
  if (typeof range === 'number') return { first: range, last: range };
  const match = STATUS_RANGE.exec(range);
  return { first: Number(match?.[1]), last: Number(match?.[2]) };
}
