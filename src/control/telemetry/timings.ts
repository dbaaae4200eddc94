/** What the main thread waits for, measured: one of each in the process, shown by telemetry/feature.ts. */
import { Timings } from '../../base/timings.ts';

export const SQL_TIMINGS: Timings = new Timings(
  'gatehouse_sql_duration_seconds',
  'Time of queries to SQL stores',
  'dialect',
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
