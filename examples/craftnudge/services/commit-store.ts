/** Commits that people have tracked, in SQLite, each until it is published marked as not yet published. */
import { DatabaseSync } from 'node:sqlite';
import * as z from 'zod';

const HASH = /^[0-9a-f]{40}$/;
const MAX_FILES = 500;
/** Of the commits of one event; the route takes twice as much. */
const MAX_EVENT_LENGTH = 1_000_000;

/** What the gateway has checked already: the service does not rely on it. */
export const commitSchema = z.strictObject({
  commit_hash: z.string().regex(HASH, '40-character SHA-1 hash'),
  repository: z.string().min(1).max(200),
  message: z.string().min(1).max(20_000),
  author: z.string().min(1).max(200),
  authored_at: z.iso.datetime({ offset: true, message: 'a moment such as 2024-01-01T12:00:00+01:00' }),
  files: z
    .array(
      z.strictObject({
        path: z.string().min(1).max(1_000),
        additions: z.int().min(0),
        deletions: z.int().min(0),
      }),
    )
    .max(MAX_FILES)
    .default([]),
});

export type Commit = z.output<typeof commitSchema>;

/** As callers see it. */
export type TrackedCommit = Commit & { readonly tracked_at: string };

interface Row {
  readonly position: number;
  readonly user: string;
  readonly body: string;
  readonly tracked_at: string;
}

export interface Page {
  readonly repository?: string | undefined;
  /** Milliseconds. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  readonly limit: number;
  /** Of the page before. */
  readonly cursor?: string | undefined;
}

export class CommitStore {
  readonly #database: DatabaseSync;

  constructor(file: string) {
    this.#database = new DatabaseSync(file, { timeout: 5_000 });
    this.#database.exec(`
      PRAGMA journal_mode = WAL;
      CREATE TABLE IF NOT EXISTS commits (
        position INTEGER PRIMARY KEY,
        user TEXT NOT NULL,
        hash TEXT NOT NULL,
        repository TEXT NOT NULL,
        authored_ms INTEGER NOT NULL,
        body TEXT NOT NULL,
        tracked_at TEXT NOT NULL,
        published INTEGER NOT NULL DEFAULT 0,
        UNIQUE (user, hash)
      );
      CREATE INDEX IF NOT EXISTS commits_by_time ON commits (user, authored_ms DESC, hash);
      CREATE INDEX IF NOT EXISTS commits_to_publish ON commits (position) WHERE published = 0;
    `);
  }

  /** Tracks all of them or none; those that the user has tracked before are not tracked again. */
  track(user: string, commits: readonly Commit[]): { readonly tracked: number; readonly known: number } {
    const insert = this.#database.prepare(
      'INSERT INTO commits (user, hash, repository, authored_ms, body, tracked_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
    );
    const at = new Date().toISOString();
    let tracked = 0;
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      for (const commit of commits) {
        const { commit_hash: hash, repository, authored_at: authored } = commit;
        tracked += Number(insert.run(user, hash, repository, Date.parse(authored), JSON.stringify(commit), at).changes);
      }
      this.#database.exec('COMMIT');
    } catch (error) {
      this.#database.exec('ROLLBACK');
      throw error;
    }
    return { tracked, known: commits.length - tracked };
  }

  find(user: string, hash: string): TrackedCommit | undefined {
    const row = this.#database.prepare('SELECT * FROM commits WHERE user = ? AND hash = ?').get(user, hash);
    return row === undefined ? undefined : commitOf(row as unknown as Row);
  }

  /** Newest first. */
  list(user: string, { repository, since, until, limit, cursor }: Page): { commits: TrackedCommit[]; next?: string } {
    const conditions = ['user = ?'];
    const values: (string | number)[] = [user];
    const add = (condition: string, ...more: (string | number)[]): void => {
      conditions.push(condition);
      values.push(...more);
    };
    if (repository !== undefined) add('repository = ?', repository);
    if (since !== undefined) add('authored_ms >= ?', since);
    if (until !== undefined) add('authored_ms < ?', until);
    const [ms, hash] = (cursor ?? '').split('-');
    if (ms !== undefined && hash !== undefined) add('(authored_ms, hash) < (?, ?)', Number(ms), hash);
    const rows = this.#database
      .prepare(
        `SELECT * FROM commits WHERE ${conditions.join(' AND ')} ORDER BY authored_ms DESC, hash DESC LIMIT ${limit + 1}`,
      )
      .all(...values) as unknown as Row[];
    const commits = rows.slice(0, limit).map(commitOf);
    const last = commits.at(-1);
    if (rows.length <= limit || last === undefined) return { commits };
    return { commits, next: `${Date.parse(last.authored_at)}-${last.commit_hash}` };
  }

  /** The oldest commits of one user that are not yet published, with the position of the last. */
  unpublished(most: number): { user: string; first: number; last: number; commits: Commit[] } | undefined {
    const rows = this.#database
      .prepare('SELECT * FROM commits WHERE published = 0 ORDER BY position LIMIT ?')
      .all(most) as unknown as Row[];
    const [first] = rows;
    if (first === undefined) return undefined;
    let length = 0;
    const end = rows.findIndex(({ user, body }, i) => {
      length += body.length;
      return user !== first.user || (i > 0 && length > MAX_EVENT_LENGTH);
    });
    const same = end < 0 ? rows : rows.slice(0, end);
    const commits = same.map(({ body }) => JSON.parse(body) as Commit);
    return { user: first.user, first: first.position, last: same.at(-1)!.position, commits };
  }

  published(user: string, first: number, last: number): void {
    this.#database
      .prepare('UPDATE commits SET published = 1 WHERE user = ? AND position BETWEEN ? AND ?')
      .run(user, first, last);
  }

  close(): void {
    this.#database.close();
  }
}

function commitOf({ body, tracked_at }: Row): TrackedCommit {
  return { ...(JSON.parse(body) as Commit), tracked_at };
}
