/**
 * What the document of the cluster API says besides its operations, for clients made from it alone: how callers prove
 * who they are, and the shape of all errors. In the gateway's own document (api-pages) the routes say both.
 */
import type { ErrorFormat } from '../../base/error-body.ts';
import { errorComponents } from '../error-schema.ts';
import { isMapping, type Mapping, METHODS } from '../openapi-document.ts';

const SCHEMES = {
  bearer: { type: 'http', scheme: 'bearer', description: 'Access token of a caller that the gateway knows.' },
  apiKey: { type: 'apiKey', in: 'header', name: 'X-Api-Key' },
  node: { type: 'http', scheme: 'bearer', description: 'Of a worker: its join token, then the token that it got.' },
  certificate: { type: 'mutualTLS', description: 'Client certificate with the scope of the call.' },
};
const OF_NODES = /\/cluster\/(join$|self(\/|$))/;
const BY_CERTIFICATE = /\/cluster\/join-by-certificate$/;

export function whole(document: Mapping, format: ErrorFormat): Mapping {
  const components = isMapping(document['components']) ? document['components'] : {};
  const { schemas, responses: errors } = errorComponents(format);
  const failed = { ...errors.GatewayError, description: 'An error; its code says which one.' };
  const paths = Object.entries((document['paths'] ?? {}) as Record<string, Mapping>).map(([path, item]) => {
    const security = securityOf(path);
    const operations = Object.entries(item).map(([method, operation]) => {
      if (!(METHODS as readonly string[]).includes(method) || !isMapping(operation)) return [method, operation];
      const responses = { ...(operation['responses'] as Mapping), default: { $ref: '#/components/responses/Error' } };
      return [method, { ...operation, security, responses }];
    });
    return [path, Object.fromEntries(operations)];
  });
  return {
    ...document,
    paths: Object.fromEntries(paths),
    components: {
      ...components,
      schemas: { ...(components['schemas'] as Mapping | undefined), ...schemas },
      securitySchemes: SCHEMES,
      responses: { Error: failed },
    },
  };
}

function securityOf(path: string): readonly Mapping[] {
  if (BY_CERTIFICATE.test(path)) return [{ certificate: [] }];
  return OF_NODES.test(path) ? [{ node: [] }] : [{ bearer: [] }, { apiKey: [] }, { certificate: [] }];
}
