/** How much a person has done: counts over a span of time. */
import type { AnalysedCommit } from './commit.ts';
import { dayOf, HOUR_MS, linesOf, median, share } from './commit.ts';

export interface Metrics {
  readonly commits: number;
  readonly active_days: number;
  readonly commits_per_active_day: number;
  readonly repositories: number;
  readonly additions: number;
  readonly deletions: number;
  /** Deleted lines for each added one. */
  readonly deletion_ratio: number;
  readonly files_touched: number;
  readonly median_lines: number;
  readonly median_hours_between: number;
  /** Changed lines by ending of the file, the most first. */
  readonly languages: readonly { readonly extension: string; readonly lines: number; readonly share: number }[];
}

const MAX_LANGUAGES = 10;

/** `commits` in the order of their times. */
export function metricsOf(commits: readonly AnalysedCommit[]): Metrics {
  const files = new Set<string>();
  const languages = new Map<string, number>();
  let [additions, deletions] = [0, 0];
  for (const commit of commits) {
    const lines = linesOf(commit);
    additions += lines.additions;
    deletions += lines.deletions;
    for (const file of commit.files) {
      files.add(`${commit.repository}\n${file.path}`);
      const extension = /[^/]\.(\w{1,12})$/.exec(file.path)?.[1]?.toLowerCase() ?? '';
      languages.set(extension, (languages.get(extension) ?? 0) + file.additions + file.deletions);
    }
  }
  const days = new Set(commits.map(dayOf)).size;
  const pauses = commits.slice(1).map(({ atMs }, i) => (atMs - commits[i]!.atMs) / HOUR_MS);
  const sizes = commits.map((commit) => linesOf(commit).additions + linesOf(commit).deletions);
  return {
    commits: commits.length,
    active_days: days,
    commits_per_active_day: share(commits.length, days),
    repositories: new Set(commits.map(({ repository }) => repository)).size,
    additions,
    deletions,
    deletion_ratio: share(deletions, additions),
    files_touched: files.size,
    median_lines: median(sizes),
    median_hours_between: Number(median(pauses).toFixed(2)),
    languages: [...languages]
      .sort(([, a], [, b]) => b - a)
      .slice(0, MAX_LANGUAGES)
      .map(([extension, lines]) => ({ extension, lines, share: share(lines, additions + deletions) })),
  };
}
