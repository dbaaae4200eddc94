/**
 * Where it goes: a row of weeks and whether it rises. The slope is Theil and Sen's (the median of the slopes between
 * all pairs of weeks, which no single week can turn); whether it is more than chance is said by the test of Mann and
 * Kendall.
 */
import type { AnalysedCommit } from './commit.ts';
import { DAY_MS, dayOf, linesOf, median, share } from './commit.ts';

export interface Trend {
  readonly direction: 'rising' | 'falling' | 'steady';
  /** Change for each week. */
  readonly slope: number;
  /** How likely such a row is where there is no trend. */
  readonly p_value: number;
}

export interface Trends {
  readonly weeks: readonly { readonly week: string; readonly commits: number; readonly lines: number }[];
  readonly commits: Trend;
  readonly lines: Trend;
  readonly lines_per_commit: Trend;
}

const SIGNIFICANT = 0.05;
const MAX_WEEKS = 260;

/** `commits` in the order of their times. Weeks begin on Monday; the last one may be incomplete. */
export function trendsOf(commits: readonly AnalysedCommit[]): Trends {
  const weekOf = (commit: AnalysedCommit): number => Math.floor((dayOf(commit) + 3) / 7);
  const byWeek = new Map<number, { commits: number; lines: number }>();
  for (const commit of commits) {
    const week = weekOf(commit);
    const sums = byWeek.get(week) ?? { commits: 0, lines: 0 };
    const { additions, deletions } = linesOf(commit);
    byWeek.set(week, { commits: sums.commits + 1, lines: sums.lines + additions + deletions });
  }
  const numbers = [...byWeek.keys()];
  const [last, first] = [Math.max(...numbers), Math.max(Math.min(...numbers), Math.max(...numbers) - MAX_WEEKS + 1)];
  const weeks: { week: string; commits: number; lines: number }[] = [];
  for (let week = first; week <= last; week++) {
    const monday = new Date((week * 7 - 3) * DAY_MS).toISOString().slice(0, 10);
    weeks.push({ week: monday, ...(byWeek.get(week) ?? { commits: 0, lines: 0 }) });
  }
  const busy = weeks.filter((week) => week.commits > 0);
  return {
    weeks,
    commits: trendOf(weeks.map((week) => week.commits)),
    lines: trendOf(weeks.map((week) => week.lines)),
    lines_per_commit: trendOf(busy.map((week) => share(week.lines, week.commits))),
  };
}

export function trendOf(values: readonly number[]): Trend {
  const slopes: number[] = [];
  let score = 0;
  for (let i = 0; i < values.length; i++)
    for (let j = i + 1; j < values.length; j++) {
      slopes.push((values[j]! - values[i]!) / (j - i));
      score += Math.sign(values[j]! - values[i]!);
    }
  const p = significance(values, score);
  const direction = p >= SIGNIFICANT || score === 0 ? 'steady' : score > 0 ? 'rising' : 'falling';
  return { direction, slope: Number(median(slopes).toFixed(3)), p_value: Number(p.toFixed(4)) };
}

/** Two-sided, by the normal distribution, with the correction for equal values. */
function significance(values: readonly number[], score: number): number {
  const n = values.length;
  if (n < 4 || score === 0) return 1;
  const ties = new Map<number, number>();
  for (const value of values) ties.set(value, (ties.get(value) ?? 0) + 1);
  const term = (count: number): number => count * (count - 1) * (2 * count + 5);
  const variance = (term(n) - [...ties.values()].reduce((sum, count) => sum + term(count), 0)) / 18;
  const z = (Math.abs(score) - 1) / Math.sqrt(variance);
  return 2 * upperTail(z);
}

/** Of the normal distribution, by the approximation 26.2.17 of Abramowitz and Stegun (error below 7.5e-8). */
function upperTail(z: number): number {
  const t = 1 / (1 + 0.2316419 * z);
  const series = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * series;
}
