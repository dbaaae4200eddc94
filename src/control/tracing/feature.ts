/**
 * Traces as a feature of the control plane: tells the workers what to trace, takes the pages of spans that they hand
 * over, and sends them to the collector. The libraries of OpenTelemetry are loaded when tracing is on, not before.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { systemClock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { ExtraMetric } from '../../base/extra-metric.ts';
import {
  DROPPED_TOPIC,
  MEMORY_GONE_TOPIC,
  type PageAnswer,
  SPANS_TOPIC,
  type SpanPage,
  TRACING_TOPIC,
  type TracingSettings,
} from '../../data/contract/tracing.ts';
import type { Compiled } from '../config/compile.ts';
import { PRODUCT_VERSION } from '../config/version.ts';
import type { Feature, FeatureHost } from '../feature.ts';
import { LATELY, RecentGrowth } from '../recent-growth.ts';
import { EXPORT_TIMINGS } from '../telemetry/timings.ts';
import { ExemplarKeeper } from './exemplars.ts';
import type { TracingPlan } from './section.ts';
import type { QueueCounts } from './span-queue.ts';

const LAST_EXPORT_MS = 3_000;
/** Of the queue, so that a full one loses little at a time. */
const PAGES_WAITING = 4;
/** Of workers: more than there are at a time. */
const MOST_MEMORIES = 256;

interface Running {
  readonly madeFrom: string;
  take(page: SpanPage): PageAnswer | Promise<PageAnswer>;
  readonly waiting: number;
  close(): Promise<void>;
}

export function tracingFeature(host: Pick<FeatureHost, 'log' | 'bus' | 'compiled'>): Feature {
  const counts: QueueCounts = { exported: 0, failed: 0, dropped: 0 };
  let running: Running | undefined;
  let published = '';
  let isHeard = false;
  const exemplars = new ExemplarKeeper();
  const losses = new RecentGrowth(() => counts.failed + counts.dropped);
  const memories = new Map<string, Buffer>();

  /** Those of workers that died are the oldest; one that did not sends its memory again. */
  const keepMemory = (id: string, memory: SharedArrayBuffer): void => {
    memories.set(id, Buffer.from(memory));
    if (memories.size <= MOST_MEMORIES) return;
    const [oldest] = memories.keys();
    memories.delete(oldest!);
  };

  const use = async ({ plan, snapshot }: Compiled): Promise<void> => {
    const tracing = plan.gateway.tracing;
    losses.keep(tracing !== null);
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
      tracing === null
        ? null
        : {
            ...tracing.settings,
            slowRoutes: slowRoutes(snapshot),
            hiddenPatterns: plan.gateway.accessRecords?.settings.hiddenPatterns ?? [],
            pageSpans: Math.floor(tracing.maxQueue / PAGES_WAITING),
          };
    const text = JSON.stringify(settings);
    if (text === published || (settings === null && published === '')) return;
    published = text;
    host.bus.publish(TRACING_TOPIC, settings);
  };

  const open = async (plan: TracingPlan, name: string, madeFrom: string): Promise<Running> => {
    const [{ makeExporter }, { SpanQueue }, { BatchEnvelope, SCHEMA_URL }] = await Promise.all([
      import('./exporter.ts'),
      import('./span-queue.ts'),
      import('./span-batch.ts'),
    ]);
    const resource = {
      'service.name': name,
      'service.version': PRODUCT_VERSION,
      'service.instance.id': INSTANCE_ID,
      'host.name': hostname(),
      'process.pid': process.pid,
      ...plan.attributes,
      // The specification: what is set for it alone wins over the attribute.
      ...(plan.serviceName === null ? {} : { 'service.name': plan.serviceName }),
    };
    const envelope = new BatchEnvelope(resource, { name: 'gatehouse', version: PRODUCT_VERSION }, SCHEMA_URL);
    const exporter = await makeExporter(plan.exporter);
    const { log } = host;
    const queue = new SpanQueue({
      exporter,
      envelope,
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
      take({ memoryId, at, length, spans, exemplars: latest }) {
        for (const each of latest) exemplars.add(each);
        return queue.take(memories.get(memoryId)!, at, length, spans);
      },
      close: () => queue.close(LAST_EXPORT_MS),
    };
  };

  return {
    async start(compiled) {
      if (!isHeard) {
        host.bus.onAsk(SPANS_TOPIC, (data) => {
          const page = data as SpanPage;
          if (page.memory !== null) keepMemory(page.memoryId, page.memory);
          if (!memories.has(page.memoryId)) return 'unknown' satisfies PageAnswer;
          if (running !== undefined) return running.take(page);
          counts.dropped += page.spans;
          return 'taken' satisfies PageAnswer;
        });
        host.bus.onTell(MEMORY_GONE_TOPIC, (data) => void memories.delete(String(data)));
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
    status() {
      const lost = losses.lately;
      if (running === undefined || lost === 0) return {};
      const message = `${lost} spans were lost ${LATELY}: the collector is away, refuses them or is too slow`;
      return { troubles: [{ severity: 'warning', subject: 'traces', message }] };
    },
    exemplars: (routeId) => exemplars.of(routeId),
    async stop() {
      losses.stop();
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
