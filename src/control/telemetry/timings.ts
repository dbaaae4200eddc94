/** What the main thread waits for, measured: one of each in the process, shown by telemetry/feature.ts. */
import { Timings } from '../../base/timings.ts';

export const SQL_TIMINGS: Timings = new Timings(
  'gatehouse_sql_duration_seconds',
  'Time of queries to SQL stores',
  'dialect',
);
/** Limits have a histogram of their own. */
export const REDIS_TIMINGS: Timings = new Timings(
  'gatehouse_redis_duration_seconds',
  'Time of questions to Redis that were answered, by what they were for',
  'use',
);
export const OUTSIDE_TIMINGS: Timings = new Timings(
  'gatehouse_outside_duration_seconds',
  'Time of calls to outside services of authentication: key sets, introspection, forward authentication',
  'host',
);
export const IDENTITY_TIMINGS: Timings = new Timings(
  'gatehouse_identity_duration_seconds',
  'Time of calls to the account API',
  'method',
);
export const EXPORT_TIMINGS: Timings = new Timings(
  'gatehouse_trace_export_duration_seconds',
  'Time of exports to the trace collector',
  'protocol',
);
