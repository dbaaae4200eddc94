/** The official OTLP exporters of OpenTelemetry, each loaded only where its protocol is chosen. */
import type { SpanExporter } from '@opentelemetry/sdk-trace';
import type { ExporterPlan } from './section.ts';

export async function makeExporter({ url, protocol, headers, timeoutMs, gzip }: ExporterPlan): Promise<SpanExporter> {
  // Their own reading of the environment is not wanted: section.ts has read it, and what the file says counts too.
  const { CompressionAlgorithm } = await import('@opentelemetry/otlp-exporter-base');
  const compression = gzip ? CompressionAlgorithm.GZIP : CompressionAlgorithm.NONE;
  const common = { url, timeoutMillis: timeoutMs, compression, concurrencyLimit: 4, userAgent: 'gatehouse' };
  if (protocol === 'http/protobuf') {
    const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto');
    return new OTLPTraceExporter({ ...common, headers: { ...headers } });
  }
  const [{ OTLPTraceExporter }, { Metadata, credentials }] = await Promise.all([
    import('@opentelemetry/exporter-trace-otlp-grpc'),
    import('@grpc/grpc-js'),
  ]);
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  const secure = url.startsWith('https:');
  return new OTLPTraceExporter({
    ...common,
    metadata,
    credentials: secure ? credentials.createSsl() : credentials.createInsecure(),
  });
}
