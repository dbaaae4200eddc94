/**
 * What services send to the registration API: the schemas, and their problems as records that name the field, the
 * value and what was expected. Bounds that hang on the configuration (leases) are handed in.
 */
import * as z from 'zod';
import type { FieldError } from '../../../base/error-body.ts';
import { formatDuration, parseDurationMs } from '../../../base/units.ts';
import { MAX_METADATA, MAX_METADATA_KEY, MAX_METADATA_VALUE, MAX_WEIGHT, readInstanceUrl } from '../instance.ts';
import type { Changes, Registration, RegistrySettings } from './leases.ts';

export type Read<T> = { readonly value: T } | { readonly problems: readonly FieldError[] };

const EXPECTED_WEIGHT = `a number from 0 to ${MAX_WEIGHT}; 0 takes no new traffic`;
const EXPECTED_ZONE = 'a text of 1 to 64 characters, or null';
const EXPECTED_METADATA = `an object of at most ${MAX_METADATA} texts; keys up to ${MAX_METADATA_KEY} and texts up to ${MAX_METADATA_VALUE} characters`;

const weight = z.number(EXPECTED_WEIGHT).min(0, EXPECTED_WEIGHT).max(MAX_WEIGHT, EXPECTED_WEIGHT);
const zone = z.string(EXPECTED_ZONE).min(1, EXPECTED_ZONE).max(64, EXPECTED_ZONE).nullable();
const metadata = z
  .record(z.string().min(1).max(MAX_METADATA_KEY), z.string().max(MAX_METADATA_VALUE), EXPECTED_METADATA)
  .refine((entries) => Object.keys(entries).length <= MAX_METADATA, EXPECTED_METADATA);

const url = z.string('an http or https URL such as http://10.0.0.7:4001').transform((text, context) => {
  const read = readInstanceUrl(text);
  if ('url' in read) return read.url;
  context.issues.push({ code: 'custom', input: text, message: read.expected });
  return z.NEVER;
});

export const changesSchema = z.strictObject({
  weight: weight.optional(),
  zone: zone.optional(),
  metadata: metadata.optional(),
});

export function registrationSchema({ leaseMs }: Pick<RegistrySettings, 'leaseMs'>) {
  const expected = `a duration from ${formatDuration(leaseMs.min)} to ${formatDuration(leaseMs.max)}, such as "30s" or 30000 (milliseconds)`;
  const lease = z.union([z.string(), z.number()], expected).transform((input, context) => {
    const ms = parseDurationMs(input);
    if (ms !== undefined && ms >= leaseMs.min && ms <= leaseMs.max) return Math.round(ms);
    context.issues.push({ code: 'custom', input, message: expected });
    return z.NEVER;
  });
  return z.strictObject({
    url,
    weight: weight.prefault(1),
    zone: zone.prefault(null),
    metadata: metadata.prefault({}),
    lease: lease.prefault(leaseMs.default),
  });
}

export function readRegistration(body: unknown, settings: RegistrySettings): Read<Registration> {
  const result = registrationSchema(settings).safeParse(body);
  if (!result.success) return { problems: problemsOf(result.error, body) };
  const { lease, ...rest } = result.data;
  return { value: { ...rest, leaseMs: lease } };
}

/** An absent body changes nothing. */
export function readChanges(body: unknown): Read<Changes> {
  const result = changesSchema.safeParse(body ?? {});
  if (!result.success) return { problems: problemsOf(result.error, body) };
  const { data } = result;
  return {
    value: {
      ...(data.weight === undefined ? {} : { weight: data.weight }),
      ...(data.zone === undefined ? {} : { zone: data.zone }),
      ...(data.metadata === undefined ? {} : { metadata: data.metadata }),
    },
  };
}

function problemsOf(error: z.ZodError, body: unknown): FieldError[] {
  return error.issues.flatMap((issue): FieldError[] => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({
        field: [...issue.path, key].map(String).join('.'),
        value: shown(valueAt(body, [...issue.path, key])),
        expected: 'no such field',
      }));
    }
    if (issue.path.length === 0) return [{ field: 'body', value: shown(body), expected: 'a JSON object' }];
    // Inside metadata the field is named, and what metadata is to be says the rest.
    const expected = issue.path[0] === 'metadata' ? EXPECTED_METADATA : issue.message;
    return [{ field: issue.path.map(String).join('.'), value: shown(valueAt(body, issue.path)), expected }];
  });
}

function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  let value = body;
  for (const key of path) value = (value as Record<PropertyKey, unknown> | null | undefined)?.[key];
  return value;
}

/** Null for what was not sent; never more than a line of text, never the password of a URL. */
function shown(value: unknown): unknown {
  if (value === undefined) return null;
  if (typeof value === 'string') {
    const safe = value.slice(0, 2_048).replace(/\/\/[^/]*@/, '//***@');
    return safe.length > 200 ? `${safe.slice(0, 200)}...` : safe;
  }
  if (typeof value === 'object' && value !== null) {
    const text = JSON.stringify(value);
    return text.length > 200 ? `${text.slice(0, 200)}...` : value;
  }
  return value;
}
