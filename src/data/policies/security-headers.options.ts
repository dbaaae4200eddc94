/** Options of `securityHeaders` and what they compile to. Each field can be changed, or left out with `off`. */
import * as z from 'zod';
import { duration } from '../../base/zod-units.ts';
import { headerName, oneOrMore } from '../auth/schema-parts.options.ts';
import { definePolicyOptions } from '../contract/options.ts';
import type { SecurityHeadersSettings } from './security-headers.ts';

const line = z
  .string()
  .min(1)
  .max(8_000)
  .regex(/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/, 'must be one line of ASCII');
const offOr = <Type extends z.ZodType>(type: Type) => z.union([z.literal('off'), type]);

const strictTransport = z.strictObject({
  maxAge: duration({ min: 0 }).prefault('365d').describe('How long browsers insist on HTTPS.'),
  includeSubDomains: z.boolean().prefault(true).describe('Also for all hosts below.'),
  preload: z.boolean().prefault(false).describe('Consent to the lists in browsers. Hard to take back.'),
});

const securityHeadersSchema = z
  .strictObject({
    strictTransportSecurity: offOr(strictTransport)
      .prefault({})
      .describe('`Strict-Transport-Security`, on answers over HTTPS only.'),
    contentTypeOptions: offOr(z.literal('nosniff')).prefault('nosniff').describe('`X-Content-Type-Options`.'),
    frameOptions: offOr(z.enum(['DENY', 'SAMEORIGIN']))
      .prefault('DENY')
      .describe('`X-Frame-Options`.'),
    referrerPolicy: offOr(line).prefault('strict-origin-when-cross-origin').describe('`Referrer-Policy`.'),
    contentSecurityPolicy: offOr(line)
      .prefault('off')
      .describe(
        "`Content-Security-Policy`; for an API that serves no pages `default-src 'none'; frame-ancestors 'none'` is a good one.",
      ),
    permissionsPolicy: offOr(line).prefault('off').describe('`Permissions-Policy`.'),
    crossOriginOpenerPolicy: offOr(z.enum(['same-origin', 'same-origin-allow-popups', 'unsafe-none']))
      .prefault('same-origin')
      .describe('`Cross-Origin-Opener-Policy`.'),
    crossOriginResourcePolicy: offOr(z.enum(['same-origin', 'same-site', 'cross-origin']))
      .prefault('off')
      .describe('`Cross-Origin-Resource-Policy`.'),
    remove: oneOrMore(headerName(), 50)
      .prefault(['Server', 'X-Powered-By'])
      .describe('Fields of the service that are not passed on.'),
    override: z.boolean().prefault(false).describe('Replaces what the service says of itself; by default it stays.'),
  })
  .describe('Fields that make browsers careful.');

const NAMES = {
  contentTypeOptions: 'X-Content-Type-Options',
  frameOptions: 'X-Frame-Options',
  referrerPolicy: 'Referrer-Policy',
  contentSecurityPolicy: 'Content-Security-Policy',
  permissionsPolicy: 'Permissions-Policy',
  crossOriginOpenerPolicy: 'Cross-Origin-Opener-Policy',
  crossOriginResourcePolicy: 'Cross-Origin-Resource-Policy',
} as const;

export const securityHeadersOptions = definePolicyOptions({
  key: 'securityHeaders',
  policy: 'security-headers',
  schema: securityHeadersSchema,
  levels: ['gateway', 'service', 'route'],
  compile(options) {
    const set: Record<string, string> = {};
    for (const [option, name] of Object.entries(NAMES)) {
      const value = options[option as keyof typeof NAMES];
      if (value !== 'off') set[name] = value;
    }
    const transport = options.strictTransportSecurity;
    const settings: SecurityHeadersSettings = {
      set,
      strictTransport: transport === 'off' ? null : transportLine(transport),
      remove: options.remove.map((name) => name.toLowerCase()),
      override: options.override,
    };
    return [{ name: 'security-headers', options: settings }];
  },
});

function transportLine({ maxAge, includeSubDomains, preload }: z.output<typeof strictTransport>): string {
  return `max-age=${Math.floor(maxAge / 1_000)}${includeSubDomains ? '; includeSubDomains' : ''}${preload ? '; preload' : ''}`;
}
