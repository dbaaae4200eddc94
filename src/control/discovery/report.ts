/** How a source of instances is, as health, status and the console show it. Pure. */
import type { SourceStatus } from './manager.ts';

export interface SourceReport {
  readonly source: string;
  readonly instances: number;
  /** Null while all is well; meanwhile the last good instances are kept. */
  readonly problem: string | null;
  readonly updatedAt: string | null;
}

export function sourceReport({ source, instances, problem, toldAtMs }: SourceStatus): SourceReport {
  const updatedAt = toldAtMs === null ? null : new Date(toldAtMs).toISOString();
  return { source, instances, problem, updatedAt };
}
