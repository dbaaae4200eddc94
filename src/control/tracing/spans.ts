/**
 * Records of workers as spans: one for the exchange, one for each attempt at a service, one for each part of a
 * composition and for policies that were waited for. Names and attributes are those of the semantic conventions for
 * HTTP, pinned by
 * `SCHEMA_URL`; what they do not know is below `gatehouse.`.
 */
import type { Attributes, HrTime } from '@opentelemetry/api';
import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import type { AttemptRecord, InnerRecord, TraceRecord } from '../../data/contract/tracing.ts';
import { PRODUCT_VERSION } from '../config/version.ts';

export const SCHEMA_URL = 'https://opentelemetry.io/schemas/1.45.0';
const SCOPE = { name: 'gatehouse', version: PRODUCT_VERSION, schemaUrl: SCHEMA_URL };
const SAMPLED = 1;
const KNOWN_METHODS = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
  'QUERY',
]);
const REASONS = { s: 'sampled', e: 'error', l: 'slow' } as const;

/** Host and port of an instance, as far as the live configuration knows it. */
export type InstanceAddress = (
  service: string,
  instance: string,
) => { readonly host: string; readonly port: number; readonly url: string } | undefined;

export function spansOf(record: TraceRecord, resource: Resource, addressOf: InstanceAddress): ReadableSpan[] {
  const [
    traceId,
    spanId,
    parentId,
    traceState,
    ,
    startWallMs,
    durationMs,
    ,
    ,
    ,
    ,
    ,
    ,
    ,
    ,
    ,
    ,
    ,
    ,
    ,
    ,
    ,
    attempts,
    inner,
  ] = record;
  const make = (span: Made): ReadableSpan => {
    const endMs = span.startMs + span.durationMs;
    return {
      name: span.name,
      kind: span.kind,
      spanContext: () => ({ traceId, spanId: span.spanId, traceFlags: SAMPLED, ...stateOf(traceState) }),
      ...(span.parentId === ''
        ? {}
        : {
            parentSpanContext: {
              traceId,
              spanId: span.parentId,
              traceFlags: SAMPLED,
              isRemote: span.parentId === parentId,
            },
          }),
      startTime: hrTime(startWallMs + span.startMs),
      endTime: hrTime(startWallMs + endMs),
      duration: hrTime(span.durationMs),
      status: { code: span.failed ? SpanStatusCode.ERROR : SpanStatusCode.UNSET },
      attributes: span.attributes,
      links: [],
      events: [],
      ended: true,
      resource,
      instrumentationScope: SCOPE,
      droppedAttributesCount: 0,
      droppedEventsCount: 0,
      droppedLinksCount: 0,
    };
  };
  return [
    make({ ...exchangeSpan(record), spanId, parentId, startMs: 0, durationMs }),
    ...inner.map((each) => make(innerSpan(each, spanId))),
    ...attempts.map((attempt) => make(attemptSpan(attempt, record, addressOf))),
  ];
}

interface Made {
  readonly name: string;
  readonly kind: SpanKind;
  readonly spanId: string;
  readonly parentId: string;
  readonly startMs: number;
  readonly durationMs: number;
  readonly failed: boolean;
  readonly attributes: Attributes;
}

function exchangeSpan(record: TraceRecord): Pick<Made, 'name' | 'kind' | 'failed' | 'attributes'> {
  const [, , , , reason, , , method, scheme, host, path, pattern, routeId, status, fault] = record;
  const [address, protocol, requestId, userAgent, , bytesIn, bytesOut] = record.slice(15) as unknown as readonly [
    string,
    string,
    string,
    string,
    string,
    number,
    number,
  ];
  const failed = status >= 500 || (fault !== '' && status < 400);
  return {
    name: pattern === '' ? methodName(method) : `${methodName(method)} ${pattern}`,
    kind: SpanKind.SERVER,
    failed,
    attributes: {
      ...methodAttributes(method),
      'url.scheme': scheme,
      'url.path': path,
      ...(pattern === '' ? {} : { 'http.route': pattern }),
      ...(host === '' ? {} : { 'server.address': host }),
      'client.address': address,
      'network.protocol.version': protocol,
      ...(userAgent === '' ? {} : { 'user_agent.original': userAgent }),
      'http.response.status_code': status,
      ...(failed ? { 'error.type': fault === '' ? String(status) : fault } : {}),
      'http.request.body.size': bytesIn,
      'http.response.body.size': bytesOut,
      ...(routeId === '' ? {} : { 'gatehouse.route': routeId }),
      'gatehouse.request_id': requestId,
      'gatehouse.recorded': REASONS[reason],
      ...(fault === '' ? {} : { 'gatehouse.fault': fault }),
    },
  };
}

function attemptSpan(attempt: AttemptRecord, record: TraceRecord, addressOf: InstanceAddress): Made {
  const [spanId, parentId, service, instance, startMs, durationMs, firstByteMs, status, fault, resends, reused] =
    attempt;
  const method = record[7];
  const upstreamPath = record[19];
  const at = addressOf(service, instance);
  const isPart = parentId !== '';
  const failed = fault !== '' ? fault !== 'abandoned' : status >= 400;
  return {
    name: methodName(method),
    kind: SpanKind.CLIENT,
    spanId,
    parentId: isPart ? parentId : record[1],
    startMs,
    durationMs,
    failed,
    attributes: {
      // Parts have methods and paths of their own, which records do not carry.
      ...(isPart ? {} : methodAttributes(method)),
      ...(at === undefined
        ? {}
        : {
            'server.address': at.host,
            'server.port': at.port,
            ...(isPart || upstreamPath === '' ? {} : { 'url.full': at.url.replace(/\/$/, '') + upstreamPath }),
          }),
      ...(status === 0 ? {} : { 'http.response.status_code': status }),
      ...(resends === 0 ? {} : { 'http.request.resend_count': resends }),
      ...(failed ? { 'error.type': fault === '' ? String(status) : fault } : {}),
      'gatehouse.service': service,
      'gatehouse.instance': instance,
      ...(firstByteMs === 0 ? {} : { 'gatehouse.first_byte_ms': firstByteMs }),
      'gatehouse.connection.reused': reused === 1,
      ...(fault === 'abandoned' ? { 'gatehouse.abandoned': true } : {}),
    },
  };
}

function innerSpan([spanId, name, startMs, durationMs, failed]: InnerRecord, parentId: string): Made {
  return {
    name,
    kind: SpanKind.INTERNAL,
    spanId,
    parentId,
    startMs,
    durationMs,
    failed: failed !== '',
    attributes: failed === '' ? {} : { 'error.type': failed },
  };
}

function methodName(method: string): string {
  return KNOWN_METHODS.has(method) ? method : 'HTTP';
}

function methodAttributes(method: string): Attributes {
  if (KNOWN_METHODS.has(method)) return { 'http.request.method': method };
  return { 'http.request.method': '_OTHER', 'http.request.method_original': method };
}

function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.round((ms - seconds * 1_000) * 1e6)];
}

function stateOf(text: string) {
  if (text === '') return {};
  const state = { set: () => state, unset: () => state, get: () => undefined, serialize: () => text };
  return { traceState: state };
}
