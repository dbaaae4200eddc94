/**
 * Tells the service whose request it is: a claim of the token becomes a header field. A token without the claim is
 * refused, since a service that finds no tenant may well take that for all of them.
 *
 * In a project of your own the import reads `from 'gatehouse/policy'`.
 */
import { definePolicy, refuse } from '../../../src/data/contract/user-policy.ts';

interface Options {
  readonly claim: string;
  readonly header?: string;
}

export default definePolicy<Options>({
  name: 'tenant',
  options: {
    type: 'object',
    required: ['claim'],
    additionalProperties: false,
    properties: { claim: { type: 'string', minLength: 1 }, header: { type: 'string', pattern: '^[A-Za-z0-9-]+$' } },
  },
  create({ claim, header = 'X-Tenant' }) {
    return {
      requestHead(request) {
        const tenant = request.identity?.claims[claim];
        // What a header field cannot carry is no tenant either.
        if (typeof tenant !== 'string' || !/^[\w.-]{1,64}$/.test(tenant))
          return refuse(403, { code: 'TENANT_UNKNOWN', message: 'the token names no tenant' });
        request.setUpstreamHeader(header, tenant);
        request.logField('tenant', tenant);
        return undefined;
      },
    };
  },
});
