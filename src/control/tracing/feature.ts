/**
 * Traces as a feature of the control plane: tells the workers what to trace, makes spans of the records that they hand
 * over, and sends them to the collector. The libraries of OpenTelemetry are loaded when tracing is on, not before.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { systemClock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { ExtraMetric } from '../../base/extra-metric.ts';
import {
  DROPPED_TOPIC,
  RECORDS_TOPIC,
  TRACING_TOPIC,
  type TraceRecord,
  type TracingSettings,
} from '../../data/contract/tracing.ts';
import type { Compiled } from '../config/compile.ts';
import { PRODUCT_VERSION } from '../config/version.ts';
import type { Feature, FeatureHost } from '../feature.ts';
import { EXPORT_TIMINGS } from '../telemetry/timings.ts';
import { ExemplarKeeper } from './exemplars.ts';
import type { TracingPlan } from './section.ts';
import type { QueueCounts } from './span-queue.ts';

const LAST_EXPORT_MS = 3_000;

interface Running {
  readonly madeFrom: string;
  take(lines: string): void;
  readonly waiting: number;
  close(): Promise<void>;
}

export function tracingFeature(host: Pick<FeatureHost, 'log' | 'bus' | 'compiled'>): Feature {
  const counts: QueueCounts = { exported: 0, failed: 0, dropped: 0 };
  let running: Running | undefined;
  let published = '';
  let isHeard = false;
  const exemplars = new ExemplarKeeper();

  const use = async ({ plan, snapshot }: Compiled): Promise<void> => {
    const tracing = plan.gateway.tracing;
    const madeFrom = tracing === null ? '' : JSON.stringify([tracing, snapshot.gateway.name]);
    if (tracing !== null && running?.madeFrom !== madeFrom) {
      const next = await open(tracing, snapshot.gateway.name, madeFrom);
      void running?.close();
      running = next;
    } else if (tracing === null) {
      void running?.close();
      running = undefined;
    }
    const settings: TracingSettings | null =
      tracing === null ? null : { ...tracing.settings, slowRoutes: slowRoutes(snapshot) };
    const text = JSON.stringify(settings);
    if (text === published || (settings === null && published === '')) return;
    published = text;
    host.bus.publish(TRACING_TOPIC, settings);
  };

  const open = async (plan: TracingPlan, name: string, madeFrom: string): Promise<Running> => {
    const [{ makeExporter }, { SpanQueue }, { SpanWriter, SCHEMA_URL }, { BatchEnvelope }] = await Promise.all([
      import('./exporter.ts'),
      import('./span-queue.ts'),
      import('./spans.ts'),
      import('./span-batch.ts'),
    ]);
    const resource = {
      'service.name': plan.serviceName ?? name,
      'service.version': PRODUCT_VERSION,
      'service.instance.id': INSTANCE_ID,
      'host.name': hostname(),
      'process.pid': process.pid,
      ...plan.attributes,
    };
    const envelope = new BatchEnvelope(resource, { name: 'gatehouse', version: PRODUCT_VERSION }, SCHEMA_URL);
    const exporter = await makeExporter(plan.exporter, envelope);
    const { log } = host;
    const queue = new SpanQueue({
      exporter,
      writer: new SpanWriter(addressOf),
      max: plan.maxQueue,
      log,
      clock: systemClock,
      counts,
      observe: (seconds) => EXPORT_TIMINGS.add(plan.exporter.protocol, seconds),
    });
    log.info('traces are sent', { collector: plan.exporter.url, protocol: plan.exporter.protocol });
    return {
      madeFrom,
      get waiting() {
        return queue.length;
      },
      take(lines) {
        for (const line of lines.split('\n')) {
          // What would be dropped is not worth reading.
          if (queue.isFull) counts.dropped++;
          else {
            const record = JSON.parse(line) as TraceRecord;
            exemplars.add(record);
            queue.add(record);
          }
        }
      },
      close: () => queue.close(LAST_EXPORT_MS),
    };
  };

  let known:
    | { readonly snapshot: unknown; readonly instances: Map<string, { host: string; port: number; url: string }> }
    | undefined;
  const addressOf = (service: string, instance: string) => {
    const { snapshot } = host.compiled;
    if (known?.snapshot !== snapshot) {
      const all = snapshot.services.flatMap(({ name, instances }) =>
        instances.map((each) => [`${name} ${each.id}`, { host: each.host, port: each.port, url: each.url }] as const),
      );
      known = { snapshot, instances: new Map(all) };
    }
    return known.instances.get(`${service} ${instance}`);
  };

  return {
    async start(compiled) {
      if (!isHeard) {
        host.bus.onAsk(RECORDS_TOPIC, (data) => {
          if (running === undefined) counts.dropped += String(data).split('\n').length;
          else running.take(String(data));
          return true;
        });
        host.bus.onTell(DROPPED_TOPIC, (data) => {
          counts.dropped += Number(data);
        });
        isHeard = true;
      }
      await use(compiled);
    },
    applied(compiled) {
      use(compiled).catch((error: unknown) =>
        host.log.error('tracing could not be changed', { problem: messageOf(error) }),
      );
    },
    metrics(): readonly ExtraMetric[] {
      if (running === undefined && counts.exported + counts.failed + counts.dropped === 0) return [];
      const one = (value: number) => [{ labels: {}, value }];
      return [
        {
          name: 'gatehouse_trace_spans_exported_total',
          type: 'counter',
          help: 'Spans that the collector took',
          samples: one(counts.exported),
        },
        {
          name: 'gatehouse_trace_spans_failed_total',
          type: 'counter',
          help: 'Spans that the collector did not take',
          samples: one(counts.failed),
        },
        {
          name: 'gatehouse_trace_spans_dropped_total',
          type: 'counter',
          help: 'Spans or whole traces that there was no room for',
          samples: one(counts.dropped),
        },
        {
          name: 'gatehouse_trace_spans_waiting',
          type: 'gauge',
          help: 'Spans that wait for the collector',
          samples: one(running?.waiting ?? 0),
        },
      ];
    },
    exemplars: (routeId) => exemplars.of(routeId),
    async stop() {
      await running?.close();
      running = undefined;
    },
  };
}

/** What counts as slow follows from the objectives of the routes. */
function slowRoutes({ routes }: Compiled['snapshot']): Record<string, number> {
  return Object.fromEntries(
    routes.flatMap(({ id, latencyBoundMs }) => (latencyBoundMs === undefined ? [] : [[id, latencyBoundMs]])),
  );
}

/** Of this process, until it ends. */
const INSTANCE_ID = randomUUID();
