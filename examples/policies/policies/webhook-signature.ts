/**
 * Lets only webhooks pass that carry a valid signature: HMAC-SHA256 with a shared secret over the time and the body, as
 * many senders do. An old one is refused, so that a recorded request is not worth keeping.
 *
 * In a project of your own the second import reads `from 'gatehouse/policy'`.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { definePolicy, refuse } from '../../../src/data/contract/user-policy.ts';

interface Options {
  /** Name of the environment variable that has the secret: it stands in no file. */
  readonly secretFrom: string;
  /** Oldest signature, in seconds. */
  readonly maxAge: number;
}

const MAX_BODY = 1_048_576;
const SIGNATURE = /^t=(\d{1,12}),v1=([0-9a-f]{64})$/;

export default definePolicy<Options>({
  name: 'webhook-signature',
  options: {
    type: 'object',
    required: ['secretFrom', 'maxAge'],
    additionalProperties: false,
    properties: { secretFrom: { type: 'string' }, maxAge: { type: 'integer', minimum: 1 } },
  },
  create({ secretFrom, maxAge }, { clock }) {
    const secret = process.env[secretFrom] ?? '';
    if (secret.length < 16) throw new Error(`the variable ${secretFrom} has no secret of 16 characters or more`);
    const refused = refuse(401, { code: 'SIGNATURE_INVALID', message: 'the signature is missing, old or wrong' });
    return {
      async authenticate(request) {
        const [, time = '', signature = ''] = SIGNATURE.exec(request.header('x-signature') ?? '') ?? [];
        if (time === '' || Math.abs(clock.wallMs() / 1_000 - Number(time)) > maxAge) return refused;
        const body = await request.readBody(MAX_BODY);
        const expected = createHmac('sha256', secret).update(`${time}.`).update(body).digest();
        return timingSafeEqual(expected, Buffer.from(signature, 'hex')) ? undefined : refused;
      },
    };
  },
});
