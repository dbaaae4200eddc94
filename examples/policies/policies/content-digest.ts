/**
 * Checks `Content-Digest` (RFC 9530) of requests while their bodies pass: a file of any size needs no memory, and since
 * the end waits for the verdict, no service takes a body for whole that was changed on the way.
 *
 * In a project of your own the import reads `from 'gatehouse/policy'`.
 */
import { createHash } from 'node:crypto';
import { bodyStream, definePolicy, refuse } from '../../../src/data/contract/user-policy.ts';

interface Options {
  /** A body without the field is refused. */
  readonly required?: boolean;
}

const DIGEST = /(?:^|,)\s*(sha-256|sha-512)=:([A-Za-z0-9+/]+=*):/;

export default definePolicy<Options>({
  name: 'content-digest',
  options: { type: 'object', additionalProperties: false, properties: { required: { type: 'boolean' } } },
  create: ({ required = false }) => ({
    requestHead: (request) => {
      const isMissing = request.contentLength !== 0 && !DIGEST.test(request.header('content-digest') ?? '');
      if (required && isMissing)
        return refuse(400, { code: 'DIGEST_MISSING', message: 'the body has no Content-Digest' });
      return undefined;
    },
    requestBody: bodyStream((pieces, request) => {
      const [, algorithm = '', expected] = DIGEST.exec(request.header('content-digest') ?? '') ?? [];
      return algorithm === '' ? undefined : checked(pieces, algorithm.replace('-', ''), expected!);
    }),
  }),
});

async function* checked(pieces: AsyncIterable<Buffer>, algorithm: string, expected: string): AsyncGenerator<Buffer> {
  const hash = createHash(algorithm);
  for await (const piece of pieces) {
    hash.update(piece);
    yield piece;
  }
  if (hash.digest('base64') !== expected)
    throw refuse(400, { code: 'DIGEST_WRONG', message: 'the body is not the one that Content-Digest is about' });
}
