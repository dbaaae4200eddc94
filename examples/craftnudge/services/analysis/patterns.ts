/** How a person works: when, in what sessions and streaks, in what sizes, and which files change together. */
import type { AnalysedCommit } from './commit.ts';
import { DAY_MS, dayOf, HOUR_MS, hourOf, linesOf, median, share } from './commit.ts';

/** A pause longer than this begins a new session. */
const SESSION_PAUSE_MS = 2 * HOUR_MS;
const NIGHT = [22, 23, 0, 1, 2, 3, 4];
const [SMALL, LARGE] = [50, 400];
const [MAX_LISTED, MIN_TOGETHER, MAX_FILES_FOR_PAIRS] = [10, 3, 30];
const TEST_PATH = /(^|[/._-])(tests?|specs?|__tests__)([/._-]|$)/i;
const CONVENTIONAL = /^(\w+)(\([^)]*\))?!?: \S/;

export interface Patterns {
  readonly commits: number;
  /** Commits by hour of the author's clock, from midnight on. */
  readonly hours: readonly number[];
  /** Commits by day of the week, from Monday on. */
  readonly weekdays: readonly number[];
  readonly peak_hours: readonly number[];
  readonly night_share: number;
  readonly weekend_share: number;
  readonly sessions: {
    readonly count: number;
    readonly median_minutes: number;
    readonly median_commits: number;
    readonly longest_minutes: number;
  };
  readonly streaks: { readonly longest_days: number; readonly current_days: number };
  readonly sizes: { readonly small: number; readonly medium: number; readonly large: number };
  /** Share of the commits that change tests, of those whose files are known. */
  readonly test_share: number;
  readonly messages: { readonly median_length: number; readonly prefixes: Readonly<Record<string, number>> };
  readonly hot_files: readonly { readonly path: string; readonly commits: number }[];
  /** Pairs of files of which the rarer changes mostly together with the other. */
  readonly coupled_files: readonly {
    readonly files: readonly [string, string];
    readonly together: number;
    readonly confidence: number;
  }[];
}

/** `commits` in the order of their times; `nowMs` says which streak is the current one. */
export function patternsOf(commits: readonly AnalysedCommit[], nowMs: number): Patterns {
  const hours = new Array<number>(24).fill(0);
  const weekdays = new Array<number>(7).fill(0);
  const sizes = { small: 0, medium: 0, large: 0 };
  const prefixes = new Map<string, number>();
  let [withFiles, withTests] = [0, 0];
  for (const commit of commits) {
    hours[hourOf(commit)]!++;
    // The first of January 1970 was a Thursday.
    weekdays[(dayOf(commit) + 3) % 7]!++;
    const { additions, deletions } = linesOf(commit);
    const lines = additions + deletions;
    sizes[lines <= SMALL ? 'small' : lines <= LARGE ? 'medium' : 'large']++;
    if (commit.files.length > 0) withFiles++;
    if (commit.files.some(({ path }) => TEST_PATH.test(path))) withTests++;
    const prefix = CONVENTIONAL.exec(commit.message)?.[1]?.toLowerCase();
    if (prefix !== undefined) prefixes.set(prefix, (prefixes.get(prefix) ?? 0) + 1);
  }
  const subjects = commits.map(({ message }) => (message.split('\n', 1)[0] ?? '').length);
  return {
    commits: commits.length,
    hours,
    weekdays,
    peak_hours: hours
      .map((count, hour) => ({ count, hour }))
      .filter(({ count }) => count > 0)
      .sort((a, b) => b.count - a.count || a.hour - b.hour)
      .slice(0, 3)
      .map(({ hour }) => hour),
    night_share: share(
      NIGHT.reduce((sum, hour) => sum + hours[hour]!, 0),
      commits.length,
    ),
    weekend_share: share(weekdays[5]! + weekdays[6]!, commits.length),
    sessions: sessionsOf(commits),
    streaks: streaksOf(commits, nowMs),
    sizes,
    test_share: share(withTests, withFiles),
    messages: { median_length: median(subjects), prefixes: Object.fromEntries(mostOf(prefixes)) },
    ...filesOf(commits),
  };
}

function sessionsOf(commits: readonly AnalysedCommit[]): Patterns['sessions'] {
  const sessions: { firstMs: number; lastMs: number; commits: number }[] = [];
  for (const { atMs } of commits) {
    const session = sessions.at(-1);
    if (session === undefined || atMs - session.lastMs > SESSION_PAUSE_MS)
      sessions.push({ firstMs: atMs, lastMs: atMs, commits: 1 });
    else {
      session.lastMs = atMs;
      session.commits++;
    }
  }
  const minutes = sessions.map(({ firstMs, lastMs }) => Math.round((lastMs - firstMs) / 60_000));
  return {
    count: sessions.length,
    median_minutes: median(minutes),
    median_commits: median(sessions.map((session) => session.commits)),
    longest_minutes: Math.max(0, ...minutes),
  };
}

/** Days in a row with a commit. A streak is the current one until a whole day has passed without. */
function streaksOf(commits: readonly AnalysedCommit[], nowMs: number): Patterns['streaks'] {
  const days = [...new Set(commits.map(dayOf))].sort((a, b) => a - b);
  let [longest, length] = [0, 0];
  let previous = Number.NaN;
  for (const day of days) {
    length = day === previous + 1 ? length + 1 : 1;
    longest = Math.max(longest, length);
    previous = day;
  }
  const last = commits.at(-1);
  const today = last === undefined ? 0 : Math.floor((nowMs + last.offsetMinutes * 60_000) / DAY_MS);
  return { longest_days: longest, current_days: last !== undefined && today - previous <= 1 ? length : 0 };
}

/** Often changed files, and pairs that change together: evidence of a dependency that no import shows. */
function filesOf(commits: readonly AnalysedCommit[]): Pick<Patterns, 'hot_files' | 'coupled_files'> {
  const counts = new Map<string, number>();
  const pairs = new Map<string, number>();
  for (const { files } of commits) {
    const paths = [...new Set(files.map(({ path }) => path))].sort();
    for (const path of paths) counts.set(path, (counts.get(path) ?? 0) + 1);
    // A commit that touches everything says nothing about what belongs together.
    if (paths.length > MAX_FILES_FOR_PAIRS) continue;
    for (const [i, one] of paths.entries())
      for (const other of paths.slice(i + 1)) {
        const pair = `${one}\n${other}`;
        pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
      }
  }
  const coupled = [...pairs]
    .filter(([, together]) => together >= MIN_TOGETHER)
    .map(([pair, together]) => {
      const [one = '', other = ''] = pair.split('\n');
      const rarer = Math.min(counts.get(one) ?? 1, counts.get(other) ?? 1);
      return { files: [one, other] as [string, string], together, confidence: share(together, rarer) };
    })
    .filter(({ confidence }) => confidence > 0.5)
    .sort((a, b) => b.together - a.together || b.confidence - a.confidence);
  return {
    hot_files: mostOf(counts).map(([path, count]) => ({ path, commits: count })),
    coupled_files: coupled.slice(0, MAX_LISTED),
  };
}

function mostOf(counts: ReadonlyMap<string, number>): [string, number][] {
  return [...counts].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)).slice(0, MAX_LISTED);
}
