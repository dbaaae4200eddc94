/**
 * What sends spans: the export delegate of OpenTelemetry over a transport of ours, which is loaded only where its
 * protocol is chosen. What it gets is written already (span-batch.ts).
 */
import type { IExporterTransport } from '@opentelemetry/otlp-exporter-base';
import { systemTimers } from '../../base/system-timers.ts';
import type { ExporterPlan } from './section.ts';
import type { ExportedSpans } from './span-batch.ts';
import { readRejected } from './trace-response.ts';

/** How an export ended. `rejected`: spans that the collector says it left out, of those that it took. */
export type ExportDone = (problem: string | null, rejected: number) => void;

export interface Exporter {
  /** What it exports may be memory that threads share: the system gets it as it is, and nothing else reads it. */
  readonly takesShared: boolean;
  export(batch: ExportedSpans, done: ExportDone): void;
  shutdown(): Promise<void>;
}

interface Delegate {
  export(batch: ExportedSpans, done: (result: { readonly code: number; readonly error?: Error }) => void): void;
  shutdown(): Promise<void>;
}

/** Reads responses as the delegate gives them: the one of an export comes right before its result. */
class BatchSerializer {
  rejected = 0;

  serializeRequest(batch: ExportedSpans): Uint8Array {
    return batch.message;
  }

  deserializeResponse(data: Uint8Array): object {
    this.rejected = readRejected(data);
    return {};
  }

  takeRejected(): number {
    const { rejected } = this;
    this.rejected = 0;
    return rejected;
  }
}

const COUNTS_SPANS = { name: 'span', countItems: ({ spans }: ExportedSpans): number => spans } as const;

export async function makeExporter(plan: ExporterPlan): Promise<Exporter> {
  const serializer = new BatchSerializer();
  const delegate = await makeDelegate(plan, serializer);
  return {
    takesShared: plan.protocol === 'http/protobuf' && !plan.gzip && plan.url.startsWith('http:'),
    export(batch, done) {
      delegate.export(batch, ({ code, error }) => {
        const rejected = serializer.takeRejected();
        if (code === 0) done(null, rejected);
        else done(error?.message ?? 'it failed', 0);
      });
    },
    shutdown: () => delegate.shutdown(),
  };
}

const CONCURRENT = 4;

/** Its own reading of the environment is not wanted: section.ts has read it, and what the file says counts too. */
async function makeDelegate(plan: ExporterPlan, serializer: BatchSerializer): Promise<Delegate> {
  const { createOtlpNetworkExportDelegate, ExporterMetrics } = await import('@opentelemetry/otlp-exporter-base');
  const metrics = new ExporterMetrics<ExportedSpans>({
    componentType: plan.protocol === 'grpc' ? 'otlp_grpc_span_exporter' : 'otlp_http_span_exporter',
    metricsHelper: COUNTS_SPANS,
    url: plan.url,
    meterProvider: undefined,
    responseAttributesFromError: () => ({}),
  });
  const settings = { timeoutMillis: plan.timeoutMs, concurrencyLimit: CONCURRENT, compression: 'none' as const };
  return createOtlpNetworkExportDelegate(settings as never, serializer, metrics, await transportOf(plan));
}

async function transportOf(plan: ExporterPlan): Promise<IExporterTransport> {
  if (plan.protocol === 'grpc') return (await import('./grpc-transport.ts')).grpcTransport(plan, systemTimers);
  return (await import('./http-transport.ts')).httpTransport(plan, systemTimers);
}
