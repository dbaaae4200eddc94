/**
 * The end of an exchange: `finish` policies, metrics, its one line in the access log, and in the live tail while
 * requests are watched.
 */
import { messageOf } from '../../base/errors.ts';
import { outcomeOf } from '../../base/grpc-status.ts';
import { jsonText } from '../../base/text.ts';
import { derivedOf } from '../contract/identity-derived.ts';
import { type AccessLog, part } from '../response/access-log.ts';
import type { Exchange } from './exchange.ts';
import { endTrace, timeHook } from './trace-request.ts';

/** `nowMs`: when the exchange ended; `logParts`: what policies add to its record. */
export function report(exchange: Exchange, nowMs: number, logParts: string): void {
  const { runtime, live, route, times } = exchange;
  // `nowMs` is when the last bytes came.
  times?.responded(runtime.clock.monotonicMs());
  // Built-in routes have no policies, so what happens there (a failed sign-in) is reported like requests without a
  // route.
  if (route === null || route.isBuiltIn) runtime.abuse.ended(exchange);
  if (route !== null) {
    for (const hook of route.finish) {
      try {
        if (times === null) hook(exchange);
        else timeHook(exchange, 'finish', hook);
      } catch (error) {
        runtime.log.error('a finish policy failed', {
          request_id: exchange.requestId,
          route: exchange.routeId,
          error: messageOf(error),
        });
      }
    }
  }
  const elapsedMs = nowMs - exchange.startedMs;
  const fault = exchange.fault;
  const status = exchange.status === 0 ? (fault?.kind.status ?? 499) : exchange.status;
  const { grpcStatus } = exchange;
  const outcome = outcomeOf(status, grpcStatus, fault?.kind.status ?? 0);
  const slot = route?.settings.slot ?? 0;
  runtime.metrics.exchange(-1);
  runtime.metrics.route(slot, status, elapsedMs / 1000, exchange.bytesReceived, exchange.bytesSent);
  if (exchange.protocol === '2') runtime.metrics.overHttp2(slot);
  if (grpcStatus >= 0) runtime.metrics.call(slot, grpcStatus);
  if (fault !== null) {
    runtime.metrics.fault(fault.kind.reason);
    runtime.security?.ended(exchange, runtime.clock.wallAt(nowMs));
  }
  // Its head said another status; a client that left broke nothing.
  if (outcome >= 500 && status < 500) runtime.metrics.broken(slot);
  else if (grpcStatus >= 0 && status === 200 && !isJudged(outcome)) runtime.metrics.neither(slot);
  const boundMs = route === null ? 0 : route.latencyBoundMs;
  if (boundMs > 0 && elapsedMs <= boundMs && isJudged(outcome)) runtime.metrics.within(slot);
  const { tracer } = runtime;
  if (exchange.trace !== null && tracer !== null)
    endTrace(exchange, tracer, status, outcome, elapsedMs, runtime.clock.wallAt(nowMs));
  if (live.gateway.accessLog !== 'off' && runtime.records !== null)
    runtime.records.write(runtime.accessLog, exchange, status, elapsedMs, runtime.clock.wallAt(nowMs));
  else if (live.gateway.accessLog !== 'off' && runtime.accessLog.begin(runtime.clock.wallAt(nowMs))) {
    writeRecord(runtime.accessLog, exchange, status, elapsedMs, logParts);
    runtime.accessLog.end();
  }
  if (times !== null) runtime.tries?.tell(exchange.requestId, times.end(fault === null ? '' : fault.kind.reason));
  const { tail } = runtime;
  if (tail?.wants(exchange, outcome, nowMs, logParts) === true && tail.log.begin(runtime.clock.wallAt(nowMs))) {
    writeRecord(tail.log, exchange, status, elapsedMs, logParts);
    tail.end();
  }
}

/** Neither failed, nor refused for asking too often, nor given up by the caller, nor a tunnel. */
function isJudged(status: number): boolean {
  return status < 500 && status !== 429 && status !== 499 && status !== 101;
}

const REQUEST_ID = part('"request_id":"');
const METHOD = part('","method":"');
const METHOD_GET_AND_PATH = part('","method":"GET","path":"');
const PATH = part('","path":"');
const STATUS = part('","status":');
const DURATION = part(',"duration_ms":');
const UPSTREAM = part(',"upstream_ms":');
const BYTES_IN = part(',"bytes_in":');
const BYTES_OUT = part(',"bytes_out":');
const TRACE_ID = part(',"trace_id":"');
const QUOTE = part('"');
const COMMA = part(',');
const CLOSE = part('}');

/**
 * The record behind its time, up to its `end`; names and order are documented in docs/guide/logs.md. Only what a caller
 * can choose freely is escaped: method, host, path and request id have passed grammars that know neither quotes nor
 * backslashes.
 */
function writeRecord(log: AccessLog, exchange: Exchange, status: number, elapsedMs: number, parts: string): void {
  const { attempt, fault } = exchange;
  log.part(REQUEST_ID);
  exchange.writeRequestId(log);
  if (exchange.method === 'GET') {
    log.part(METHOD_GET_AND_PATH);
  } else {
    log.part(METHOD);
    log.text(exchange.method);
    log.part(PATH);
  }
  log.text(exchange.path);
  log.part(STATUS);
  log.integer(status);
  log.part(DURATION);
  log.milliseconds(elapsedMs);
  if (attempt !== null) {
    log.part(UPSTREAM);
    log.milliseconds(attempt.firstByteMs);
  }
  log.part(BYTES_IN);
  log.integer(exchange.bytesReceived);
  log.part(BYTES_OUT);
  log.integer(exchange.bytesSent);
  log.part(COMMA);
  log.text(exchange.downstream.cache.recordTail(exchange));
  if (exchange.trace !== null) {
    log.part(TRACE_ID);
    exchange.trace.writeTraceId(log);
    log.part(QUOTE);
  }
  const attempts = exchange.call?.attemptsMade ?? 0;
  if (attempts > 1) log.text(`,"attempts":${attempts}`);
  if (exchange.identity !== null) log.text(derivedOf(exchange.identity).record);
  if (fault !== null) {
    log.text(`,"fault":"${fault.kind.reason}"`);
    const cause = fault.cause ?? fault.detail;
    if (cause !== undefined) log.text(`,"cause":${jsonText(cause)}`);
  }
  if (parts !== '') log.text(parts);
  log.part(CLOSE);
}
