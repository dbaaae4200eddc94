/** OTLP by gRPC: one call a try. */
import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import type { ServiceError } from '@grpc/grpc-js';
import type { ExportResponse } from '@opentelemetry/otlp-exporter-base';
import type { Timers } from '../../base/system-timers.ts';
import { readRetryDelayMs } from './retry-info.ts';
import { RetryingTransport } from './retrying-transport.ts';
import type { ExporterPlan } from './section.ts';
import { USER_AGENT } from './user-agent.ts';

const EXPORT_PATH = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';

/** Statuses after which the same export may succeed, and the one that says so only with a `RetryInfo`. */
const RETRYABLE = new Set([1, 4, 10, 11, 14, 15]);
const RESOURCE_EXHAUSTED = 8;
const RECONNECT_BASE_MS = 1_000;
/** As the channel would wait up to two minutes before it connects again. */
const RECONNECT_MAX_MS = 5_000;
const DETAILS = 'grpc-status-details-bin';

export async function grpcTransport(
  { url, headers, gzip, tls }: ExporterPlan,
  timers: Timers,
): Promise<RetryingTransport> {
  const { Client, Metadata, compressionAlgorithms, credentials } = await import('@grpc/grpc-js');
  const { host, hostname, protocol } = new URL(url);
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  const buffer = (pem: string | null): Buffer | null => (pem === null ? null : Buffer.from(pem));
  const address = hostname.replace(/^\[(.*)\]$/, '$1');
  const isAddress = isIP(address) !== 0;
  const checks = isAddress
    ? { checkServerIdentity: (_: string, cert: PeerCertificate) => checkServerIdentity(address, cert) }
    : {};
  const channel =
    protocol === 'https:'
      ? credentials.createSsl(buffer(tls.ca), buffer(tls.key), buffer(tls.cert), checks)
      : credentials.createInsecure();
  const client = new Client(host, channel, {
    'grpc.default_compression_algorithm': gzip ? compressionAlgorithms.gzip : compressionAlgorithms.identity,
    'grpc.primary_user_agent': USER_AGENT,
    // It would send an address as the server's name, which TLS does not allow (RFC 6066 §3) and Node.js refuses.
    ...(isAddress ? { 'grpc.ssl_target_name_override': 'localhost' } : {}),
    'grpc.initial_reconnect_backoff_ms': RECONNECT_BASE_MS,
    'grpc.max_reconnect_backoff_ms': RECONNECT_MAX_MS,
  });
  const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const asItIs = (bytes: Buffer): Buffer => bytes;
  const once = (data: Uint8Array, deadlineMs: number): Promise<ExportResponse> =>
    new Promise((resolve) => {
      const options = { deadline: deadlineMs };
      client.makeUnaryRequest(EXPORT_PATH, asBuffer, asItIs, data, metadata, options, (error, response) => {
        if (error === null) resolve({ status: 'success', ...(response === undefined ? {} : { data: response }) });
        else resolve(failed(error));
      });
    });
  return new RetryingTransport(once, () => client.close(), timers);
}

function failed(error: ServiceError): ExportResponse {
  const [details] = error.metadata?.get(DETAILS) ?? [];
  const delayMs = details instanceof Buffer ? readRetryDelayMs(details) : null;
  if (RETRYABLE.has(error.code) || (error.code === RESOURCE_EXHAUSTED && delayMs !== null))
    return { status: 'retryable', error, ...(delayMs === null || delayMs === 0 ? {} : { retryInMillis: delayMs }) };
  return { status: 'failure', error };
}
