/**
 * The key `gateway.accessRecords`: form and fields of the access log, which records are written, what is hidden,
 * rotation.
 */
import * as z from 'zod';
import { regexProblem } from '../../base/safe-regex.ts';
import { ratio } from '../../base/zod-units.ts';
import { type AccessRecordSettings, RECORD_FIELDS } from '../../data/contract/access-records.ts';
import { defineSection } from '../config/section.ts';
import type { RotationPlan } from '../file-rotation.ts';
import { rotationPlan, rotationSchema } from '../file-rotation-options.ts';
import { credentialNames } from './credential-names.ts';

export interface AccessRecordsPlan {
  readonly settings: AccessRecordSettings;
  readonly rotation: RotationPlan | null;
}

const USUAL: AccessRecordSettings['fields'] = RECORD_FIELDS.filter((field) => field !== 'query' && field !== 'referer');
/** What must not be in a log, whoever chose the field. */
const SECRET_NAMES = [
  ...[
    'authorization',
    'proxy-authorization',
    'cookie',
    'set-cookie',
    'x-api-key',
    'token',
    'access_token',
    'refresh_token',
  ],
  ...[
    'id_token',
    'api_key',
    'apikey',
    'key',
    'password',
    'secret',
    'client_secret',
    'code',
    'signature',
    'sig',
    'ticket',
  ],
];

const field = z.union([
  z.enum(RECORD_FIELDS),
  z
    .string()
    .regex(/^header:[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'must be a field of the record, or header:NAME')
    .transform((text) => text.toLowerCase() as `header:${string}`),
]);

const pattern = z
  .string()
  .max(1_024)
  .check((context) => {
    const problem = regexProblem(context.value);
    if (problem !== undefined) context.issues.push({ code: 'custom', input: context.value, message: problem });
  });

export const accessRecordsSection = defineSection({
  at: 'gateway',
  key: 'accessRecords',
  schema: z
    .strictObject({
      format: z
        .enum(['json', 'logfmt', 'combined'])
        .prefault('json')
        .describe("`json` or `logfmt` with `fields`, or `combined`, Apache's own form, whose fields are fixed."),
      fields: z
        .array(field)
        .min(1)
        .max(100)
        .optional()
        .describe(
          'Fields in their order; also `query`, `referer` and `header:NAME` of the request. Default: those of the usual record. With `combined`, `query` adds the query to the path.',
        ),
      successes: ratio()
        .prefault('100%')
        .describe('Share of the requests below 400 that are written. Others are always written.'),
      redact: z
        .strictObject({
          names: z
            .array(z.string().min(1).max(200))
            .max(1_000)
            .prefault([])
            .describe(
              'Query parameters and header fields whose values are hidden, besides those that usually hold secrets.',
            ),
          patterns: z
            .array(pattern)
            .max(100)
            .prefault([])
            .describe(
              'Regular expressions; what they match is hidden in every text, also in paths, and in the live tail, security events and paths of spans.',
            ),
        })
        .prefault({})
        .describe('What is written as `***`.'),
      rotate: rotationSchema
        .optional()
        .describe('Rotation of the file of `accessLog`. Default: none; SIGUSR1 opens a file that was moved anew.'),
    })
    .describe('What the access log says, and how. Default: the JSON record of the guide.'),
  /** Null: the usual record. */
  compile(options, context): AccessRecordsPlan | null {
    if (options === undefined) return null;
    const { format, fields, successes, redact, rotate } = options;
    if (format === 'combined' && fields?.some((each) => each !== 'query') === true)
      context.problem('has no effect on the combined format, but for query', { at: ['fields'] });
    const configured = context.document === undefined ? [] : credentialNames(context.document);
    return {
      settings: {
        format,
        fields: fields ?? USUAL,
        successes,
        hiddenNames: [...new Set([...SECRET_NAMES, ...configured, ...redact.names.map((name) => name.toLowerCase())])],
        hiddenPatterns: redact.patterns,
      },
      rotation: rotationPlan(rotate),
    };
  },
});
