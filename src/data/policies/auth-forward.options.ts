/** How the identity reaches the service (`auth.identity`), as it is written and what it compiles to. */
import * as z from 'zod';
import { systemClock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import { duration, secret } from '../../base/zod-units.ts';
import { signedHeaders } from '../auth/identity-headers.ts';
import type { ForwardSettings } from '../contract/auth.ts';
import type { OptionContext } from '../contract/options.ts';
import { MIN_SECRET_BYTES } from './auth-issuers.options.ts';

const signed = z.strictObject({
  signed: z
    .strictObject({
      algorithm: z.enum(['HS256', 'ES256', 'EdDSA']).prefault('HS256').describe('Signature.'),
      secret: secret(MIN_SECRET_BYTES)
        .optional()
        .describe('For HS256: a secret of 32 bytes or more that the service knows too.'),
      key: z.string().min(1).optional().describe('For ES256 and EdDSA: the private key in PEM, or a file with it.'),
      keyId: z.string().min(1).max(256).optional().describe('`kid` of the header. Default: none.'),
      issuer: z.string().min(1).max(1_000).prefault('gatehouse').describe('`iss` of the header.'),
      audience: z.string().max(1_000).prefault('').describe('`aud` of the header; empty for none.'),
      lifetime: duration({ min: 60_000, max: 3_600_000 })
        .prefault('1m')
        .describe('How long a service may believe one header.'),
    })
    .check(({ value, issues }) => {
      const wanted = value.algorithm === 'HS256' ? 'secret' : 'key';
      if (value[wanted] !== undefined) return;
      issues.push({ code: 'custom', path: [wanted], input: value, message: `${value.algorithm} needs a ${wanted}` });
    })
    .describe('One signed field, `X-Auth-Identity`, which the service can verify.'),
});

export const forwardSchema = z
  .union([z.enum(['plain', 'none']), signed])
  .describe(
    'How the identity reaches the service: `plain`, as `X-Auth-Subject`, `-Roles`, `-Scopes`, `-Plan` and `-Method`; `none`; or `{ signed: ... }`, for services that others than the gateway can reach. Copies that callers send are always removed. Default: plain.',
  );

/** Undefined when something was wrong, which then is reported. */
export function compileForward(
  options: z.output<typeof forwardSchema>,
  context: OptionContext,
): ForwardSettings | undefined {
  if (typeof options === 'string') return { kind: options };
  const { algorithm, keyId, issuer, audience, lifetime, secret: shared = '', key = '' } = options.signed;
  const at = ['identity', 'signed', 'key'];
  const isText = algorithm === 'HS256' || key.includes('-----BEGIN');
  const text = algorithm === 'HS256' ? shared : isText ? key : context.readText(key, { at });
  if (text === undefined) return undefined;
  const settings = { algorithm, kid: keyId ?? null, issuer, audience, lifetimeSeconds: lifetime / 1_000 };
  try {
    signedHeaders(settings, text, systemClock);
  } catch (error) {
    context.problem(messageOf(error), { at });
    return undefined;
  }
  return { kind: 'signed', signed: settings, secret: context.secret('identity-key', text) };
}
