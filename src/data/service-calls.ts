/**
 * Serves calls to services that the control plane asks a worker for (contract/service-calls.ts). No exchange stands
 * behind them, so no route's policies act; each has a record of its own in the access log, and who asked reports what
 * became of it. A service's fallback does not respond: it would stand for a service that never saw the request.
 */
import type { MessagePort } from 'node:worker_threads';
import { Fault } from '../base/errors.ts';
import type { ToWorkerBatch } from './contract/channel-link.ts';
import { FieldBlock } from './contract/field-block.ts';
import type { IdentifyCall, ServiceCall, ServiceCallResult } from './contract/service-calls.ts';
import { callWhole, type WholeResponse } from './exchange/call-whole.ts';
import { MadeRequest } from './exchange/outgoing-request.ts';
import { RequestBody } from './exchange/request-body.ts';
import type { UpstreamCall } from './exchange/upstream-call.ts';
import { identify } from './identify.ts';
import { recordDelivery } from './response/delivery-record.ts';
import type { WorkerRuntime } from './runtime.ts';
import type { ExchangeTrace } from './trace/exchange-trace.ts';

/** More at once are refused. */
const MOST_CALLS = 10_000;
const NO_CLIENT = Buffer.alloc(0);
const WANTED = { names: ['retry-after'], cookies: false };

export class ServiceCalls {
  readonly #runtime: () => WorkerRuntime | null;
  readonly #ports = new Set<MessagePort>();
  /** Under way. */
  active = 0;
  isDraining = false;

  constructor(runtime: () => WorkerRuntime | null) {
    this.#runtime = runtime;
  }

  serve(port: MessagePort): void {
    this.#ports.add(port);
    port.on('message', (call: ServiceCall | IdentifyCall | ToWorkerBatch) => {
      if (call.kind === 'call') void this.#serve(port, call);
      else if (call.kind === 'identify') void this.#identify(port, call);
    });
    port.on('close', () => this.#ports.delete(port));
  }

  async #serve(port: MessagePort, call: ServiceCall): Promise<void> {
    const runtime = this.#runtime();
    if (runtime === null || this.isDraining || this.active >= MOST_CALLS) {
      port.postMessage(unsent(call, 'overloaded'));
      return;
    }
    this.active++;
    try {
      port.postMessage(await this.#call(runtime, call));
    } finally {
      this.active--;
    }
  }

  async #identify(port: MessagePort, { id, route, fields }: IdentifyCall): Promise<void> {
    const runtime = this.#runtime();
    const found = runtime?.live.routes.find(({ settings }) => settings.id === route);
    const caller = found === undefined ? null : await identify(found, fields);
    port.postMessage({ id, kind: 'identity', caller });
  }

  async #call(runtime: WorkerRuntime, call: ServiceCall): Promise<ServiceCallResult> {
    const { id, method, path, query, timeoutMs, maxBytes } = call;
    const { services } = runtime.live;
    const service = services.get(call.service);
    if (service === undefined) return unsent(call, 'no_such_service');
    const startedMs = runtime.clock.monotonicMs();
    let made: UpstreamCall | null = null;
    const ended = (one: UpstreamCall): void => {
      made = one;
    };
    const trace = beginTrace(runtime, call);
    try {
      const fields = FieldBlock.of(trace === null ? call.fields : withoutTrace(call.fields));
      const bodyLength = call.body.byteLength;
      const request = new MadeRequest({ method, path, query, fields, bodyLength, observer: trace });
      const body = RequestBody.whole(call.body.byteLength === 0 ? [] : [Buffer.from(call.body)]);
      const limits = { maxBytes, timeoutMs, wanted: WANTED, cancellation: null, truncates: true, ended };
      const options = { services, fallsBack: false };
      const response = await callWhole(runtime, options, service, request, body, limits);
      const [retryAfter = null] = response.values;
      record(runtime, call, trace, startedMs, made, response, null);
      return { id, kind: 'response', status: response.status, retryAfter, body: response.body };
    } catch (error) {
      if (!(error instanceof Fault)) {
        runtime.log.error('a call to a service failed', { service: call.service, error: String(error) });
        return { id, kind: 'fault', reason: 'internal_error', mayHaveArrived: true };
      }
      record(runtime, call, trace, startedMs, made, null, error);
      const { reason, phase } = error.kind;
      return { id, kind: 'fault', reason, mayHaveArrived: phase !== 'pick' && phase !== 'connect' };
    }
  }

  close(): void {
    for (const port of this.#ports) port.close();
  }
}

/** The publisher's trace goes on. Whether it is sampled was decided when the event was published. */
function beginTrace({ tracer }: WorkerRuntime, { fields }: ServiceCall): ExchangeTrace | null {
  if (tracer === null) return null;
  const field = (wanted: string): string | null => fields.find(([name]) => name === wanted)?.[1] ?? null;
  return tracer.begin(field('traceparent'), field('tracestate'), true);
}

function withoutTrace(fields: ServiceCall['fields']): ServiceCall['fields'] {
  return fields.filter(([name]) => name !== 'traceparent' && name !== 'tracestate');
}

/** Its line in the access log, and its spans. */
function record(
  { live, clock, accessLog, records, tracer }: WorkerRuntime,
  { mark, service, method, path, fields, body }: ServiceCall,
  trace: ExchangeTrace | null,
  startedMs: number,
  call: UpstreamCall | null,
  response: WholeResponse | null,
  fault: Fault | null,
): void {
  const nowMs = clock.monotonicMs();
  const elapsedMs = nowMs - startedMs;
  const wallMs = clock.wallAt(nowMs);
  const status = response?.status ?? fault?.kind.status ?? 0;
  const bytesIn = body.byteLength;
  const bytesOut = response?.bytes ?? 0;
  if (trace !== null && tracer !== null) {
    const sizes = { bytesReceived: bytesIn, bytesSent: bytesOut, grpcStatus: -1 };
    const known = { trace, startedMs, method, path, upstreamPath: path, ...sizes, fault, route: null };
    const traced = { ...known, requestId: '', copyRequestId: () => 0 };
    // What was not taken is an error here, whoever's it is.
    const reason = tracer.reasonFor(traced, status < 300 ? status : 500, elapsedMs);
    if (reason !== null) tracer.record(traced, NO_CLIENT, reason, status, elapsedMs, wallMs, mark);
  }
  if (live.gateway.accessLog === 'off') return;
  const delivery = {
    mark,
    service,
    method,
    path,
    status,
    elapsedMs,
    bytesIn,
    bytesOut,
    traceId: trace?.traceId ?? fields.find(([name]) => name === 'traceparent')?.[1]?.split('-')[1] ?? null,
    fault,
    call,
    attempt: call?.attempt ?? null,
  };
  recordDelivery(accessLog, records, delivery, wallMs);
}

function unsent({ id }: ServiceCall, reason: string): ServiceCallResult {
  return { id, kind: 'fault', reason, mayHaveArrived: false };
}
