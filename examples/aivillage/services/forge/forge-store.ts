/** Models, trainings and conversations, in SQLite. */
import { randomUUID } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import type { Phase } from './phases.ts';

export interface ModelRecord {
  readonly id: string;
  readonly phase: Phase;
  readonly base_model: string | null;
  readonly created_by: string;
  readonly created_at: string;
  readonly steps: number;
  /** Nats for each character that was not learned from. */
  readonly loss: number;
  readonly size_bytes: number;
}

export interface JobRecord {
  readonly id: string;
  readonly user: string;
  readonly phase: Phase;
  readonly base: string | null;
  readonly max_steps: number;
  readonly batch_size: number;
  readonly state: 'queued' | 'running' | 'complete' | 'failed';
  readonly model: string | null;
}

export interface Turn {
  readonly role: 'user' | 'assistant';
  readonly text: string;
}

export class ForgeStore {
  readonly #database: DatabaseSync;

  constructor(file: string) {
    this.#database = new DatabaseSync(file, { timeout: 5_000 });
    this.#database.exec(`
      PRAGMA journal_mode = WAL;
      CREATE TABLE IF NOT EXISTS models (
        number INTEGER PRIMARY KEY, id TEXT UNIQUE, phase TEXT, base_model TEXT, created_by TEXT, created_at TEXT,
        steps INTEGER, loss REAL, size_bytes INTEGER, weights BLOB
      );
      CREATE TABLE IF NOT EXISTS jobs (
        number INTEGER PRIMARY KEY, id TEXT UNIQUE, user TEXT, phase TEXT, base TEXT, max_steps INTEGER,
        batch_size INTEGER, state TEXT, model TEXT
      );
      CREATE TABLE IF NOT EXISTS turns (
        number INTEGER PRIMARY KEY, user TEXT, conversation TEXT, role TEXT, text TEXT
      );
      CREATE INDEX IF NOT EXISTS turns_of ON turns (user, conversation, number);
      -- A process that died in the middle trains them again.
      UPDATE jobs SET state = 'queued' WHERE state = 'running';
    `);
  }

  addJob(job: Omit<JobRecord, 'id' | 'state' | 'model'>): string {
    const id = `job-${randomUUID()}`;
    const { user, phase, base, max_steps, batch_size } = job;
    this.#database
      .prepare(
        "INSERT INTO jobs (id, user, phase, base, max_steps, batch_size, state) VALUES (?, ?, ?, ?, ?, ?, 'queued')",
      )
      .run(id, user, phase, base, max_steps, batch_size);
    return id;
  }

  nextJob(): JobRecord | undefined {
    const row = this.#database.prepare("SELECT * FROM jobs WHERE state = 'queued' ORDER BY number LIMIT 1").get();
    return row as JobRecord | undefined;
  }

  waiting(): number {
    const row = this.#database.prepare("SELECT count(*) AS count FROM jobs WHERE state IN ('queued', 'running')").get();
    return row?.['count'] as number;
  }

  setJob(id: string, state: JobRecord['state'], model: string | null = null): void {
    this.#database.prepare('UPDATE jobs SET state = ?, model = ? WHERE id = ?').run(state, model, id);
  }

  jobs(user: string): object[] {
    return this.#database
      .prepare(
        'SELECT id AS job_id, phase, state, model AS model_id FROM jobs WHERE user = ? ORDER BY number DESC LIMIT 20',
      )
      .all(user);
  }

  addModel(model: Omit<ModelRecord, 'id' | 'created_at'>, weights: Float32Array): string {
    const next = this.#database.prepare('SELECT coalesce(max(number), 0) + 1 AS next FROM models').get();
    const id = `${model.phase}-model-${next?.['next'] as number}`;
    const { phase, base_model, created_by, steps, loss, size_bytes } = model;
    this.#database
      .prepare(
        'INSERT INTO models (id, phase, base_model, created_by, created_at, steps, loss, size_bytes, weights) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
      )
      .run(
        id,
        phase,
        base_model,
        created_by,
        new Date().toISOString(),
        steps,
        loss,
        size_bytes,
        new Uint8Array(weights.buffer, weights.byteOffset, weights.byteLength),
      );
    return id;
  }

  /** Newest first. */
  models(): ModelRecord[] {
    return this.#database
      .prepare(
        'SELECT id, phase, base_model, created_by, created_at, steps, round(loss, 4) AS loss, size_bytes FROM models ORDER BY number DESC LIMIT 100',
      )
      .all() as unknown as ModelRecord[];
  }

  weights(id: string): Float32Array | undefined {
    const row = this.#database.prepare('SELECT weights FROM models WHERE id = ?').get(id);
    if (row === undefined) return undefined;
    const bytes = row['weights'] as Uint8Array;
    return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  }

  addTurn(user: string, conversation: string, { role, text }: Turn): void {
    this.#database
      .prepare('INSERT INTO turns (user, conversation, role, text) VALUES (?, ?, ?, ?)')
      .run(user, conversation, role, text);
  }

  /** The last turns, oldest first. */
  turns(user: string, conversation: string, most: number): Turn[] {
    const rows = this.#database
      .prepare('SELECT role, text FROM turns WHERE user = ? AND conversation = ? ORDER BY number DESC LIMIT ?')
      .all(user, conversation, most);
    return (rows as unknown as Turn[]).reverse();
  }

  close(): void {
    this.#database.close();
  }
}
