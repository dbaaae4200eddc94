/**
 * What the process tells of its threads: how late each gets to its work, and its memory. Workers tell every few
 * seconds; the main thread measures itself. Also shows the timings of what the main thread waits for, and what
 * compositions and handlers ask of services.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { HistogramMetric } from '../../base/extra-metric.ts';
import { ASKED_TOPIC } from '../../data/contract/asked.ts';
import { PULSE_TOPIC, type Pulse, pulseOf, RESOLUTION_MS } from '../../data/contract/pulse.ts';
import type { Feature, FeatureHost } from '../feature.ts';
import { AskedSums } from './asked-metrics.ts';
import { EXPORT_TIMINGS, IDENTITY_TIMINGS, OUTSIDE_TIMINGS, REDIS_TIMINGS, SQL_TIMINGS } from './timings.ts';

/** A worker that has sent nothing for so long is gone, or stuck: what it sent last is old. */
const STALE_MS = 60_000;

export function telemetryFeature(host: Pick<FeatureHost, 'bus'>): Feature {
  const pulses = new Map<string, { readonly pulse: Pulse; readonly atMs: number }>();
  const asked = new AskedSums();
  const own = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  return {
    async start() {
      own.enable();
      host.bus.onTell(ASKED_TOPIC, (data) => asked.add(data as Readonly<Record<string, number>>));
      host.bus.onTell(PULSE_TOPIC, (data) => {
        const pulse = data as Pulse;
        pulses.set(pulse.thread, { pulse, atMs: performance.now() });
      });
    },
    metrics() {
      const main = pulseOf('main', own);
      own.reset();
      const fresh = [...pulses.values()].filter(({ atMs }) => performance.now() - atMs < STALE_MS);
      const all = [main, ...fresh.map(({ pulse }) => pulse)];
      const delay = (statistic: string, read: (pulse: Pulse) => number) =>
        all.map((pulse) => ({ labels: { thread: pulse.thread, statistic }, value: read(pulse) }));
      const timings: readonly HistogramMetric[] = [
        SQL_TIMINGS,
        REDIS_TIMINGS,
        OUTSIDE_TIMINGS,
        IDENTITY_TIMINGS,
        EXPORT_TIMINGS,
      ]
        .map((each) => each.metric())
        .filter(({ samples }) => samples.length > 0);
      return [
        {
          name: 'gatehouse_event_loop_delay_seconds',
          type: 'gauge',
          help: 'How late a thread got to its work in the last seconds',
          samples: [
            ...delay('median', ({ p50 }) => p50),
            ...delay('p99', ({ p99 }) => p99),
            ...delay('max', ({ max }) => max),
          ],
        },
        {
          name: 'gatehouse_thread_heap_bytes',
          type: 'gauge',
          help: 'Memory of the JavaScript heap of a thread',
          samples: all.map(({ thread, heapBytes }) => ({ labels: { thread }, value: heapBytes })),
        },
        {
          name: 'gatehouse_thread_external_bytes',
          type: 'gauge',
          help: 'Memory outside of the heap that a thread refers to, such as buffers',
          samples: all.map(({ thread, externalBytes }) => ({ labels: { thread }, value: externalBytes })),
        },
        ...asked.metrics(),
        ...timings,
      ];
    },
    async stop() {
      own.disable();
    },
  };
}
