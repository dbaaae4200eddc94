/**
 * Sums of what the workers counted, by route, and the metrics made of them. Labels are bounded: routes, results,
 * reasons.
 */
import type { ExtraMetric } from '../../base/extra-metric.ts';
import { CACHE_RESULTS, type CacheStats } from '../../data/contract/cache.ts';

/** Share of requests that the service did not have to answer in full, and what that is made of. */
export interface CacheTotals {
  /** Absent where no route has the second tier. */
  readonly redis?: {
    readonly reads: Readonly<Record<string, number>>;
    readonly writes: Readonly<Record<string, number>>;
  };
  readonly requests: number;
  readonly hitShare: number;
  readonly results: Readonly<Record<string, number>>;
}

/** The service was not asked, or only whether what is stored still holds. */
const SAVED: ReadonlySet<string> = new Set(['hit', 'stale', 'revalidated', 'coalesced']);

export class CacheCounts {
  readonly #sums = new Map<string, number>();

  add(changes: Readonly<Record<string, number>>): void {
    for (const [name, change] of Object.entries(changes)) this.#sums.set(name, (this.#sums.get(name) ?? 0) + change);
  }

  /** Sums whose name after the route begins so, by route and the rest of the name. */
  under(prefix: string): { route: string; rest: string; value: number }[] {
    return [...this.#sums].flatMap(([whole, value]) => {
      const tab = whole.indexOf('\t');
      const name = whole.slice(tab + 1);
      return name.startsWith(prefix) ? [{ route: whole.slice(0, tab), rest: name.slice(prefix.length), value }] : [];
    });
  }

  totals(): CacheTotals {
    const results: Record<string, number> = Object.fromEntries(CACHE_RESULTS.map((result) => [result, 0]));
    for (const { rest, value } of this.under('result ')) results[rest] = (results[rest] ?? 0) + value;
    const requests = Object.values(results).reduce((sum, value) => sum + value, 0);
    const saved = Object.entries(results).reduce((sum, [name, value]) => sum + (SAVED.has(name) ? value : 0), 0);
    const hitShare = requests === 0 ? 0 : Math.round((saved / requests) * 1_000) / 1_000;
    const [reads, writes] = [this.#summed('tier_read '), this.#summed('tier_write ')];
    return { requests, hitShare, results, ...(Object.keys(reads).length === 0 ? {} : { redis: { reads, writes } }) };
  }

  #summed(prefix: string): Record<string, number> {
    const sums: Record<string, number> = {};
    for (const { rest, value } of this.under(prefix)) sums[rest] = (sums[rest] ?? 0) + value;
    return sums;
  }
}

export function cacheMetrics(counts: CacheCounts, stats: CacheStats): ExtraMetric[] {
  const byRoute = (prefix: string, label: string): ExtraMetric['samples'] =>
    counts.under(prefix).map(({ route, rest, value }) => ({ labels: { route, [label]: rest }, value }));
  const sums = (name: string): ExtraMetric['samples'] =>
    counts.under(name).map(({ route, value }) => ({ labels: { route }, value }));
  const all: ExtraMetric[] = [
    metric(
      'requests_total',
      'counter',
      'Requests to routes with a cache, by how they ended',
      byRoute('result ', 'result'),
    ),
    metric('refusals_total', 'counter', 'Responses that were not stored, by reason', byRoute('refused ', 'reason')),
    metric(
      'takeovers_total',
      'counter',
      'Fetches that went on although their client, connection or worker was gone, by what was gone',
      byRoute('takeover ', 'reason'),
    ),
    metric('stored_total', 'counter', 'Responses that were stored', sums('stored')),
    metric('sent_bytes_total', 'counter', 'Bytes of bodies that came out of the cache', sums('bytes')),
    metric(
      'redis_locks_total',
      'counter',
      'Fetches of what the second tier does not have, by how they agreed with those of other gateways',
      byRoute('tier_lock ', 'result'),
    ),
    metric(
      'redis_reads_total',
      'counter',
      'Reads of the second tier, by how they ended',
      byRoute('tier_read ', 'result'),
    ),
    metric(
      'redis_writes_total',
      'counter',
      'Responses for the second tier, by what became of them',
      byRoute('tier_write ', 'result'),
    ),
    metric('evictions_total', 'counter', 'Responses that had to make room', [{ labels: {}, value: stats.evictions }]),
    metric('resets_total', 'counter', 'Times the cache was emptied because a worker died inside its lock', [
      { labels: {}, value: stats.resets },
    ]),
    metric('objects', 'gauge', 'Responses that are stored', [{ labels: {}, value: stats.objects }]),
    metric('memory_bytes', 'gauge', 'Memory of the cache', [
      { labels: { state: 'used' }, value: stats.usedBytes },
      { labels: { state: 'all' }, value: stats.totalBytes },
    ]),
  ];
  return all.filter(({ samples }) => samples.length > 0);
}

function metric(name: string, type: ExtraMetric['type'], help: string, samples: ExtraMetric['samples']): ExtraMetric {
  return { name: `gatehouse_cache_${name}`, type, help, samples };
}
