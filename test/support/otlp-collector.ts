/**
 * A collector for tests: takes OTLP traces over HTTP (protobuf, gzip) or gRPC, reads them by the definitions of the
 * protocol, and behaves as told: in order, slow, away in the middle, lying about success, or full.
 */
import { createServer, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { type AddressInfo, createServer as createSocketServer, type Socket } from 'node:net';
import { gunzipSync } from 'node:zlib';
import * as grpc from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import type { Scope } from './scope.ts';
import { readAll } from './upstream.ts';

/** The part of opentelemetry/proto/trace/v1 and collector/trace/v1 that is looked at; numbers are the protocol's. */
const { root } = protobuf.parse(`
  syntax = "proto3";
  message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; } }
  message KeyValue { string key = 1; AnyValue value = 2; }
  message Resource { repeated KeyValue attributes = 1; }
  message Scope { string name = 1; string version = 2; }
  message Status { string message = 2; int32 code = 3; }
  message Span {
    bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
    fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8; repeated KeyValue attributes = 9; Status status = 15;
    fixed32 flags = 16;
  }
  message ScopeSpans { Scope scope = 1; repeated Span spans = 2; string schema_url = 3; }
  message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; string schema_url = 3; }
  message Request { repeated ResourceSpans resource_spans = 1; }
  message PartialSuccess { int64 rejected_spans = 1; string error_message = 2; }
  message Response { PartialSuccess partial_success = 1; }
  message Any { string type_url = 1; bytes value = 2; }
  message RpcStatus { int32 code = 1; string message = 2; repeated Any details = 3; }
  message Duration { int64 seconds = 1; int32 nanos = 2; }
  message RetryInfo { Duration retry_delay = 1; }
`);
const Request = root.lookupType('Request');
const Response = root.lookupType('Response');
const RpcStatus = root.lookupType('RpcStatus');
const RetryInfo = root.lookupType('RetryInfo');

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string;
  readonly traceState: string;
  readonly name: string;
  readonly kind: number;
  readonly status: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly resource: Readonly<Record<string, unknown>>;
  readonly schemaUrl: string;
}

/**
 * `partial` takes all but one span of each export, and says so. `away` and `busy` want the export again: as soon as the
 * sender likes, and after the time that they say.
 */
export type Behaviour = 'good' | 'silent' | 'reset' | 'full' | 'lying' | 'refusing' | 'partial' | 'away' | 'busy';

export interface Collector {
  readonly url: string;
  readonly spans: ReceivedSpan[];
  /** Of the last request: fields as they came. */
  fields: Readonly<Record<string, unknown>>;
  requests: number;
  behaviour: Behaviour;
  /** How many requests the behaviour is for; all are good after that. */
  faults: number;
}

export async function httpCollector(test: Scope, tls: CollectorTls | null = null, port = 0): Promise<Collector> {
  const collector: Collector = { url: '', spans: [], fields: {}, requests: 0, behaviour: 'good', faults: Infinity };
  const sockets = new Set<Socket>();
  const listener: RequestListener = (request, response) => {
    void readAll(request).then((body) => {
      collector.requests++;
      collector.fields = { ...request.headers, path: request.url };
      const behaviour = next(collector);
      if (behaviour === 'silent') return;
      if (behaviour === 'reset') return void request.socket.resetAndDestroy();
      if (behaviour === 'full' || behaviour === 'refusing') {
        response.writeHead(behaviour === 'full' ? 429 : 400, behaviour === 'full' ? { 'retry-after': '1' } : {}).end();
        return;
      }
      if (behaviour === 'away' || behaviour === 'busy') {
        response.writeHead(503, behaviour === 'busy' ? { 'retry-after': '1' } : {}).end();
        return;
      }
      const bytes = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
      if (behaviour === 'lying') {
        response.writeHead(200, { 'content-type': 'application/x-protobuf' });
        response.end(Buffer.from([0xff, 0xff, 0xff, 0xff, 0x7f, 1, 2, 3]));
        return;
      }
      collector.spans.push(...read(bytes));
      response.writeHead(200, { 'content-type': 'application/x-protobuf' });
      response.end(answer(behaviour));
    });
  };
  const server = tls === null ? createServer(listener) : createSecureServer(secured(tls), listener);
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  test.after(
    () =>
      new Promise<void>((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  );
  return Object.assign(collector, { url: urlOf(server.address(), tls) });
}

/** Its sockets come by a server of the test's own, so that they can be reset. */
export async function grpcCollector(test: Scope, tls: CollectorTls | null = null, port = 0): Promise<Collector> {
  const collector: Collector = { url: '', spans: [], fields: {}, requests: 0, behaviour: 'good', faults: Infinity };
  const server = new grpc.Server();
  const sockets = new Set<Socket>();
  server.addService(
    {
      export: {
        path: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
        requestStream: false,
        responseStream: false,
        requestSerialize: (bytes: Buffer) => bytes,
        requestDeserialize: (bytes: Buffer) => bytes,
        responseSerialize: (bytes: Buffer) => bytes,
        responseDeserialize: (bytes: Buffer) => bytes,
      },
    },
    {
      export: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
        collector.requests++;
        collector.fields = call.metadata.getMap();
        const behaviour = next(collector);
        if (behaviour === 'silent') return;
        if (behaviour === 'reset') {
          for (const socket of sockets) socket.resetAndDestroy();
          return;
        }
        if (behaviour === 'full') return done({ code: grpc.status.RESOURCE_EXHAUSTED, details: 'full' });
        if (behaviour === 'refusing') return done({ code: grpc.status.INVALID_ARGUMENT, details: 'no' });
        if (behaviour === 'away') return done({ code: grpc.status.UNAVAILABLE, details: 'not now' });
        if (behaviour === 'busy') return done(busy());
        if (behaviour === 'lying') return done(null, Buffer.from([0xff, 0xff, 0xff, 0xff, 0x7f, 1, 2, 3]));
        collector.spans.push(...read(call.request));
        return done(null, Buffer.from(answer(behaviour)));
      },
    },
  );
  const injector = server.createConnectionInjector(
    tls === null
      ? grpc.ServerCredentials.createInsecure()
      : grpc.ServerCredentials.createSsl(
          Buffer.from(tls.authority),
          [{ private_key: Buffer.from(tls.key), cert_chain: Buffer.from(tls.cert) }],
          true,
        ),
  );
  const listening = createSocketServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket)).on('error', () => {});
    injector.injectConnection(socket);
  });
  await new Promise<void>((resolve) => listening.listen(port, '127.0.0.1', resolve));
  test.after(() => {
    listening.close();
    injector.destroy();
    for (const socket of sockets) socket.destroy();
    server.forceShutdown();
  });
  return Object.assign(collector, { url: urlOf(listening.address(), tls) });
}

export interface CollectorTls {
  /** PEM texts; `authority` signed the certificate that an exporter must have. */
  readonly cert: string;
  readonly key: string;
  readonly authority: string;
}

function secured({ cert, key, authority }: CollectorTls) {
  return { cert, key, ca: authority, requestCert: true, rejectUnauthorized: true };
}

function urlOf(address: string | AddressInfo | null, tls: CollectorTls | null): string {
  return `${tls === null ? 'http' : 'https'}://127.0.0.1:${(address as AddressInfo).port}`;
}

function next(collector: Collector): Behaviour {
  if (collector.behaviour !== 'good' && collector.faults-- <= 0) collector.behaviour = 'good';
  return collector.behaviour;
}

/** RESOURCE_EXHAUSTED with a `google.rpc.RetryInfo` of 1.2 s in the details of its `google.rpc.Status`. */
function busy(): grpc.ServerErrorResponse {
  const retryInfo = RetryInfo.encode(RetryInfo.create({ retryDelay: { seconds: 1, nanos: 200_000_000 } })).finish();
  const details = [{ typeUrl: 'type.googleapis.com/google.rpc.RetryInfo', value: retryInfo }];
  const metadata = new grpc.Metadata();
  const status = RpcStatus.encode(RpcStatus.create({ code: 8, message: 'busy', details })).finish();
  metadata.set('grpc-status-details-bin', Buffer.from(status));
  return Object.assign(new Error('busy'), { code: grpc.status.RESOURCE_EXHAUSTED, details: 'busy', metadata });
}

function answer(behaviour: Behaviour): Uint8Array {
  const partialSuccess = { rejectedSpans: 1, errorMessage: 'one is too many' };
  return Response.encode(Response.create(behaviour === 'partial' ? { partialSuccess } : {})).finish();
}

interface Pair {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}
interface Decoded {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Pair[] };
    readonly scopeSpans: readonly {
      readonly schemaUrl?: string;
      readonly spans: readonly {
        readonly traceId: string;
        readonly spanId: string;
        readonly parentSpanId?: string;
        readonly traceState?: string;
        readonly name: string;
        readonly kind: number;
        readonly startTimeUnixNano: string;
        readonly endTimeUnixNano: string;
        readonly attributes?: readonly Pair[];
        readonly status?: { readonly code?: number };
      }[];
    }[];
  }[];
}

function read(bytes: Uint8Array): ReceivedSpan[] {
  const decoded = Request.toObject(Request.decode(bytes), { bytes: String, longs: String }) as Decoded;
  const hex = (text: string | undefined): string => Buffer.from(text ?? '', 'base64').toString('hex');
  return decoded.resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans, schemaUrl = '' }) =>
      spans.map((span) => ({
        traceId: hex(span.traceId),
        spanId: hex(span.spanId),
        parentId: hex(span.parentSpanId),
        traceState: span.traceState ?? '',
        name: span.name,
        kind: span.kind,
        status: span.status?.code ?? 0,
        startMs: Number(BigInt(span.startTimeUnixNano) / 1_000n) / 1_000,
        endMs: Number(BigInt(span.endTimeUnixNano) / 1_000n) / 1_000,
        attributes: record(span.attributes ?? []),
        resource: record(resource.attributes),
        schemaUrl,
      })),
    ),
  );
}

function record(pairs: readonly Pair[]): Record<string, unknown> {
  return Object.fromEntries(
    pairs.map(({ key, value }) => {
      const [kind, inner] = Object.entries(value)[0] ?? [];
      return [key, kind === 'intValue' ? Number(inner) : inner];
    }),
  );
}
