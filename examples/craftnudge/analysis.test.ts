/** The analysis on made-up histories whose answers are known, and the reader of git on a repository made for it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type AnalysedCommit, dayOf, hourOf, offsetOf } from './services/analysis/commit.ts';
import { metricsOf } from './services/analysis/metrics.ts';
import { nudgesOf } from './services/analysis/nudges.ts';
import { patternsOf } from './services/analysis/patterns.ts';
import { trendOf, trendsOf } from './services/analysis/trends.ts';
import { batchesOf, historyOf } from './track-repository.ts';

const at = (moment: string, files: AnalysedCommit['files'] = [], message = 'a change'): AnalysedCommit => ({
  hash: '',
  repository: 'r',
  message,
  author: 'Ada',
  atMs: Date.parse(moment),
  offsetMinutes: offsetOf(moment),
  files,
});
const file = (path: string, additions: number, deletions = 0) => ({ path, additions, deletions });

test('hours and days are those of the author, not of UTC', () => {
  const night = at('2026-03-01T00:30:00+05:30');
  assert.deepEqual(
    [hourOf(night), offsetOf('2026-01-01T00:00:00Z'), offsetOf('2026-01-01T00:00:00-03:30')],
    [0, 0, -210],
  );
  assert.equal(dayOf(night), Date.UTC(2026, 2, 1) / 86_400_000);
  const { hours, weekdays, weekend_share } = patternsOf([night], Date.parse('2026-03-02T00:00:00Z'));
  assert.equal(hours[0], 1);
  assert.deepEqual(weekdays, [0, 0, 0, 0, 0, 0, 1], 'it was a Sunday');
  assert.equal(weekend_share, 1);
});

test('sessions end with a pause of more than two hours, streaks with a day without', () => {
  const commits = [
    at('2026-03-02T09:00:00Z'),
    at('2026-03-02T10:30:00Z'),
    at('2026-03-02T15:00:00Z'),
    at('2026-03-03T09:00:00Z'),
    at('2026-03-05T09:00:00Z'),
  ];
  const { sessions, streaks } = patternsOf(commits, Date.parse('2026-03-06T23:00:00Z'));
  assert.deepEqual(sessions, { count: 4, median_minutes: 0, median_commits: 1, longest_minutes: 90 });
  assert.deepEqual(streaks, { longest_days: 2, current_days: 1 });
  assert.equal(patternsOf(commits, Date.parse('2026-03-07T01:00:00Z')).streaks.current_days, 0);
});

test('files that change together are found, those of a commit that touches everything are not', () => {
  const pair = [file('a.ts', 1), file('test/a.test.ts', 1)];
  const everything = Array.from({ length: 40 }, (_, n) => file(`f${n}.ts`, 1));
  const commits = [1, 2, 3].flatMap((day) => [
    at(`2026-03-0${day}T09:00:00Z`, pair),
    at(`2026-03-0${day}T10:00:00Z`, everything),
  ]);
  const { coupled_files, hot_files, test_share, sizes } = patternsOf(commits, 0);
  assert.deepEqual(coupled_files, [{ files: ['a.ts', 'test/a.test.ts'], together: 3, confidence: 1 }]);
  assert.equal(hot_files[0]?.commits, 3);
  assert.equal(test_share, 0.5);
  assert.deepEqual(sizes, { small: 6, medium: 0, large: 0 });
});

test('metrics add up', () => {
  const commits = [
    at('2026-03-02T09:00:00Z', [file('a.ts', 30, 10), file('Makefile', 10)]),
    at('2026-03-02T12:00:00Z', [file('b.css', 50)]),
    at('2026-03-04T12:00:00Z', [file('a.ts', 0, 20)]),
  ];
  assert.deepEqual(metricsOf(commits), {
    commits: 3,
    active_days: 2,
    commits_per_active_day: 1.5,
    repositories: 1,
    additions: 90,
    deletions: 30,
    deletion_ratio: 0.333,
    files_touched: 3,
    median_lines: 50,
    median_hours_between: 25.5,
    languages: [
      { extension: 'ts', lines: 60, share: 0.5 },
      { extension: 'css', lines: 50, share: 0.417 },
      { extension: '', lines: 10, share: 0.083 },
    ],
  });
  assert.equal(metricsOf([]).commits_per_active_day, 0);
});

test('a trend is told from noise, and no single week makes one', () => {
  assert.deepEqual(trendOf([1, 2, 3, 4, 5, 6, 7, 8]), { direction: 'rising', slope: 1, p_value: 0.0008 });
  assert.equal(trendOf([9, 8, 7, 7, 5, 4, 3, 1]).direction, 'falling');
  assert.equal(trendOf([3, 5, 4, 5, 3, 4, 5, 3]).direction, 'steady');
  assert.equal(trendOf([3, 3, 3, 3, 500, 3, 3, 3]).slope, 0);
  for (const few of [[], [1], [1, 2, 3]]) assert.equal(trendOf(few).direction, 'steady');
  const { weeks } = trendsOf([at('2026-03-01T12:00:00Z', [file('a', 3)]), at('2026-03-16T12:00:00Z')]);
  assert.deepEqual(weeks, [
    { week: '2026-02-23', commits: 1, lines: 3 },
    { week: '2026-03-02', commits: 0, lines: 0 },
    { week: '2026-03-09', commits: 0, lines: 0 },
    { week: '2026-03-16', commits: 1, lines: 0 },
  ]);
  assert.deepEqual(trendsOf([]).weeks, []);
});

test('nudges say what stands out, and nothing of a few commits', () => {
  const night = (n: number) => at(`2026-03-${String(n).padStart(2, '0')}T23:00:00Z`, [file('a.ts', 900)]);
  const commits = [1, 2, 3, 4, 5, 6].map(night);
  const nowMs = Date.parse('2026-03-06T23:30:00Z');
  const kinds = (of: AnalysedCommit[]) =>
    nudgesOf(patternsOf(of, nowMs), metricsOf(of), trendsOf(of)).map(({ kind }) => kind);
  assert.deepEqual(kinds(commits), ['night', 'size', 'tests', 'streak']);
  assert.deepEqual(kinds(commits.slice(0, 4)), []);
});

test('the history of a repository is read with git: names with blanks, renames, binary files', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'gh-history-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', folder, ...args], {
      env: {
        ...process.env,
        GIT_AUTHOR_NAME: 'Ada',
        GIT_AUTHOR_EMAIL: 'ada@example.com',
        GIT_AUTHOR_DATE: '2026-03-02T09:00:00+05:30',
        GIT_COMMITTER_NAME: 'Ada',
        GIT_COMMITTER_EMAIL: 'ada@example.com',
        GIT_CONFIG_GLOBAL: '/dev/null',
        GIT_CONFIG_SYSTEM: '/dev/null',
      },
    });
  git('init', '--quiet');
  writeFileSync(join(folder, 'a file.txt'), 'one\ntwo\n');
  writeFileSync(join(folder, 'picture.bin'), Buffer.from([0, 1, 2]));
  git('add', '.');
  git('commit', '--quiet', '-m', 'feat: begin\n\nwith a body');
  renameSync(join(folder, 'a file.txt'), join(folder, 'another.txt'));
  git('add', '.');
  git('commit', '--quiet', '-m', 'rename');
  const history = await historyOf(folder, 10);
  assert.deepEqual(
    history.map(({ message, author, authored_at, files }) => ({ message, author, authored_at, files })),
    [
      {
        message: 'feat: begin\n\nwith a body',
        author: 'Ada',
        authored_at: '2026-03-02T09:00:00+05:30',
        files: [file('a file.txt', 2), file('picture.bin', 0)],
      },
      {
        message: 'rename',
        author: 'Ada',
        authored_at: '2026-03-02T09:00:00+05:30',
        files: [file('another.txt', 0)],
      },
    ],
  );
  assert.ok(history.every(({ commit_hash }) => /^[0-9a-f]{40}$/.test(commit_hash)));
  assert.deepEqual(
    batchesOf(Array.from({ length: 1_001 }, () => history[0]!)).map(({ length }) => length),
    [500, 500, 1],
  );
});
