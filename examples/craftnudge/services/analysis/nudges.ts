/** What a friendly colleague would say to these patterns; at most one remark of each kind. */
import type { Metrics } from './metrics.ts';
import type { Patterns } from './patterns.ts';
import type { Trends } from './trends.ts';

export interface Nudge {
  readonly kind: 'night' | 'size' | 'tests' | 'streak' | 'trend';
  readonly title: string;
  readonly body: string;
}

const MIN_COMMITS = 5;

export function nudgesOf(patterns: Patterns, metrics: Metrics, trends: Trends): Nudge[] {
  if (patterns.commits < MIN_COMMITS) return [];
  const percent = (part: number): string => `${Math.round(part * 100)} %`;
  const nudges: Nudge[] = [];
  if (patterns.night_share > 0.25)
    nudges.push({
      kind: 'night',
      title: 'Late hours',
      body: `${percent(patterns.night_share)} of your commits are made between 22:00 and 5:00.`,
    });
  const large = patterns.sizes.large / patterns.commits;
  if (large > 0.3)
    nudges.push({
      kind: 'size',
      title: 'Large commits',
      body: `${percent(large)} of your commits change more than 400 lines; the median is ${metrics.median_lines}.`,
    });
  if (patterns.test_share < 0.2 && metrics.files_touched > 0)
    nudges.push({
      kind: 'tests',
      title: 'Few tests',
      body: `${percent(patterns.test_share)} of your commits change a test.`,
    });
  if (patterns.streaks.current_days >= 3)
    nudges.push({
      kind: 'streak',
      title: 'On a streak',
      body: `You have committed on ${patterns.streaks.current_days} days in a row; your longest was ${patterns.streaks.longest_days}.`,
    });
  if (trends.commits.direction !== 'steady')
    nudges.push({
      kind: 'trend',
      title: `Commits are ${trends.commits.direction}`,
      body: `By ${Math.abs(trends.commits.slope)} a week over ${trends.weeks.length} weeks.`,
    });
  return nudges;
}
