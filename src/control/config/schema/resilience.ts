/**
 * The keys of a service that protect it and its callers when things fail: breaker, ejection, concurrency, hedging,
 * stickiness, zones, fallback. Compiled by compile/resilience.ts, acted on by the data plane's balancer.
 */
import * as z from 'zod';
import { duration, durationOrOff, MAX_TIMER_MS, ratio, secret } from '../../../base/zod-units.ts';
import { cookieName, method, serviceReference } from './fields.ts';
import { fixedResponse } from './response.ts';

const deadline = { min: 1, max: MAX_TIMER_MS };
const countOrUnlimited = z.union([z.literal('unlimited'), z.int().min(1).max(10_000_000)]);

/** Keys and meaning of the Enhanced document, and what it leaves out. */
export const circuitBreaker = z
  .strictObject({
    timeout: durationOrOff(deadline)
      .prefault('off')
      .describe('A response that starts later than this counts as an error.'),
    errorThresholdPercentage: z
      .number()
      .min(1)
      .max(100)
      .prefault(50)
      .describe('Opens when this share of the responses in the window are errors, in percent.'),
    resetTimeout: duration(deadline).prefault('30s').describe('How long it stays open before it lets probes through.'),
    rollingCountTimeout: duration({ min: 100, max: 3_600_000 })
      .prefault('10s')
      .describe('Length of the window in which responses are counted.'),
    rollingCountBuckets: z
      .int()
      .min(1)
      .max(60)
      .prefault(10)
      .describe('Parts of the window; the oldest part is forgotten as a new one begins.'),
    volumeThreshold: z
      .int()
      .min(1)
      .max(1_000_000)
      .prefault(10)
      .describe('Fewest responses in the window before it may open.'),
    halfOpenProbes: z
      .int()
      .min(1)
      .max(1_000)
      .prefault(3)
      .describe('Requests let through at once while it is half open; the rest are answered with 503.'),
    errorStatuses: z
      .array(z.union([z.int().min(400).max(599), z.literal('5xx')]))
      .max(100)
      .prefault(['5xx'])
      .describe(
        'Statuses of the service that count as errors; `5xx` is all from 500 to 599. Faults of the upstream side always count.',
      ),
    scope: z
      .enum(['service', 'instance', 'both'])
      .prefault('both')
      .describe('Whether the service as a whole has a breaker, each of its instances has one, or both.'),
  })
  .check((context) => {
    const { rollingCountTimeout, rollingCountBuckets } = context.value;
    if (rollingCountTimeout % rollingCountBuckets === 0) return;
    context.issues.push({
      code: 'custom',
      path: ['rollingCountBuckets'],
      input: rollingCountBuckets,
      message: `must divide the window of ${rollingCountTimeout} ms evenly`,
    });
  })
  .describe('Stops asking a service, or an instance, that fails, and tries it again after a while.');

export const ejection = z
  .union([z.literal('off'), z.strictObject({
    counts: z
      .enum(['connections', 'failures'])
      .prefault('failures')
      .describe(
        'What counts: lost connections only (refused, reset, timed out, broken off), or every failure, error statuses and slow responses included.',
      ),
    consecutiveFaults: z
      .int()
      .min(0)
      .max(10_000)
      .prefault(5)
      .describe('Faults in a row that eject an instance; 0 turns this off.'),
    deviationFactor: z
      .number()
      .min(0)
      .max(10)
      .prefault(0)
      .describe(
        'Ejects an instance whose share of errors is above the mean of the service by this many standard deviations; 0 turns this off.',
      ),
    minimumRequests: z
      .int()
      .min(1)
      .max(1_000_000)
      .prefault(20)
      .describe('Least requests of an instance in an interval before its share of errors is looked at.'),
    interval: duration({ min: 100, max: MAX_TIMER_MS })
      .prefault('10s')
      .describe('Time between two looks at the shares of errors.'),
    baseEjection: duration({ min: 100, max: MAX_TIMER_MS })
      .prefault('30s')
      .describe('How long the first ejection lasts; each further one lasts that much longer.'),
    maxEjection: duration({ min: 100, max: MAX_TIMER_MS })
      .prefault('5m')
      .describe('How long an ejection lasts at most.'),
    maxEjected: ratio().prefault('50%').describe('Largest share of the instances that may be ejected at one time.'),
  })])
  .describe(
    'Takes instances out of the traffic that answer worse than the others, for a while. Without this key three lost connections in a row take an instance out for 10 s; `off` never does.',
  );

export const concurrency = z
  .strictObject({
    maxPerService: countOrUnlimited
      .prefault('unlimited')
      .describe('Requests in flight for the service, over all workers.'),
    maxPerInstance: countOrUnlimited
      .prefault('unlimited')
      .describe('Requests in flight for each instance, over all workers.'),
    maxQueued: z
      .int()
      .min(0)
      .max(1_000_000)
      .prefault(0)
      .describe('Requests that may wait for their turn; more are answered with 503.'),
    queueTimeout: duration(deadline).prefault('1s').describe('Longest wait.'),
    adaptive: z
      .boolean()
      .prefault(false)
      .describe('Lowers and raises the limit by how the service answers; the numbers above are then the most.'),
  })
  .describe('How many requests may be in flight.');

export const hedge = z
  .strictObject({
    delay: duration(deadline)
      .optional()
      .describe('Sends a second request to another instance after this long without an answer.'),
    percentile: ratio({ min: 0.5, max: 0.9999 })
      .optional()
      .describe('The same, when a response takes longer than this share of recent ones; instead of `delay`.'),
    methods: z.array(method()).min(1).max(10).prefault(['GET', 'HEAD']).describe('Methods that may be sent twice. A request with a body is not.'),
  })
  .check((context) => {
    if ((context.value.delay === undefined) !== (context.value.percentile === undefined)) return;
    context.issues.push({ code: 'custom', input: context.value, message: 'needs either delay or percentile' });
  })
  .describe('A second try while the first is slow, within the budget of `retries`; the slower one is cancelled.');

export const sticky = z
  .strictObject({
    cookie: cookieName().prefault('gatehouse_instance').describe('Name of the cookie.'),
    ttl: duration({ min: 1_000 }).prefault('1h').describe('How long the cookie lives.'),
    key: secret(16).describe(
      'Key that signs the cookie, at least 16 characters; the same on all gateways that share the traffic.',
    ),
    path: z
      .string()
      .regex(/^\/[^;\s]*$/, 'must be a path')
      .prefault('/')
      .describe('Path of the cookie.'),
    secure: z.boolean().optional().describe('`Secure` of the cookie. Default: true if a listener has TLS.'),
    sameSite: z
      .enum(['Lax', 'Strict', 'None'])
      .prefault('Lax')
      .describe('`SameSite` of the cookie; `None` needs `secure`.'),
  })
  .describe('Keeps a caller on the instance that it got first, by a signed cookie, whatever the algorithm.');

export const zone = z
  .strictObject({
    local: z.string().min(1).max(100).describe('Zone that this gateway is in.'),
    minHealthy: ratio()
      .prefault('50%')
      .describe('Traffic leaves the zone when a smaller share of its instances is healthy.'),
    maxInFlightPerInstance: countOrUnlimited
      .prefault('unlimited')
      .describe('Traffic leaves the zone when its instances have more than this many requests in flight each.'),
  })
  .describe('Prefers instances of the same zone.');

export const fallback = z
  .union([
    z.strictObject({ service: serviceReference().describe('Service that is asked instead.') }),
    z.strictObject({ respond: fixedResponse.describe('Response that is sent instead.') }),
  ])
  .describe('What is done when no instance is left or the breaker is open.');
