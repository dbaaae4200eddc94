/** Options of `events.consumers`: services that are called with each event of a stream. */
import { Buffer } from 'node:buffer';
import * as z from 'zod';
import { duration, secret } from '../../../base/zod-units.ts';
import { isFieldName, isFieldValue } from '../../../data/contract/field-block.ts';
import type { SectionContext } from '../../config/section.ts';

/** Standard Webhooks: 24 to 64 bytes in base64, behind `whsec_`. */
const SECRET = /^(whsec_)?[A-Za-z0-9+/]{32,88}={0,2}$/;
/** What the delivery itself says. */
const OWN_FIELDS =
  /^(host|connection|content-length|content-type|transfer-encoding|te|trailer|upgrade|expect|webhook-.*|ce-.*|x-gatehouse-.*)$/i;

const signingSecret = () =>
  secret().regex(SECRET, 'must be whsec_ and 24 to 64 bytes in base64, as `openssl rand -base64 32` gives');

const patternList = (pattern: z.ZodString) => z.union([pattern, z.array(pattern).min(1).max(50)]);

export function consumerSchema(name: z.ZodString, pattern: z.ZodString) {
  return z
    .strictObject({
      stream: name.describe('Stream of `events.streams` whose events are delivered.'),
      subject: patternList(pattern).prefault('>').describe('Patterns of the subjects that are delivered.'),
      service: z.string().min(1).max(200).describe('Service of `services` that is called, once for each event.'),
      path: z
        .string()
        .max(1_000)
        .regex(/^\/[\x21-\x7e]*$/, 'must be a path such as /internal/commits')
        .prefault('/')
        .describe('Path of the call; it may have a query.'),
      method: z.enum(['POST', 'PUT']).prefault('POST').describe('Method of the call.'),
      format: z
        .enum(['cloudevent', 'data'])
        .prefault('cloudevent')
        .describe(
          'Body of the call: `cloudevent`, the event as JSON (structured mode); `data`, what was published, with the attributes in `ce-*` fields (binary mode).',
        ),
      headers: z
        .record(z.string(), secret().max(4_000))
        .prefault({})
        .describe('Further fields of the call, such as a token that the service expects.'),
      sign: z
        .union([signingSecret(), z.array(signingSecret()).min(1).max(5)])
        .optional()
        .describe(
          'Secrets that sign each call as Standard Webhooks say (`webhook-id`, `webhook-timestamp`, `webhook-signature`); with several, a receiver may know any of them, so that they can be changed. Default: not signed.',
        ),
      order: z
        .enum(['key', 'none'])
        .prefault('key')
        .describe('`key`: an event waits until those before it with the same key were delivered. `none`: it does not.'),
      concurrency: z.int().min(1).max(1_000).prefault(10).describe('Most calls at a time.'),
      timeout: duration({ min: 100, max: 600_000 }).prefault('30s').describe('Longest time that one call may take.'),
      attempts: z
        .int()
        .min(1)
        .max(100)
        .prefault(12)
        .describe('Calls that an event is tried with before it becomes a dead letter.'),
      backoff: duration({ min: 100, max: 3_600_000 })
        .prefault('1s')
        .describe('Pause before the second attempt; it doubles with each further one, with up to a quarter more.'),
      maxBackoff: duration({ min: 100, max: 86_400_000 }).prefault('10m').describe('Longest pause between attempts.'),
      from: z
        .enum(['now', 'earliest'])
        .prefault('now')
        .describe('Where a new consumer begins: with what comes from now on, or with the oldest event that is kept.'),
      keepDead: duration({ min: 3_600_000 })
        .prefault('30d')
        .describe('How long dead letters are kept, to be looked at, replayed or dropped.'),
    })
    .describe('A service that gets events of a stream, at least once each.');
}

/** In the plan secrets and values of fields are ids; in the bridge they are themselves. Plain data. */
export interface ConsumerSettings {
  readonly name: string;
  readonly stream: string;
  readonly subjects: readonly string[];
  readonly service: string;
  readonly method: string;
  readonly path: string;
  readonly format: 'cloudevent' | 'data';
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly secrets: readonly string[];
  readonly order: 'key' | 'none';
  readonly concurrency: number;
  readonly timeoutMs: number;
  readonly attempts: number;
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
  readonly from: 'now' | 'earliest';
  readonly keepDeadMs: number;
}

type ConsumerOptions = z.output<ReturnType<typeof consumerSchema>>;

export function compileConsumers(
  consumers: Readonly<Record<string, ConsumerOptions>>,
  streams: readonly string[],
  context: SectionContext,
): ConsumerSettings[] {
  return Object.entries(consumers).map(([name, options]) => {
    const at = ['consumers', name];
    if (!streams.includes(options.stream)) {
      context.problem('there is no such stream', {
        at: [...at, 'stream'],
        got: JSON.stringify(options.stream),
        expected: expectedOf(streams, 'events.streams'),
      });
    }
    context.usesService(options.service);
    if (!context.services.includes(options.service)) {
      context.problem('there is no such service', {
        at: [...at, 'service'],
        got: JSON.stringify(options.service),
        expected: expectedOf(context.services, 'services'),
      });
    }
    for (const [field, value] of Object.entries(options.headers)) {
      if (isFieldName(field) && isFieldValue(value) && !OWN_FIELDS.test(field)) continue;
      context.problem('is no field that a delivery may have', {
        at: [...at, 'headers', field],
        expected: 'a name such as authorization, which the delivery does not write itself, and visible characters',
      });
    }
    const secrets = options.sign === undefined ? [] : [options.sign].flat();
    for (const text of secrets) checkSecret(text, at, context);
    const { subject, timeout, backoff, maxBackoff, keepDead, headers, sign: _, ...same } = options;
    return {
      name,
      ...same,
      subjects: [subject].flat(),
      headers: Object.entries(headers).map(([field, value]) => {
        return [field.toLowerCase(), context.secret(`consumers/${name}/headers/${field}`, value)] as const;
      }),
      secrets: secrets.map((text, index) => context.secret(`consumers/${name}/${index}`, text)),
      timeoutMs: timeout,
      backoffMs: backoff,
      maxBackoffMs: Math.max(backoff, maxBackoff),
      keepDeadMs: keepDead,
    };
  });
}

function checkSecret(text: string, at: readonly string[], context: SectionContext): void {
  const { byteLength } = Buffer.from(text.replace(/^whsec_/, ''), 'base64');
  if (byteLength >= 24 && byteLength <= 64) return;
  context.problem('is no secret for signatures', {
    at: [...at, 'sign'],
    expected: `24 to 64 bytes in base64; these are ${byteLength}`,
  });
}

function expectedOf(names: readonly string[], key: string): string {
  return names.length === 0 ? `a key of ${key}, which is empty` : `one of ${names.join(', ')}`;
}
