/** What Kysely says of each query, as a histogram; also of those that failed. Nothing of a query is logged. */
import type { LogEvent } from 'kysely';
import { SQL_TIMINGS } from '../telemetry/timings.ts';

export function measured(dialect: string): (event: LogEvent) => void {
  return (event) => SQL_TIMINGS.add(dialect, event.queryDurationMillis / 1_000);
}
