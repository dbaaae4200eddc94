/** The refusal of a built-in API that is a plain `fetch`: the same bodies as everywhere (base/error-body). */
import { randomUUID } from 'node:crypto';
import { type ErrorFacts, type ErrorFormat, errorBody } from '../base/error-body.ts';

export function refusalResponse(request: Request, facts: ErrorFacts, format: ErrorFormat): Response {
  const { contentType, body } = errorBody(facts, {
    format,
    accept: request.headers.get('accept'),
    requestId: request.headers.get('x-request-id') ?? randomUUID(),
    path: new URL(request.url).pathname,
    wallMs: Date.now(),
  });
  return new Response(body, {
    status: facts.status,
    headers: { 'content-type': contentType, 'cache-control': 'no-store' },
  });
}
