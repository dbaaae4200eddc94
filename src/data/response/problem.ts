/**
 * A fault as the response to send: the body in the configured shape (base/error-body.ts) and the fields that go with
 * it.
 */
import { errorBody } from '../../base/error-body.ts';
import type { Fault } from '../../base/errors.ts';
import type { WholeReply } from '../contract/policy.ts';
import type { ErrorFormat } from '../contract/snapshot.ts';

/** The whole response; `path` is that of the request, or empty. */
export function faultReply(
  fault: Fault,
  format: ErrorFormat,
  accept: string | null,
  requestId: string,
  path: string,
  wallMs: number,
): WholeReply {
  const { kind, message = kind.message, detail, fields } = fault;
  const facts = { ...kind, message, detail, fields };
  const { contentType, body } = errorBody(facts, { format, accept, requestId, path, wallMs });
  const headers: Record<string, string> = { 'Content-Type': contentType };
  if (fault.retryAfterSeconds !== undefined)
    headers['Retry-After'] = `${Math.max(0, Math.ceil(fault.retryAfterSeconds))}`;
  return { status: kind.status, headers: { ...headers, ...fault.headers }, body };
}
