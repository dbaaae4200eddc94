/** The end of an exchange: `finish` policies, metrics, and its one line in the access log. */
import { messageOf } from '../../base/errors.ts';
import type { Exchange } from '../exchange.ts';
import { jsonText } from './access-log.ts';

export function report(exchange: Exchange): void {
  const { plane, live, route } = exchange;
  // Built-in routes have no policies, so what happens there (a failed sign-in) is told like what no route took.
  if (route === null || route.settings.id.startsWith('builtin:')) plane.abuse.ended(exchange);
  if (route !== null) {
    for (const hook of route.finish) {
      try {
        hook(exchange);
      } catch (error) {
        plane.log.error('a finish policy failed', {
          request_id: exchange.requestId,
          route: exchange.routeId,
          error: messageOf(error),
        });
      }
    }
  }
  const elapsedMs = plane.clock.monotonicMs() - exchange.startedMs;
  const fault = exchange.fault;
  const status = exchange.status === 0 ? (fault?.kind.status ?? 499) : exchange.status;
  plane.metrics.exchange(-1);
  plane.metrics.route(route?.settings.slot ?? 0, status, elapsedMs / 1000, exchange.body.received, exchange.bytesSent);
  if (fault !== null) plane.metrics.fault(fault.kind.reason);
  if (live.gateway.accessLog !== 'off')
    plane.accessLog.write(plane.clock.wallMs(), exchange.accessLine(status, elapsedMs));
}

/**
 * The record behind its time; names and order are documented in docs/guide/logs.md. Only what a caller can choose freely
 * is escaped: method, host, path and request id have passed grammars that know neither quotes nor backslashes.
 */
export function accessLine(exchange: Exchange, status: number, elapsedMs: number, parts: string): string {
  const { attempt, fault } = exchange;
  let line = `"request_id":"${exchange.requestId}","method":"${exchange.method}","path":"${exchange.path}","status":${status},"duration_ms":${milliseconds(elapsedMs)},`;
  if (attempt !== null) line += `"upstream_ms":${milliseconds(attempt.firstByteMs)},`;
  line += `"bytes_in":${exchange.body.received},"bytes_out":${exchange.bytesSent},${exchange.downstream.texts.recordTail(exchange)}`;
  if (exchange.attemptsMade > 1) line += `,"attempts":${exchange.attemptsMade}`;
  if (exchange.identity !== null) line += `,"subject":${jsonText(exchange.identity.subject)}`;
  if (fault !== null) {
    line += `,"fault":"${fault.kind.reason}"`;
    if (fault.cause !== undefined) line += `,"cause":${jsonText(fault.cause)}`;
  }
  return `${line}${parts}}`;
}

/** To the microsecond; `toFixed` costs five times as much. */
function milliseconds(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
