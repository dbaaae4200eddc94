/** The texts that `gatehouse init --policy NAME` writes. Tests run them: they must work as they are. */

export const POLICY_NAME = /^[a-z][a-z0-9-]{0,63}$/;

export function policyTemplate(name: string): string {
  return `import { definePolicy, refuse } from 'gatehouse/policy';

interface Options {
  /** Header that a request must have. */
  readonly header: string;
}

export default definePolicy<Options>({
  name: '${name}',
  // JSON Schema of the options; a Zod schema is possible, too.
  options: {
    type: 'object',
    additionalProperties: false,
    properties: { header: { type: 'string', pattern: '^[a-z0-9-]+$' } },
  },
  // Once per worker and options: check and precompute here.
  create({ header = 'x-client' }, { log }) {
    log.debug('created', { header });
    return {
      // Before the request is sent to the service. Others: arrival, authenticate, authorize, limit.
      requestHead(request) {
        const client = request.header(header);
        if (client === null) return refuse(400, { code: 'CLIENT_UNKNOWN', detail: \`the header \${header} is missing\` });
        request.setUpstreamHeader('X-Known-Client', client);
        return undefined;
      },
      // When the response begins.
      responseHead(exchange) {
        exchange.addResponseHeader('X-Policy', '${name}');
      },
    };
  },
});
`;
}

export function policyTestTemplate(name: string): string {
  return `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runPolicy } from 'gatehouse/testing';
import policy from './${name}.ts';

test('${name} tells the service who the client is', async () => {
  const { response, upstreamRequest } = await runPolicy(policy, { request: { headers: { 'X-Client': 'app' } } });
  assert.equal(upstreamRequest?.headers['x-known-client'], 'app');
  assert.equal(response.headers['x-policy'], '${name}');
});

test('${name} refuses a request that does not say', async () => {
  const { response, fault } = await runPolicy(policy);
  assert.equal(response.status, 400);
  assert.equal(fault, 'policy_refused');
});
`;
}
