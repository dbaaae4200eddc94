/** The response cache and its second tier. */
import type { MetricDefinition } from './definition.ts';

export const CACHE_METRICS = {
  gatehouse_cache_evictions_total: { type: 'counter', labels: [], help: 'Responses that had to make room' },
  gatehouse_cache_memory_bytes: { type: 'gauge', unit: 'bytes', labels: ['state'], help: 'Memory of the cache' },
  gatehouse_cache_objects: { type: 'gauge', labels: [], help: 'Responses that are stored' },
  gatehouse_cache_redis_locks_total: {
    type: 'counter',
    labels: ['route', 'result'],
    help: 'Fetches of what the second tier does not have, by how they agreed with those of other gateways',
  },
  gatehouse_cache_redis_reads_total: {
    type: 'counter',
    labels: ['route', 'result'],
    help: 'Reads of the second tier, by how they ended',
  },
  gatehouse_cache_redis_writes_total: {
    type: 'counter',
    labels: ['route', 'result'],
    help: 'Responses for the second tier, by what became of them',
  },
  gatehouse_cache_refusals_total: {
    type: 'counter',
    labels: ['route', 'reason'],
    help: 'Responses that were not stored, by reason',
  },
  gatehouse_cache_requests_total: {
    type: 'counter',
    labels: ['route', 'result'],
    help: 'Requests to routes with a cache, by how they ended',
  },
  gatehouse_cache_resets_total: {
    type: 'counter',
    labels: [],
    help: 'Times the cache was emptied because a worker died inside its lock',
  },
  gatehouse_cache_sent_bytes_total: {
    type: 'counter',
    unit: 'bytes',
    labels: ['route'],
    help: 'Bytes of bodies that came out of the cache',
  },
  gatehouse_cache_stored_total: { type: 'counter', labels: ['route'], help: 'Responses that were stored' },
  gatehouse_cache_takeovers_total: {
    type: 'counter',
    labels: ['route', 'reason'],
    help: 'Fetches that went on although their client, connection or worker was gone, by what was gone',
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;
