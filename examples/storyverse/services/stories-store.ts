/**
 * Stories in SQLite. Both instances of the service open the same file; write-ahead logging lets them. Every statement
 * that reads or changes a story names who asks, so another user's story is not found rather than found and refused.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Caller } from './http.ts';

export interface StoryContent {
  readonly title: string;
  readonly text: string;
  readonly universe: string | null;
  readonly characters: readonly string[];
  readonly rating: number;
  readonly topics: readonly string[];
}

export interface Story extends StoryContent {
  readonly id: string;
  readonly owner: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** Grows with each change. */
  readonly version: number;
}

type Row = Readonly<Record<string, string | number | null>>;

/**
 * Who may read: the owner; a child, what its parent wrote; a parent, what its child wrote. Restrictions by rating and
 * topic hold for all of them, also for what a child wrote before its parent narrowed them.
 */
const READABLE = `(owner = $id OR owner = $parent OR owner_parent = $id)
  AND ($maxRating IS NULL OR rating <= $maxRating)
  AND NOT EXISTS (SELECT 1 FROM json_each(topics) AS topic WHERE topic.value IN (SELECT value FROM json_each($blocked)))`;

export class StoryStore {
  readonly #db: DatabaseSync;

  constructor(file: string) {
    if (file !== ':memory:') mkdirSync(dirname(file), { recursive: true });
    this.#db = new DatabaseSync(file, { timeout: 5_000 });
    this.#db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
      CREATE TABLE IF NOT EXISTS stories (
        id TEXT PRIMARY KEY, owner TEXT NOT NULL, owner_parent TEXT, title TEXT NOT NULL, text TEXT NOT NULL,
        universe TEXT, characters TEXT NOT NULL, rating INTEGER NOT NULL, topics TEXT NOT NULL,
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL, version INTEGER NOT NULL) STRICT;
      CREATE INDEX IF NOT EXISTS stories_by_owner ON stories (owner, created_at DESC, id);
      CREATE INDEX IF NOT EXISTS stories_by_parent ON stories (owner_parent, created_at DESC, id);`);
  }

  get count(): number {
    return Number(this.#db.prepare('SELECT count(*) AS n FROM stories').get()?.['n']);
  }

  /** Newest first; `after` is the id of the last one of the page before. */
  list(caller: Caller, limit: number, after: string | undefined): Story[] {
    const rows = this.#db
      .prepare(
        `SELECT * FROM stories WHERE ${READABLE}
         AND ($after IS NULL OR (created_at, id) < (SELECT created_at, id FROM stories WHERE id = $after))
         ORDER BY created_at DESC, id DESC LIMIT $limit`,
      )
      .all({ ...parameters(caller), after: after ?? null, limit });
    return rows.map((row) => storyOf(row as Row));
  }

  find(caller: Caller, id: string): Story | undefined {
    const row = this.#db
      .prepare(`SELECT * FROM stories WHERE id = $story AND ${READABLE}`)
      .get({ ...parameters(caller), story: id });
    return row === undefined ? undefined : storyOf(row as Row);
  }

  create(caller: Caller, content: StoryContent): Story {
    const now = new Date().toISOString();
    const row = this.#db
      .prepare(
        `INSERT INTO stories (id, owner, owner_parent, title, text, universe, characters, rating, topics, created_at, updated_at, version)
         VALUES ($story, $id, $parent, $title, $text, $universe, $characters, $rating, $topics, $now, $now, 1) RETURNING *`,
      )
      .get({ story: randomUUID(), id: caller.id, parent: caller.parent ?? null, ...columns(content), now });
    return storyOf(row as Row);
  }

  /** Only the owner changes a story. `version` guards against losing what another device wrote in between. */
  update(caller: Caller, id: string, content: StoryContent, version: number): Story | undefined {
    const row = this.#db
      .prepare(
        `UPDATE stories SET title = $title, text = $text, universe = $universe, characters = $characters, rating = $rating,
         topics = $topics, updated_at = $now, version = version + 1
         WHERE id = $story AND owner = $owner AND version = $version RETURNING *`,
      )
      .get({ story: id, owner: caller.id, version, ...columns(content), now: new Date().toISOString() });
    return row === undefined ? undefined : storyOf(row as Row);
  }

  /** The owner, or the parent of the owner. */
  delete(caller: Caller, id: string): boolean {
    const { changes } = this.#db
      .prepare('DELETE FROM stories WHERE id = $story AND (owner = $id OR owner_parent = $id)')
      .run({ story: id, id: caller.id });
    return Number(changes) > 0;
  }

  close(): void {
    this.#db.close();
  }
}

function parameters(caller: Caller): Record<string, string | number | null> {
  return {
    id: caller.id,
    parent: caller.parent ?? null,
    maxRating: caller.maxRating ?? null,
    blocked: JSON.stringify(caller.blockedTopics),
  };
}

function columns({
  title,
  text,
  universe,
  characters,
  rating,
  topics,
}: StoryContent): Record<string, string | number | null> {
  return { title, text, universe, characters: JSON.stringify(characters), rating, topics: JSON.stringify(topics) };
}

function storyOf(row: Row): Story {
  return {
    id: String(row['id']),
    owner: String(row['owner']),
    title: String(row['title']),
    text: String(row['text']),
    universe: row['universe'] === null ? null : String(row['universe']),
    characters: JSON.parse(String(row['characters'])) as string[],
    rating: Number(row['rating']),
    topics: JSON.parse(String(row['topics'])) as string[],
    createdAt: String(row['created_at']),
    updatedAt: String(row['updated_at']),
    version: Number(row['version']),
  };
}
