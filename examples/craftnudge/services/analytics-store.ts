/**
 * What analytics knows of commits, in SQLite, with the position in the stream up to which it has read. Both are written
 * in one transaction, so an event that comes twice counts once.
 */
import { DatabaseSync } from 'node:sqlite';
import { type AnalysedCommit, offsetOf } from './analysis/commit.ts';
import type { Commit } from './commit-store.ts';

/** Undefined is everything. `user` undefined: of all users. */
export interface Span {
  readonly user: string | undefined;
  readonly repository?: string | undefined;
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
}

export class AnalyticsStore {
  readonly #database: DatabaseSync;

  constructor(file: string) {
    this.#database = new DatabaseSync(file, { timeout: 5_000 });
    this.#database.exec(`
      PRAGMA journal_mode = WAL;
      CREATE TABLE IF NOT EXISTS commits (
        user TEXT NOT NULL,
        hash TEXT NOT NULL,
        repository TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (user, hash)
      ) WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS commits_by_time ON commits (user, at_ms);
      CREATE TABLE IF NOT EXISTS stream (name TEXT PRIMARY KEY, position TEXT NOT NULL);
    `);
  }

  position(): string | null {
    const row = this.#database.prepare("SELECT position FROM stream WHERE name = 'commits'").get();
    return (row?.['position'] as string | undefined) ?? null;
  }

  add(user: string, commits: readonly Commit[], position: string): void {
    const insert = this.#database.prepare(
      'INSERT INTO commits (user, hash, repository, at_ms, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
    );
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      for (const commit of commits) {
        const analysed: AnalysedCommit = {
          hash: commit.commit_hash,
          repository: commit.repository,
          message: commit.message,
          author: commit.author,
          atMs: Date.parse(commit.authored_at),
          offsetMinutes: offsetOf(commit.authored_at),
          files: commit.files,
        };
        insert.run(user, analysed.hash, analysed.repository, analysed.atMs, JSON.stringify(analysed));
      }
      this.#database
        .prepare(
          "INSERT INTO stream VALUES ('commits', ?) ON CONFLICT (name) DO UPDATE SET position = excluded.position",
        )
        .run(position);
      this.#database.exec('COMMIT');
    } catch (error) {
      this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  /** In the order of their times. */
  commits({ user, repository, fromMs, toMs }: Span): AnalysedCommit[] {
    const conditions = ['at_ms >= ?', 'at_ms < ?'];
    const values: (string | number)[] = [fromMs ?? 0, toMs ?? Number.MAX_SAFE_INTEGER];
    if (user !== undefined) {
      conditions.push('user = ?');
      values.push(user);
    }
    if (repository !== undefined) {
      conditions.push('repository = ?');
      values.push(repository);
    }
    return this.#database
      .prepare(`SELECT body FROM commits WHERE ${conditions.join(' AND ')} ORDER BY at_ms, hash`)
      .all(...values)
      .map(({ body }) => JSON.parse(body as string) as AnalysedCommit);
  }

  close(): void {
    this.#database.close();
  }
}
