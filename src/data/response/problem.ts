/**
 * A fault as the body of an answer, in one of three shapes: `problem` (RFC 9457), `nested` and `flat` (the formats of
 * the CraftNudge and AIVillage documents). Configuration chooses; a caller that accepts `application/problem+json`
 * gets that. Every shape carries code, message, timestamp and request id.
 */
import type { Fault } from '../../base/errors.ts';
import type { Reply } from '../contract/policy.ts';
import type { ErrorFormat } from '../contract/snapshot.ts';

interface FaultBody {
  readonly contentType: string;
  readonly body: string;
}

/** The whole response; `path` is that of the request, or empty. */
export function faultReply(
  fault: Fault,
  format: ErrorFormat,
  accept: string | null,
  requestId: string,
  path: string,
  wallMs: number,
): Reply {
  const { contentType, body } = faultBody(fault, format, accept, requestId, path, wallMs);
  const headers: Record<string, string> = { 'Content-Type': contentType };
  if (fault.retryAfterSeconds !== undefined)
    headers['Retry-After'] = `${Math.max(0, Math.ceil(fault.retryAfterSeconds))}`;
  return { status: fault.kind.status, headers: { ...headers, ...fault.headers }, body };
}

function faultBody(
  fault: Fault,
  format: ErrorFormat,
  accept: string | null,
  requestId: string,
  path: string,
  wallMs: number,
): FaultBody {
  const { kind, detail } = fault;
  const timestamp = new Date(wallMs).toISOString();
  const shape = accept?.includes('application/problem+json') === true ? 'problem' : format;
  if (shape === 'nested') {
    const details = { reason: kind.reason, ...(detail === undefined ? {} : { detail }) };
    return json({ error: { code: kind.code, message: kind.message, details }, timestamp, request_id: requestId });
  }
  if (shape === 'flat') {
    const message = detail === undefined ? kind.message : `${kind.message}: ${detail}`;
    return json({
      success: false,
      error_code: kind.code,
      message,
      reason: kind.reason,
      timestamp,
      request_id: requestId,
    });
  }
  const problem = {
    type: 'about:blank',
    title: kind.message,
    status: kind.status,
    ...(detail === undefined ? {} : { detail }),
    ...(path === '' ? {} : { instance: path }),
    code: kind.code,
    reason: kind.reason,
    message: kind.message,
    timestamp,
    request_id: requestId,
  };
  return { contentType: 'application/problem+json', body: JSON.stringify(problem) };
}

function json(value: unknown): FaultBody {
  return { contentType: 'application/json; charset=utf-8', body: JSON.stringify(value) };
}
