/** Every response of the API in one shape, with what a client wants to know of lists. */
import { defineTransform } from '../../../src/data/contract/user-policy.ts';

export default defineTransform<{ readonly version: string }>({
  options: { type: 'object', required: ['version'], properties: { version: { type: 'string' } } },
  change: (value, { options, requestId, status }) => ({
    version: options.version,
    requestId,
    status,
    count: Array.isArray(value) ? value.length : undefined,
    data: value,
  }),
});
