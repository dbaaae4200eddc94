/**
 * Every response in one shape: `{ data, requestId, tookMs }`, and lists with their length. Where no code is wanted,
 * `transform.response.envelope` does the like (docs/guide/transforms.md).
 *
 * In a project of your own the import reads `from 'gatehouse/policy'`.
 */
import { definePolicy, jsonBody } from '../../../src/data/contract/user-policy.ts';

interface Options {
  /** Header in which the service says which page this is; it becomes a member. */
  readonly pageHeader?: string;
}

export default definePolicy<Options>({
  name: 'response-envelope',
  options: { type: 'object', additionalProperties: false, properties: { pageHeader: { type: 'string' } } },
  create: ({ pageHeader }) => ({
    responseBody: jsonBody({ maxBytes: 1_048_576 }, (data, exchange) => {
      const page = pageHeader === undefined ? null : exchange.responseHeader(pageHeader.toLowerCase());
      return {
        data,
        requestId: exchange.requestId,
        ...(Array.isArray(data) ? { count: data.length } : {}),
        ...(page === null ? {} : { page: Number(page) }),
      };
    }),
  }),
});
