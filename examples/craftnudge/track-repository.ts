/**
 * Tracks the history of a repository, read with git, and prints what analytics makes of it.
 *
 *   TOKEN=... GATEWAY=http://127.0.0.1:8000 npx node track-repository.ts FOLDER [MOST]
 */
import { execFile } from 'node:child_process';
import { basename, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Commit } from './services/commit-store.ts';

const BATCH = 500;
const MAX_FILES = 500;
/** Stay below the 8 MB of the route. */
const MAX_BATCH_LENGTH = 4_000_000;

/** The newest `most` commits without merges, oldest first. */
export async function historyOf(folder: string, most: number): Promise<Commit[]> {
  const { stdout } = await promisify(execFile)(
    'git',
    [
      ...['-C', folder, 'log', '--no-merges', '--reverse', `--max-count=${most}`, '--numstat', '-z'],
      '--format=%x01%H%x02%an%x02%aI%x02%B%x02',
    ],
    { maxBuffer: 1024 ** 3 },
  );
  const repository = basename(resolve(folder));
  return stdout
    .split('\x01')
    .slice(1)
    .map((text) => {
      const [hash = '', author = '', authoredAt = '', message = '', stat = ''] = text.split('\x02');
      return {
        commit_hash: hash,
        repository,
        author: author.slice(0, 200) || 'unknown',
        authored_at: authoredAt,
        message: message.trim().slice(0, 20_000) || '(none)',
        files: filesOf(stat),
      };
    });
}

/**
 * With `-z` a file is `added TAB deleted TAB path NUL`, a renamed one `added TAB deleted TAB NUL old NUL new NUL`;
 * binary ones have `-`.
 */
function filesOf(stat: string): Commit['files'] {
  const files: Commit['files'] = [];
  const fields = stat.replace(/^[\0\n]+/, '').split('\0');
  for (let i = 0; i < fields.length && files.length < MAX_FILES; i++) {
    const [additions, deletions, path] = (fields[i] ?? '').split('\t');
    if (path === undefined) continue;
    // Of a renamed one the two names follow.
    if (path === '') i += 2;
    const name = path === '' ? fields[i] : path;
    files.push({
      path: (name ?? '').slice(0, 1_000),
      additions: Number(additions) || 0,
      deletions: Number(deletions) || 0,
    });
  }
  return files;
}

/** Lists that are small enough for one call each. */
export function batchesOf(commits: readonly Commit[]): Commit[][] {
  const batches: Commit[][] = [[]];
  let length = 0;
  for (const commit of commits) {
    const own = JSON.stringify(commit).length;
    if (batches.at(-1)!.length >= BATCH || (length > 0 && length + own > MAX_BATCH_LENGTH)) {
      batches.push([]);
      length = 0;
    }
    batches.at(-1)!.push(commit);
    length += own;
  }
  return batches;
}

if (import.meta.main) {
  const { GATEWAY = 'http://127.0.0.1:8000', TOKEN = '' } = process.env;
  const [folder = '.', most = '2000'] = process.argv.slice(2);
  const call = async (method: string, path: string, body?: unknown): Promise<Record<string, unknown>> => {
    const response = await fetch(GATEWAY + path, {
      method,
      headers: { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as Record<string, unknown>;
  };
  const history = await historyOf(folder, Number(most));
  for (const commits of batchesOf(history)) console.log(await call('POST', '/api/v1/commits/batch', { commits }));
  // Analytics reads the stream: it has all of them a moment later.
  const path = `/api/v1/analytics/metrics?repository=${encodeURIComponent(basename(resolve(folder)))}`;
  for (let tries = 0; tries < 10 && ((await call('GET', path))['commits'] as number) < history.length; tries++)
    await new Promise((resolvePause) => setTimeout(resolvePause, 1_000));
  console.log(JSON.stringify(await call('POST', '/api/v1/analytics/analyze', {}), null, 2));
}
