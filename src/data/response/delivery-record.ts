/**
 * The line of a delivery (control/events/deliver/) in the access log: `kind` is `delivery`, and it says which consumer,
 * which event and which attempt. Names as in a request's record; docs/guide/logs.md has them.
 */
import { jsonText } from '../../base/text.ts';
import type { DeliveryMark } from '../contract/service-calls.ts';
import type { AccessLog } from './access-log.ts';
import type { AccessRecords, RecordedExchange } from './access-record.ts';

export interface RecordedDelivery extends Pick<RecordedExchange, 'method' | 'path' | 'fault' | 'call' | 'attempt'> {
  readonly mark: DeliveryMark;
  readonly service: string;
  readonly status: number;
  readonly elapsedMs: number;
  /** Of the bodies of request and response. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly traceId: string | null;
}

/** `records`: null for the usual form. */
export function recordDelivery(
  log: AccessLog,
  records: AccessRecords | null,
  delivery: RecordedDelivery,
  wallMs: number,
): void {
  const { mark, status, elapsedMs } = delivery;
  if (records !== null) {
    const marks = [
      ['kind', 'delivery'],
      ['consumer', mark.consumer],
      ['event', mark.event],
      ['attempt', mark.attempt],
    ] as const;
    records.write(log, asExchange(delivery), status, elapsedMs, wallMs, marks);
  } else if (log.begin(wallMs)) {
    log.text(usualText(delivery));
    log.end();
  }
}

function asExchange(delivery: RecordedDelivery): RecordedExchange {
  const { method, path, fault, call, attempt, bytesIn, bytesOut, traceId } = delivery;
  return {
    requestId: '',
    trace: traceId === null ? null : { traceId },
    address: '',
    method,
    host: '',
    path,
    query: '',
    protocol: '',
    bytesReceived: bytesIn,
    bytesSent: bytesOut,
    routeId: '',
    grpcStatus: -1,
    subject: null,
    fault,
    call,
    attempt,
    header: () => null,
  };
}

/** The record behind its time. */
function usualText(delivery: RecordedDelivery): string {
  const { mark, service, method, path, status, elapsedMs, bytesIn, bytesOut, attempt, call, fault, traceId } = delivery;
  let text = `"kind":"delivery","consumer":${jsonText(mark.consumer)},"event":${jsonText(mark.event)}`;
  text += `,"attempt":${mark.attempt},"method":"${method}","path":${jsonText(path)},"status":${status}`;
  text += `,"duration_ms":${elapsedMs.toFixed(3)}`;
  if (attempt !== null) text += `,"upstream_ms":${attempt.firstByteMs.toFixed(3)}`;
  text += `,"bytes_in":${bytesIn},"bytes_out":${bytesOut},"service":${jsonText(service)}`;
  if (attempt !== null) text += `,"instance":${jsonText(attempt.endpoint.settings.url)}`;
  if (traceId !== null) text += `,"trace_id":${jsonText(traceId)}`;
  if (call !== null && call.attemptsMade > 1) text += `,"attempts":${call.attemptsMade}`;
  if (fault !== null) {
    text += `,"fault":"${fault.kind.reason}"`;
    const cause = fault.cause ?? fault.detail;
    if (cause !== undefined) text += `,"cause":${jsonText(cause)}`;
  }
  return `${text}}`;
}
