/**
 * Memory that all threads share. Control allocates it once at start and hands it to every worker; it survives
 * reloads and the death of a worker. Each region is owned and read by one class that knows its layout.
 */
export interface SharedState {
  /** Metric slots, one bank per worker so that none waits (base/metrics.ts). */
  readonly metrics: SharedArrayBuffer;
  /**
   * In-flight counts, health bits, ejection and breaker words per service and instance
   * (data/contract/instance-table.ts).
   */
  readonly instances: SharedArrayBuffer;
  /** Rate-limit cells (data/limiter/table.ts). */
  readonly limits: SharedArrayBuffer;
  /** Stored responses (data/cache/store/layout.ts). */
  readonly cache: SharedArrayBuffer;
}

/** Most services, instances and routes that shared memory has slots for; slot 0 is "the rest" in metrics. */
export const MAX_SERVICES = 1_024;
export const MAX_INSTANCES = 8_192;
export const MAX_ROUTES = 16_384;
export const MAX_WORKERS = 64;
