/** What routes with a composition or a handler asked of services, summed over the workers, as metrics. */
import type { ExtraMetric } from '../../base/extra-metric.ts';
import type { AskedKind } from '../../data/contract/asked.ts';
import { SIGHT_METRICS } from './catalogue/sight.ts';

type AskedMetric = keyof typeof SIGHT_METRICS & `gatehouse_${'aggregate_parts' | 'handler_calls'}${string}`;

const KINDS: readonly (readonly [AskedKind, AskedMetric, label: string, outcome: string])[] = [
  ['part', 'gatehouse_aggregate_parts_total', 'part', 'service'],
  ['failed', 'gatehouse_aggregate_parts_failed_total', 'part', 'reason'],
  ['call', 'gatehouse_handler_calls_total', 'service', 'outcome'],
];

export class AskedSums {
  readonly #sums = new Map<string, number>();

  add(counts: Readonly<Record<string, number>>): void {
    for (const [key, count] of Object.entries(counts)) this.#sums.set(key, (this.#sums.get(key) ?? 0) + count);
  }

  metrics(): ExtraMetric[] {
    const all = [...this.#sums].map(([key, value]) => [key.split('\t'), value] as const);
    return KINDS.flatMap(([kind, name, label, outcome]) => {
      const samples = all.flatMap(([[of, route = '', what = '', last = ''], value]) =>
        of === kind ? [{ labels: { route, [label]: what, [outcome]: last }, value }] : [],
      );
      const { help } = SIGHT_METRICS[name];
      return samples.length === 0 ? [] : [{ name, type: 'counter' as const, help, samples }];
    });
  }
}
