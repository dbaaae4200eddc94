/**
 * An A/B test: a new visitor is put into one of two groups and stays there by a cookie; the service learns the group
 * from a header field. Nothing of the group is decided by the client but to keep it.
 *
 * In a project of your own the import reads `from 'gatehouse/policy'`.
 */
import { definePolicy } from '../../../src/data/contract/user-policy.ts';

interface Options {
  readonly cookie: string;
  /** Percent of new visitors in group B. */
  readonly share: number;
}

export default definePolicy<Options>({
  name: 'ab-test',
  options: {
    type: 'object',
    required: ['cookie', 'share'],
    additionalProperties: false,
    properties: {
      cookie: { type: 'string', pattern: '^[a-z_]+$' },
      share: { type: 'number', minimum: 0, maximum: 100 },
    },
  },
  create({ cookie, share }) {
    return {
      requestHead(request) {
        let group = request.cookie(cookie);
        if (group !== 'a' && group !== 'b') {
          group = Math.random() * 100 < share ? 'b' : 'a';
          request.addResponseHeader(
            'Set-Cookie',
            `${cookie}=${group}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax`,
          );
        }
        request.setUpstreamHeader('X-Group', group);
        request.logField('group', group);
      },
    };
  },
});
