/** A commit as the analysis reads it, and times as its author's clock showed them. */
export interface AnalysedCommit {
  readonly hash: string;
  readonly repository: string;
  readonly message: string;
  readonly author: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** Minutes that the author's clock was ahead of UTC. */
  readonly offsetMinutes: number;
  readonly files: readonly { readonly path: string; readonly additions: number; readonly deletions: number }[];
}

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

/** Minutes of an offset such as `+05:30` at the end of a moment. */
export function offsetOf(moment: string): number {
  const found = /([+-])(\d\d):?(\d\d)$/.exec(moment);
  if (found === null) return 0;
  return (found[1] === '-' ? -1 : 1) * (Number(found[2]) * 60 + Number(found[3]));
}

/** Day of the author's calendar, counted from 1970. */
export function dayOf({ atMs, offsetMinutes }: AnalysedCommit): number {
  return Math.floor((atMs + offsetMinutes * 60_000) / DAY_MS);
}

/** Hour of the author's clock. */
export function hourOf({ atMs, offsetMinutes }: AnalysedCommit): number {
  return new Date(atMs + offsetMinutes * 60_000).getUTCHours();
}

export function linesOf({ files }: AnalysedCommit): { readonly additions: number; readonly deletions: number } {
  let [additions, deletions] = [0, 0];
  for (const file of files) {
    additions += file.additions;
    deletions += file.deletions;
  }
  return { additions, deletions };
}

export function median(values: readonly number[]): number {
  if (values.length === 0) return 0;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Part of the whole, with three digits; 0 of nothing. */
export function share(part: number, whole: number): number {
  return whole === 0 ? 0 : Number((part / whole).toFixed(3));
}
